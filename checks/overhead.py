"""What running a trial costs beyond its own work, on 1, 2, 4 and 8 logical workers.

    python -m checks.overhead
    python -m checks.overhead --trials 200 --workers 1,2,4,8 --json overhead.json

For each number of workers a Ray head is started with as many logical cores, as in docs/clusters.md, and a study of
short trials joins it by `tune_main.py --address`. Its journal, watched as it grows, answers three questions:

- What does a trial cost beyond its own work? `overhead`, per trial: the seconds that the second half of the trials
  took, times the workers, minus what those trials spent on setting up and training (`python -m benchmarks.epoch` does
  the same). With more workers than cores, waiting for a core counts as overhead too; then `wall`, the seconds of the
  clock per trial, is the cost to look at.
- Does throughput fall with more workers? `trials per second`, over the second half, when every worker has long begun.
- How long until the first trial has ended? Each worker spends seconds of a core on importing what it needs, and all do
  so at once.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from biotune.machine import machine
from biotune.results import Results
from checks.ray_head import ray_head
from checks.short_study import write_short_study
from checks.watching import TUNE_MAIN, GrowingJournal


@dataclass(frozen=True)
class Cost:
    """What the trials of a study cost on a number of logical workers.

    Attributes:
        search_s: the search's wall time.
        first_s: from its start until a trial had ended.
        trials_per_second, wall_s, overhead_s: over the second half of the trials; see this module.
        trial_s: mean seconds that such a trial spent on setting up and training, including waiting for a core.
    """

    workers: int
    trials: int
    search_s: float
    first_s: float
    trials_per_second: float
    wall_s: float
    trial_s: float
    overhead_s: float


def measure(workers: int, trials: int) -> Cost:
    """Runs a study of `trials` short trials on `workers` logical workers.

    Raises:
        RuntimeError: the study failed; with what it printed.
    """
    folder = Path(tempfile.mkdtemp(prefix="load-"))
    try:
        space = folder / "space.yaml"
        write_short_study(space, f"workers{workers}", trials)
        output = folder / "results"
        with ray_head(workers) as head:
            command = [*TUNE_MAIN, "--space", str(space), "--output", str(output), "--address", head.address]
            journal = GrowingJournal(output)
            with (folder / "study.log").open("w") as log:
                study = subprocess.Popen(command, env=head.environment, stdout=log, stderr=log)
            while study.poll() is None:
                journal.look()
                time.sleep(0.01)
        ended = journal.look().ended
        if study.returncode or len(ended) != trials:
            raise RuntimeError(f"ended with {study.returncode}:\n{(folder / 'study.log').read_text()}")
        [directory] = output.iterdir()
        results = Results.open(directory)
        state, table = results.read_state(), results.read_table("trials").set_index("trial")
        if state.concurrency != workers:
            raise RuntimeError(f"{state.concurrency} trials ran at once, not {workers}")
        half = trials // 2
        names, moments = list(ended), list(ended.values())
        seconds = moments[-1] - moments[half - 1]
        spent = float(table.loc[names[half:], "seconds"].mean())
        search = state.seconds["search"]
        return Cost(
            workers=workers,
            trials=trials,
            search_s=search,
            first_s=search - (moments[-1] - moments[0]),
            trials_per_second=(trials - half) / seconds,
            wall_s=seconds / (trials - half),
            trial_s=spent,
            overhead_s=workers * seconds / (trials - half) - spent,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m checks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=200, help="an even number; default 200")
    parser.add_argument("--workers", default="1,2,4,8", metavar="N,N", help="default 1,2,4,8")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    try:
        workers = [int(number) for number in arguments.workers.split(",")]
    except ValueError:
        parser.error(f"--workers {arguments.workers}: give whole numbers, such as 1,2,4,8")
    if min(workers) < 1 or arguments.trials < 4 or arguments.trials % 2:
        parser.error("give at least one worker, and an even number of at least 4 trials")
    costs = [measure(number, arguments.trials) for number in workers]
    table = Table(title=f"{arguments.trials} short trials\n{machine()}")
    heads = (
        "workers",
        "search\ns",
        "first ended\ns",
        "trials\nper second",
        "wall\ns per trial",
        "own work\ns per trial",
    )
    for head in (*heads, "overhead\ns per trial"):
        table.add_column(head, justify="right", no_wrap=True)
    for cost in costs:
        values = (cost.search_s, cost.first_s, cost.trials_per_second, cost.wall_s, cost.trial_s, cost.overhead_s)
        digits = (1, 1, 1, 3, 3, 3)
        row = (f"{value:.{places}f}" for value, places in zip(values, digits, strict=True))
        table.add_row(str(cost.workers), *row)
    Console(width=120).print(table)
    if arguments.json:
        content = {"machine": machine(), "costs": [asdict(cost) for cost in costs]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
