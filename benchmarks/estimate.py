"""How near the time that a dry run gives comes to the time that the study then takes.

    python -m benchmarks.estimate

For three studies, each of one to three minutes on two cores: sequence memory, n-back memory with fewer trials, and one
whose connectome is a large edge list, which mostly is read. Of each, `python tune_main.py --space … --dry-run` and then
`python tune_main.py --space …` are run, as a user runs them. The estimate is the middle of the range that the dry run
prints; the ratio is what the study took, from the command to the end of its report, divided by that.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from biotune.machine import machine

SEQ_MEM, NBACK_MEM = Path("search_spaces/seq_mem.yaml"), Path("search_spaces/nback_mem.yaml")
UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}

LARGE = """# Does a study wait for its file?
name: large
task: {{name: seq_mem, pattern_length: 3, trials: 100, batch: 32}}
connectome: {{path: {file}}}
topology: {{neurons_per_region: 1, intrinsic: false, keep_diagonal: true}}
arms:
  real: {{}}
  degrees: {{null: {{name: degree_preserving, level: neuron}}}}
reference_arm: real
tune: {{learning_rate: {{loguniform: [1.0e-3, 1.0e-2]}}}}
search: {{trials_per_arm: 2, shared_settings: 2, replicates: 2, max_epochs: 3, grace: 1}}
confirm: {{replicates: 2, max_epochs: 4, population: 2}}
"""


@dataclass(frozen=True)
class Found:
    """Of one study, in seconds: the ends of the range that the dry run printed, and what the study took."""

    low: float
    high: float
    took: float

    @property
    def ratio(self) -> float:
        """What it took, to the middle of the range."""
        return self.took / math.sqrt(self.low * self.high)


def write_synapses(file: Path, neurons: int, pairs: int, synapses: int) -> None:
    """Writes a random table of synapses as text, a row each, which connect so many pairs of neurons."""
    random = np.random.default_rng(1)
    ends = random.integers(0, neurons, (pairs, 2)).tolist()
    rows = [f"neuron{source:06d},neuron{target:06d},1\n" for source, target in ends]
    with file.open("w") as stream:
        stream.write("source,target,weight\n")
        for pair in random.integers(0, pairs, synapses).tolist():
            stream.write(rows[pair])


def seq_mem(folder: Path) -> list[str]:
    """The study of the README."""
    return ["--space", str(SEQ_MEM)]


def nback_mem(folder: Path) -> list[str]:
    """The n-back study, with half of its trials."""
    changes = "search.trials_per_arm=8", "search.shared_settings=8", "confirm.max_epochs=60"
    return ["--space", str(NBACK_MEM), *(word for change in changes for word in ("--set", change))]


def large(folder: Path, synapses: int = 20_000_000) -> list[str]:
    """A small study of a large file."""
    file, space = folder / "synapses.csv", folder / "large.yaml"
    write_synapses(file, neurons=400, pairs=8_000, synapses=synapses)
    space.write_text(LARGE.format(file=file))
    return ["--space", str(space)]


STUDIES: dict[str, Callable[[Path], list[str]]] = {"seq_mem": seq_mem, "nback_mem": nback_mem, "large": large}
"""Name -> writes what it needs into a folder, and returns the arguments of its command."""


def read_range(printed: str) -> tuple[float, float]:
    """The ends, in seconds, of the time that a dry run gives for the whole study."""
    found = re.search(r"^in all (?:about )?(?:([\d.]+) to )?([\d.]+) (\w+?)s?, ", printed, re.M)
    if found is None:
        raise SystemExit(f"a dry run that gives no time:\n{printed}")
    low, high, unit = found.groups()
    return float(low or high) * UNITS[unit], float(high) * UNITS[unit]


def compare(arguments: list[str], output: Path, console: Console) -> Found:
    """Runs a study's dry run and then the study."""
    command = [sys.executable, "tune_main.py", *arguments, "--output", str(output)]
    dry = subprocess.run([*command, "--dry-run"], stdout=subprocess.PIPE, text=True, check=True)
    for line in dry.stdout.splitlines():
        if line.startswith(("search: ", "confirm: ", "besides: ", "in all ")):
            console.print(line, style="dim", soft_wrap=True)
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return Found(*read_range(dry.stdout), time.monotonic() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=lambda text: text.split(","), default=list(STUDIES), metavar="A,B")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    console, found = Console(), {}
    table = Table(title=machine())
    for column in ("study", "estimate, s", "took, s", "ratio"):
        table.add_column(column, justify="left" if column == "study" else "right")
    for name in arguments.studies:
        with tempfile.TemporaryDirectory() as folder:
            one = found[name] = compare(STUDIES[name](Path(folder)), Path(folder) / "results", console)
        table.add_row(name, f"{one.low:.0f} to {one.high:.0f}", f"{one.took:.0f}", f"{one.ratio:.2f}")
    console.print(table)
    if arguments.json:
        studies = {name: asdict(one) | {"ratio": one.ratio} for name, one in found.items()}
        arguments.json.write_text(json.dumps({"machine": machine(), "studies": studies}, indent=2) + "\n")


if __name__ == "__main__":
    main()
