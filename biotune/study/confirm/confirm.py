"""The confirm phase: every cell of the selection on fresh seeds; none is stopped for being slow."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from biotune.errors import KernelError, StorageError, UserError
from biotune.io.storage import Place
from biotune.network import DamagedCheckpoint
from biotune.results.documents import Cell
from biotune.results.journal import Journal
from biotune.study.cluster.connect import reason_of
from biotune.study.cluster.retries import MAX_RETRIES, Retries
from biotune.study.confirm.block import Reached, confirm_block
from biotune.study.confirm.course import Course, blocks_of, course
from biotune.study.definition.study import Study
from biotune.study.history.events import Confirmed, append
from biotune.study.history.record import Record
from biotune.study.resources.fit import Resources
from biotune.training import EngineError, Engines, ForeignState, TrialPlan


@dataclass(frozen=True)
class Job:
    """Replicates of a cell, trained together as one Ray task, and how far they are."""

    cell: Cell
    replicates: tuple[int, ...]
    reached: Reached = field(default_factory=Reached)

    @property
    def name(self) -> str:
        """Names the checkpoint."""
        return self.cell.checkpoint(self.replicates[0])

    @property
    def key(self) -> tuple[str, str, int]:
        """What the record knows it by, once it is confirmed."""
        return self.cell.arm, self.cell.plan, self.replicates[0]


def make_jobs(study: Study, cells: Sequence[Cell], now: Course) -> list[Job]:
    """What the confirm phase runs, in the order of the cells."""
    return [Job(cell, block) for cell in cells for block in blocks_of(study, cell, now)]


def jobs_left(jobs: Iterable[Job], record: Record) -> list[Job]:
    """The jobs without the replicates that are confirmed: a condition that is added may ask more of a cell."""
    done = record.confirmed_of()
    found = []
    for job in jobs:
        known = done.get((job.cell.arm, job.cell.plan), set())
        if left := tuple(replicate for replicate in job.replicates if replicate not in known):
            found.append(replace(job, replicates=left))
    return found


def run_confirm(
    study: Study,
    record: Record,
    journal: Journal,
    plan: Callable[[Cell, Sequence[int]], TrialPlan],
    *,
    checkpoints: Place,
    resources: Resources,
    every: float,
    engines: Engines | None = None,
    set_aside: Callable[[Place, str], None],
    changed: Callable[[Sequence[Job]], None],
    interrupted: Callable[[], bool],
) -> None:
    """Runs the jobs that are left, until none is or the user interrupts.

    Args:
        study: what is confirmed.
        record: receives the results. journal: keeps them.
        plan: of replicates of a cell.
        checkpoints: where the workers keep theirs.
        resources: of a job. every: seconds between two checkpoints of a job.
        engines: that train the networks of all jobs; None: each job trains its own.
        set_aside: called with a checkpoint that cannot be read, and why, before its job is trained from the start.
        changed: called now and then, with the jobs that run.
        interrupted: whether the user asked to stop.

    Raises:
        UserError: jobs failed again and again; the others were done.
        StorageError: something could not be written, here or by a job.
        ForeignState: a checkpoint is of another plan, or of topologies that a machine draws differently.
        KernelError: a job's kernels cannot be trusted on the machine that it was to run on.
        EngineError: engines cannot train a job.
    """
    confirmation = _Confirmation(study, record, journal, plan, checkpoints, resources, every, engines, set_aside)
    try:
        while not (confirmation.done or interrupted()):
            confirmation.start()
            confirmation.take()
            changed(list(confirmation.running.values()))
    finally:
        confirmation.cancel()
    if confirmation.failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in confirmation.failed.items())
        raise UserError(
            f"confirming failed, {MAX_RETRIES + 1} times in a row ({reasons}); resume the study to try again"
        )


class _Confirmation:
    """The jobs of a confirm phase; arguments as of `run_confirm`.

    Attributes:
        left: jobs that are yet to be started, the next one last. running: Ray's generator -> job.
        failed: name of a job that died too often -> what it died of.
    """

    def __init__(
        self,
        study: Study,
        record: Record,
        journal: Journal,
        plan: Callable[[Cell, Sequence[int]], TrialPlan],
        checkpoints: Place,
        resources: Resources,
        every: float,
        engines: Engines | None,
        set_aside: Callable[[Place, str], None],
    ) -> None:
        if record.selection is None:
            raise ValueError("nothing was selected to be confirmed")
        self.study, self.record, self.journal, self.plan = study, record, journal, plan
        self.checkpoints, self.resources, self.every, self.set_aside = checkpoints, resources, every, set_aside
        self.engines = engines
        jobs = reversed(make_jobs(study, record.selection.cells, course(study, record)))
        self.left = jobs_left(jobs, record)
        self.running: dict[Any, Job] = {}
        self.failed: dict[str, str] = {}
        self.retries = Retries(journal.file.parent)
        # Ray itself retries nothing: it would restart for ever what was killed for lack of memory
        self.task: Any = ray.remote(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0, num_returns="streaming"
        )(confirm_block)

    @property
    def done(self) -> bool:
        """Whether no job is left, and none runs."""
        return not (self.left or self.running)

    def start(self) -> None:
        """Starts jobs until as many run as there is room for."""
        while self.left and len(self.running) < self.resources.concurrency:
            job = self.left.pop()
            named = self.task.options(name=f"{self.study.config.name}/{job.cell.arm}/{job.name}")  # on the dashboard
            plan = self.plan(job.cell, job.replicates)
            given = plan, self._checkpoint(job), self.resources.cpus, self.every, self.engines
            self.running[named.remote(*given)] = job

    def take(self) -> None:
        """Takes in what has come of the jobs that run, waiting up to half a second for something."""
        ready: list[Any] = ray.wait(list(self.running), timeout=0.5)[0]
        for generator in ready:
            job = self.running.pop(generator)
            try:
                said = ray.get(next(generator))
            except RayError as error:
                self._died(job, error)
                continue
            if isinstance(said, Reached):
                self.running[generator] = replace(job, reached=said)
            else:
                event = Confirmed(cell=job.cell, replicates=list(job.replicates), report=said)
                self.record.apply(append(self.journal, event))

    def cancel(self) -> None:
        """Ends the jobs that run."""
        for generator in self.running:
            ray.cancel(generator, force=True)

    def _died(self, job: Job, error: RayError) -> None:
        cause = error.cause if isinstance(error, RayTaskError) else None
        if isinstance(cause, StorageError | ForeignState | KernelError | EngineError):
            raise cause from error
        if isinstance(cause, DamagedCheckpoint):
            self.set_aside(self._checkpoint(job), str(cause))
            self._again(job)
        elif self.retries.again(self._checkpoint(job)):
            self._again(job)
        else:
            self.failed[job.name] = reason_of(error)

    def _again(self, job: Job) -> None:
        self.left.append(replace(job, reached=Reached()))

    def _checkpoint(self, job: Job) -> Place:
        return self.checkpoints / f"{job.name}.pt"
