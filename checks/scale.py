"""What the driver costs at scale: many simulated trials, through a study's own searcher and scheduler.

    python -m checks.scale
    python -m checks.scale --trials 10000 --json scale.json --figure docs/images/scale.svg

The driver does everything for a trial that it does in a run, except Ray's part: it proposes the trial, writes the
journal and flushes it to the disk, keeps the record, runs ASHA, tells the sampler, redraws the display, publishes the
metrics and writes the tables. At the end the journal is read back as by a resumed study. Only the trials are simulated:
their losses fall to a level that depends on their setting, and eight run at once, on a simulated clock. This is done
twice, with the trials in four arms and with all of them in one, since a sampler's time grows with the trials of its
arm.

Ray Tune's own part (its event loop, its objects, its files) needs workers: see `python -m checks.soak`.
"""

import argparse
import gc
import heapq
import io
import json
import multiprocessing
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from rich.console import Console
from rich.table import Table

from biotune.machine import machine
from biotune.report.figures.drawing import ARM_COLOURS, INK, LINE_STYLES, REFERENCE_COLOUR, WIDTH, log_axis, style
from biotune.results import Results
from biotune.results.journal import Journal
from biotune.study import Study, load_study
from biotune.study.history.record import Record, TrialRecord
from biotune.study.history.tables import all_tables
from biotune.study.monitor.display import Display
from biotune.study.monitor.metrics import Metrics
from biotune.study.resources.estimate import Span
from biotune.study.search.progress import SearchProgress
from biotune.training import UNREPORTED, Evaluations, TrialReport
from checks.short_study import write_short_study

REPLICATES, EPOCHS, GRACE = 4, 81, 9
POINTS = 10
"""How often the costs are taken, spread evenly over the trials."""


@dataclass(frozen=True)
class Point:
    """What the driver's work cost after `trials` trials.

    Attributes:
        propose_ms, report_ms, end_ms: per trial, since the point before; all of a trial's reports together.
        redraw_ms, publish_ms, tables_ms: for the display, the metrics and all tables, once.
        memory_mib: unshared memory of the process, above what it had before the first trial.
        curves_mib: the part of it that the numbers of the curves take.
        journal_mib: on disk.
        resume_s: to resume the study from the journal so far.
    """

    trials: int
    propose_ms: float
    report_ms: float
    end_ms: float
    redraw_ms: float
    publish_ms: float
    tables_ms: float
    memory_mib: float
    curves_mib: float
    journal_mib: float
    resume_s: float = 0.0

    @property
    def trial_ms(self) -> float:
        """Propose, report and end together."""
        return self.propose_ms + self.report_ms + self.end_ms


def simulated_losses(trial: TrialRecord, null_loss: float) -> np.ndarray:
    """Validation losses [evaluations, replicates], falling from `null_loss` to a level that depends on the setting."""
    generator = np.random.default_rng(zlib.crc32(trial.trial.encode()))
    level = 0.02 + 0.1 * abs(np.log(trial.setting["learning_rate"] / 0.02))
    epochs = np.arange(EPOCHS + 1)[:, None]
    noise = np.exp(0.05 * generator.standard_normal((EPOCHS + 1, REPLICATES)))
    return null_loss * (level + np.exp(-epochs / 15)) * noise


@dataclass
class Simulation:
    """Trials that run at once, on a simulated clock.

    Attributes:
        progress: proposes the trials and decides which go on.
        at_once: how many trials run at once.
        spent: kind of work -> the driver's seconds since this was last cleared.
        ended: how many trials have ended.
    """

    progress: SearchProgress
    at_once: int = 8
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    ended: int = 0

    def run(self) -> Iterator[int]:
        """Runs the trials that are left; yields how many have ended, each time that one ends."""
        running: list[tuple[float, str, int]] = []
        losses: dict[str, np.ndarray] = {}
        rungs = [*self.progress.study.config.search.rungs, EPOCHS]
        now, more = 0.0, True
        while running or more:
            while more and len(running) < self.at_once:
                with self._timed("propose"):
                    trial = self.progress.propose()
                more = trial is not None
                if trial is not None:
                    losses[trial.trial] = simulated_losses(trial, self.progress.study.task.null_loss)
                    reached = sum(rung <= trial.epochs for rung in rungs)  # more than 0 if it was interrupted
                    heapq.heappush(running, (now + rungs[reached] - trial.epochs, trial.trial, reached))
            if not running:
                return
            now, name, rung = heapq.heappop(running)
            if self._report(name, losses[name], rungs[rung]) == "continue" and rungs[rung] < EPOCHS:
                heapq.heappush(running, (now + rungs[rung + 1] - rungs[rung], name, rung + 1))
                continue
            with self._timed("end"):
                self.progress.end(name)
            del losses[name]
            self.ended += 1
            yield self.ended

    def _report(self, name: str, losses: np.ndarray, epoch: int) -> str:
        held = self.progress.record.trials[name].curves.validation
        rows = losses[len(held) : epoch + 1].tolist()
        training = rows if len(held) else [[None] * REPLICATES, *rows[1:]]
        standing = replace(
            UNREPORTED,
            score=float(np.median(losses[: epoch + 1].min(axis=0))),
            finished=epoch == EPOCHS,
            mean_updates=2.0 * EPOCHS,
            seconds=0.01 * epoch,
        )
        report = TrialReport(Evaluations(len(held), training, rows, accuracy=[]), standing)
        with self._timed("report"):
            return self.progress.report(name, report)

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[kind] += time.perf_counter() - start


def begin(study: Study, journal: Journal) -> SearchProgress:
    """The search of a study, resumed from its journal."""
    past = journal.read()
    record = Record(
        study.config.search.replicates, updates_per_epoch={"primary": 2}, planned=study.config.confirm.planned
    )
    return SearchProgress(study, record, journal, past)


def simulate(arms: int, trials: int) -> list[Point]:
    """Simulates a study of `trials` trials in a process of its own, and says at `POINTS` points what they cost."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory is measured from the start
        return pool.apply(_simulate, (arms, trials))


def _simulate(arms: int, trials: int) -> list[Point]:
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.yaml"
        write_short_study(space, "scale", trials, arms=arms, replicates=REPLICATES, epochs=EPOCHS, grace=GRACE)
        study = load_study(space)
        journal = Journal(Path(folder) / "journal.jsonl")
        progress = begin(study, journal)
        record, results = progress.record, Results(folder)
        console = Console(file=io.StringIO(), force_terminal=True, width=120)
        display = Display(study, record, concurrency=8, console=console, dashboard=None, banners=[], afterwards=Span())
        metrics = Metrics(study, record, gpus=False)

        def redraw() -> None:
            console.print(display)
            console.file = io.StringIO()

        def write_tables() -> None:
            for name, table in all_tables(record):
                results.write_table(name, table)

        write_tables()  # what is only needed at the first time must not count for the trials
        redraw()
        before = _memory()
        simulation = Simulation(progress)
        points: list[Point] = []
        for ended in simulation.run():
            if ended % (trials // POINTS):
                continue
            done = ended - (points[-1].trials if points else 0)
            points.append(
                Point(
                    trials=ended,
                    **{f"{kind}_ms": 1000 * simulation.spent[kind] / done for kind in ("propose", "report", "end")},
                    memory_mib=(_memory() - before) / 2**20,
                    redraw_ms=_milliseconds(redraw),
                    publish_ms=_milliseconds(lambda: metrics.publish("search", ended=True)),
                    tables_ms=_milliseconds(write_tables, times=1),
                    curves_mib=sum(trial.curves.nbytes for trial in record.trials.values()) / 2**20,
                    journal_mib=journal.file.stat().st_size / 2**20,
                )
            )
            simulation.spent.clear()
        return _with_resumes(points, study, journal)


def _with_resumes(points: list[Point], study: Study, journal: Journal) -> list[Point]:
    """Adds how long it takes to resume the study from the journal as it was at each point."""
    content = journal.file.read_bytes()
    part = Journal(journal.file.with_name("part.jsonl"))
    timed = []
    for point in points:
        part.file.write_bytes(content[: round(point.journal_mib * 2**20)])
        start = time.perf_counter()
        begin(study, part)
        timed.append(Point(**asdict(point) | {"resume_s": time.perf_counter() - start}))
    return timed


def _memory() -> int:
    gc.collect()
    return psutil.Process().memory_full_info().uss


def _milliseconds(work: Any, times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))


def draw(simulations: dict[str, list[Point]], file: Path) -> None:
    """Draws the costs against the number of trials, with one line style per simulation."""
    colours = (INK, REFERENCE_COLOUR, ARM_COLOURS[2])
    panels = (
        ("for a trial, ms", {"proposal": "propose_ms", "reports": "report_ms", "end": "end_ms"}),
        ("once, ms", {"tables": "tables_ms", "display": "redraw_ms", "metrics": "publish_ms"}),
        ("memory and journal, MiB", {"memory": "memory_mib", "of it, curves": "curves_mib", "journal": "journal_mib"}),
        ("to resume, s", {"resume": "resume_s"}),
    )
    with style():
        canvas = Canvas(figsize=(1.4 * WIDTH, 5.2), dpi=200, layout="constrained")
        for axes, (label, lines) in zip(canvas.subplots(2, 2).flat, panels, strict=True):
            for points, line_style in zip(simulations.values(), LINE_STYLES, strict=False):
                trials = [point.trials for point in points]
                for (name, attribute), colour in zip(lines.items(), colours, strict=False):
                    values = [getattr(point, attribute) for point in points]
                    axes.plot(trials, values, color=colour, ls=line_style, lw=1.2, label=name)
            axes.set(xlabel="trials", ylabel=label, xlim=(0, None))
            drawn = [getattr(one, name) for points in simulations.values() for one in points for name in lines.values()]
            if "tables" in lines:  # these take a hundred times as long as the others
                log_axis(axes, "y", min(drawn) / 2, max(drawn) * 20)
            else:
                axes.set_ylim(0, 1.3 * max(drawn))
            if len(lines) > 1:
                handles, names = axes.get_legend_handles_labels()
                axes.legend(handles[: len(lines)], names[: len(lines)], loc="upper center", ncols=len(lines))
        keys = [
            Line2D([], [], color=INK, ls=line_style, lw=1.2)
            for line_style, _ in zip(LINE_STYLES, simulations, strict=False)
        ]
        canvas.legend(keys, list(simulations), loc="outside upper left", ncols=len(simulations))
        canvas.savefig(file, metadata={"Date": None, "Creator": None} if file.suffix == ".svg" else {"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m checks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=10_000, help="a multiple of 40; default 10000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw them there, as SVG or PNG")
    arguments = parser.parse_args()
    if arguments.trials < 40 or arguments.trials % 40:
        parser.error("--trials: give a multiple of 40, for four arms and ten points")
    simulations = {}
    for arms in (4, 1):
        simulations["four arms" if arms > 1 else "one arm"] = simulate(arms, arguments.trials)
    console = Console(width=120)
    for name, points in simulations.items():
        table = Table(title=f"{name}\n{machine()}")
        units = {"trials": "", "propose": "ms", "reports": "ms", "end": "ms", "redraw": "ms", "metrics": "ms"}
        units |= {"tables": "ms", "memory": "KiB/trial", "journal": "KiB/trial", "resume": "s"}
        for column, unit in units.items():
            table.add_column(f"{column}\n{unit}", justify="right", no_wrap=True)
        for point in points:
            table.add_row(
                str(point.trials),
                *(f"{value:.1f}" for value in (point.propose_ms, point.report_ms, point.end_ms)),
                *(f"{value:.1f}" for value in (point.redraw_ms, point.publish_ms, point.tables_ms)),
                *(f"{1024 * value / point.trials:.1f}" for value in (point.memory_mib, point.journal_mib)),
                f"{point.resume_s:.1f}",
            )
        console.print(table)
    if arguments.json:
        content = {name: [asdict(point) for point in points] for name, points in simulations.items()}
        arguments.json.write_text(json.dumps({"machine": machine(), **content}, indent=2) + "\n")
    if arguments.figure:
        draw(simulations, arguments.figure)


if __name__ == "__main__":
    main()
