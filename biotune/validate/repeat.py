"""Runs a study again from other seeds, each time whole, and counts what it found: how often a verdict is luck.

    python -m biotune.validate.repeat --space search_spaces/aa.yaml --seeds 1-10
    python -m biotune.validate.repeat --space search_spaces/seq_mem.yaml --seeds 1,7 --set confirm.replicates=8

One study has one verdict, and can't say how often such a study is wrong. Run from many seeds, search and selection
included, an A/A study shows how often it finds a difference where there is none, and any other one how often it finds
what it found. Each run is the command of a study, and leaves a results directory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PHASES = {"comparisons": "at the shared setting", "own_best": "each arm at its own best"}
"""Key of summary.json -> the confirmation that it comes from."""

_RUN = "from biotune.cli import tune_main; raise SystemExit(tune_main())"


def run_seed(space: Path, seed: int, output: Path, overrides: Sequence[str]) -> Path:
    """Runs a study by its command, and returns its results directory.

    Raises:
        SystemExit: it did not end well; with its exit code.
    """
    # a folder of its own: what else is run meanwhile must not be taken for it
    output = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=_made(output)))
    changes = [part for change in overrides for part in ("--set", change)]
    arguments = ["--space", str(space), "--seed", str(seed), "--output", str(output), *changes]
    done = subprocess.run([sys.executable, "-c", _RUN, *arguments])
    if done.returncode:
        raise SystemExit(done.returncode)
    [directory] = output.iterdir()
    return directory


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def verdicts(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a comparison of both confirmations (phase, arm, verdict, ratio, low, high), from what summary.json has."""
    return [
        {
            "phase": phase,
            "arm": comparison["arm"],
            "verdict": comparison["verdict"]["name"],
            **{key: (comparison["ratio"] or {}).get(name) for key, name in _NUMBERS.items()},
        }
        for phase in PHASES
        for comparison in summary[phase]
    ]


_NUMBERS = {"ratio": "estimate", "low": "low", "high": "high"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, required=True, metavar="FILE", help="the study's YAML")
    parser.add_argument("--seeds", type=_seeds, required=True, metavar="FIRST-LAST", help="or a list: 1,5,9")
    parser.add_argument("--output", type=Path, default=Path("results"), metavar="DIR", help="default: results/")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY.PATH=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict there too")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        directory = run_seed(arguments.space, seed, arguments.output, arguments.overrides)
        summary = json.loads((directory / "summary.json").read_text())
        rows += [{"seed": seed, "results": str(directory), **row} for row in verdicts(summary)]
        if arguments.json:  # after each, so that a kill loses none
            content = {"space": str(arguments.space), "set": arguments.overrides, "verdicts": rows}
            arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    console = Console()
    console.print(_each(rows))
    console.print(_counted(rows))


def _seeds(text: str) -> list[int]:
    try:
        first, dash, last = text.partition("-")
        seeds = list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a range of seeds, such as 1-10, nor a list, such as 1,5")
    return seeds


def _each(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Updates to criterion, ratio to the reference, and its interval")
    for column in ("seed", "arm", *PHASES.values()):
        table.add_column(column)
    found = {(row["seed"], row["arm"], row["phase"]): row for row in rows}
    for seed, arm in dict.fromkeys((row["seed"], row["arm"]) for row in rows):
        table.add_row(str(seed), arm, *(_spell(found.get((seed, arm, phase))) for phase in PHASES))
    return table


def _spell(row: dict[str, Any] | None) -> str:
    if row is None or row["ratio"] is None:
        return row["verdict"] if row else ""
    ends = (f"{row[end]:.2f}" if row[end] is not None else "∞" for end in ("low", "high"))
    return f"{row['verdict']}  {row['ratio']:.2f} [{', '.join(ends)}]"


def _counted(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="How often")
    for column in ("arm", *PHASES.values()):
        table.add_column(column)
    for arm in dict.fromkeys(row["arm"] for row in rows):
        counts = (Counter(r["verdict"] for r in rows if r["arm"] == arm and r["phase"] == phase) for phase in PHASES)
        table.add_row(arm, *(", ".join(f"{verdict} {n}" for verdict, n in count.most_common()) for count in counts))
    return table


if __name__ == "__main__":
    main()
