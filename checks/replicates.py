"""What confirming hundreds of replicates costs the driver, and how long their report takes.

    python -m checks.replicates
    python -m checks.replicates --replicates 500 --epochs 100 --json replicates.json

The driver does for every block what it does in a run, except Ray's part: it writes the block's report to the journal
and flushes it to the disk, keeps it in the record, redraws the display, publishes the metrics and writes the tables. At
the end the journal is read back as by a resumed study, and the report is made. Only the losses are simulated; the
measures of the topologies and the matrices are those of one real network of each arm.

The exit code is 1 if the report takes more than a minute, if the driver needs more than 1 GiB beyond what it began
with, or if one of the last tenth of the blocks costs it more than twice as much as one of the first tenth.
"""

import argparse
import io
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from rich.console import Console

from biotune.criterion import updates_to_criterion
from biotune.machine import machine
from biotune.report import make_report
from biotune.results import Results
from biotune.results.documents import Cell
from biotune.study.definition.load import load_study
from biotune.study.definition.study import Study
from biotune.study.directory.directory import new_record
from biotune.study.history.events import (
    Confirmed,
    Ended,
    Progress,
    Proposed,
    Selected,
    Spent,
    StudyEvent,
    append,
    begun,
)
from biotune.study.history.tables import write_tables
from biotune.study.monitor.display import Display
from biotune.study.monitor.exports import load_record
from biotune.study.monitor.metrics import Metrics
from biotune.study.resources.estimate import Span
from biotune.training import BlockReport, Convergence, Evaluations, Standing, Trial, TrialReport
from checks import default_study
from checks.simulated_study import ENVIRONMENT, LEVEL, NULL_LOSS, SUSTAIN, UPDATES_PER_EPOCH, SimulatedStudy

Found = TypeVar("Found")

RATIOS = {"marmoset": 1.0, "weights": 0.95, "degrees": 0.7, "random": 0.8}
"""Arm -> its updates to criterion, to the first one's."""
BLOCK = 20
"""Replicates that are confirmed together."""
TRIALS, SEARCH_EPOCHS = 16, 27
"""Of each arm's search."""

REPORT_SECONDS = 60.0
DRIVER_MIB = 1024.0
GROWTH = 2.0


@dataclass(frozen=True)
class Cost:
    """What it cost.

    Attributes:
        networks, epochs: that were confirmed. curves: rows of the table.
        first_ms, last_ms: per block, of the first and of the last tenth: journal, record, display and metrics.
        tables_s: to write all tables at the end. journal_mib, tables_mib: on disk.
        driver_mib: unshared memory beyond what the driver began with, at most, the writing of tables included.
        resume_s: to read the journal back. report_s, report_mib: to make the report; its process's memory, at most.
        page_mib: the page.
    """

    networks: int
    epochs: int
    curves: int
    first_ms: float
    last_ms: float
    tables_s: float
    journal_mib: float
    tables_mib: float
    driver_mib: float
    resume_s: float
    report_s: float = 0.0
    report_mib: float = 0.0
    page_mib: float = 0.0

    def broken(self) -> list[str]:
        """What is more than it may be."""
        found = []
        if self.report_s > REPORT_SECONDS:
            found.append(f"the report took {self.report_s:.0f} s, more than {REPORT_SECONDS:g}")
        if self.driver_mib > DRIVER_MIB:
            found.append(f"the driver took {self.driver_mib:.0f} MiB, more than {DRIVER_MIB:g}")
        if self.last_ms > GROWTH * self.first_ms:
            found.append(f"a block cost {self.last_ms:.1f} ms at the end, {self.first_ms:.1f} ms at the beginning")
        return found


def measure(replicates: int, epochs: int) -> Cost:
    """Simulates a confirmation, and makes its report; each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cost = _apart(_confirm, Path(folder), replicates, epochs)
        seconds, memory, page = _apart(_report, Path(folder))
    return Cost(**asdict(cost) | {"report_s": seconds, "report_mib": memory, "page_mib": page})


def _apart(work: Callable[..., Found], *arguments: Any) -> Found:
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory is measured from the start
        return pool.apply(work, arguments)


def _confirm(directory: Path, replicates: int, epochs: int) -> Cost:
    simulated = SimulatedStudy(ratios=RATIOS, pairs=replicates, max_epochs=epochs, trials=TRIALS)
    results = Results(directory)
    results.write_study(simulated.study())
    study = load_study(directory / "study.yaml")
    results.write_study(study.resolved())
    state = simulated.state(study.resolved())
    results.write_environment(ENVIRONMENT)
    journal, record = results.journal(), new_record(study)
    append(journal, begun(study.resolved(), state))
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    display = Display(study, record, concurrency=8, console=console, dashboard=None, banners=[], afterwards=Span())
    metrics = Metrics(study, record, gpus=False)
    for event in _searched(study, simulated):
        record.apply(append(journal, event))
    record.apply(append(journal, Selected(selection=simulated.selection())))
    results.write_state(state)
    display.enter("confirm")
    write_tables(record, results)  # what is only needed at the first time must not count for the blocks
    before, most, taken = _memory(), 0, []
    blocks = _blocks(simulated, _measured())
    for event in blocks:
        start = time.perf_counter()
        record.apply(append(journal, event))
        console.print(display)
        console.file = io.StringIO()
        metrics.publish("confirm")
        taken.append(1000 * (time.perf_counter() - start))
        most = max(most, _memory())
    append(journal, Spent(phase="confirm", seconds=80.0))
    start = time.perf_counter()
    write_tables(record, results)
    tables = time.perf_counter() - start
    most = max(most, _memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - _shared())
    results.write_state(state.model_copy(update={"journal": journal.head, "seconds": record.seconds}))
    start = time.perf_counter()
    _, again = load_record(results)
    resume = time.perf_counter() - start
    assert len(again.blocks) == len(record.blocks) == len(taken)
    tenth = max(len(taken) // 10, 1)
    return Cost(
        networks=sum(len(block.replicates) for block in record.blocks),
        epochs=epochs,
        curves=len(results.read_table("curves")),
        first_ms=float(np.mean(taken[:tenth])),
        last_ms=float(np.mean(taken[-tenth:])),
        tables_s=tables,
        journal_mib=journal.file.stat().st_size / 2**20,
        tables_mib=sum(file.stat().st_size for file in directory.glob("*.parquet")) / 2**20,
        driver_mib=(most - before) / 2**20,
        resume_s=resume,
    )


def _searched(study: Study, simulated: SimulatedStudy) -> Iterator[StudyEvent]:
    """The search: every trial trains to its end."""
    for arm, ratio in RATIOS.items():
        for index in range(TRIALS):
            name, replicates = f"{arm}-{index:04d}", study.config.search.replicates
            setting = simulated.common_setting(index)
            yield Proposed(trial=name, arm=arm, index=index, origin="shared", setting=setting)
            reached = np.full(replicates, simulated.typical * ratio * (1 + 0.4 * index))
            losses = _losses(reached, SEARCH_EPOCHS, np.random.default_rng(index))
            standing = Standing(float(losses.min()), True, float(reached[0]), replicates, 0, 2.0)
            yield Progress(trial=name, report=TrialReport(_evaluations(losses), standing))
            yield Ended(trial=name, status="completed", error="")


def _measured() -> dict[str, BlockReport]:
    """The report of a real network of each arm, which was trained for one epoch."""
    wired_by, found = default_study.connectome(), {}
    for arm in RATIOS:
        trial = Trial(default_study.plan(arm, wired_by, [0], max_epochs=1))
        while not trial.finished:
            trial.run_epoch()
        found[arm] = BlockReport.of(trial, 1.0)
    return found


def _blocks(simulated: SimulatedStudy, measured: dict[str, BlockReport]) -> Iterator[Confirmed]:
    """All blocks, one cell after another."""
    random = np.random.default_rng(simulated.seed)
    shared = np.exp(random.normal(0, 0.2, simulated.pairs))  # what a pair has in common
    for cell in simulated.selection().cells:
        for first in range(0, simulated.pairs, BLOCK):
            replicates = list(range(first, min(first + BLOCK, simulated.pairs)))
            own = np.exp(random.normal(0, simulated.spread, len(replicates)))
            reached = simulated.typical * RATIOS[cell.arm] * shared[replicates] * own
            yield _block(simulated, cell, replicates, reached, measured[cell.arm], random)


def _block(
    simulated: SimulatedStudy,
    cell: Cell,
    replicates: list[int],
    reached: np.ndarray,
    like: BlockReport,
    random: np.random.Generator,
) -> Confirmed:
    losses = _losses(reached, simulated.max_epochs + SUSTAIN - 1, random)
    updates = np.arange(len(losses)) * UPDATES_PER_EPOCH
    convergence = []
    for own in losses.T:
        found, converged = updates_to_criterion(updates, own, LEVEL, SUSTAIN, simulated.budget)
        final = float(own[simulated.max_epochs])
        best = float(own[: simulated.max_epochs + 1].min())
        convergence.append(Convergence(converged, False, found, simulated.budget, best, final, 1.1 * final, ""))
    numbers = {name for name, value in like.topologies[0].items() if isinstance(value, float)}
    topologies = [
        {name: value * random.uniform(0.9, 1.1) if name in numbers else value for name, value in of.items()}
        for of in like.topologies * len(replicates)
    ]
    matrix = like.matrix if replicates[0] == 0 else None
    report = BlockReport(_evaluations(losses), convergence, topologies, matrix, seconds=20.0)
    return Confirmed(cell=cell, replicates=replicates, report=report)


def _losses(reached: np.ndarray, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Losses [evaluations, replicates] that fall to the criterion's level in so many updates."""
    updates = UPDATES_PER_EPOCH * np.arange(epochs + 1)[:, None]
    noise = np.exp(random.normal(0, 0.3, (epochs + 1, len(reached))))
    return np.maximum(NULL_LOSS * 0.1 ** (updates / reached), 2e-5 * noise).astype(np.float32)


def _evaluations(losses: np.ndarray) -> Evaluations:
    rows = losses.tolist()
    return Evaluations(first=0, training=[[None] * losses.shape[1], *rows[1:]], validation=rows, accuracy=[])


def _report(directory: Path) -> tuple[float, float, float]:
    start = time.perf_counter()
    summary = make_report(directory)
    seconds = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, most, summary.page.stat().st_size / 2**20


def _memory() -> int:
    return int(psutil.Process().memory_full_info().uss)


def _shared() -> int:
    info = psutil.Process().memory_full_info()
    return int(info.rss - info.uss)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what it cost, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m checks.replicates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=500, metavar="N", help="of each of four arms; default 500")
    parser.add_argument("--epochs", type=int, default=100, metavar="N", help="that each is trained for; default 100")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args(arguments)
    cost = measure(given.replicates, given.epochs)
    wrong = cost.broken()
    content = {**asdict(cost), "machine": machine(), "wrong": wrong}
    print(json.dumps(content, indent=2))
    if given.json:
        given.json.write_text(json.dumps(content, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
