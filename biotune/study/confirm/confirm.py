"""The confirm phase: every cell of the selection on fresh seeds, to the full budget, with nothing stopped early."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from biotune.study.confirm.block import confirm_block
from biotune.study.definition.study import Study
from biotune.study.history.events import Confirmed, append
from biotune.study.history.record import Record
from biotune.study.resources.fit import Resources
from biotune.training import ForeignState, TrialPlan


@dataclass(frozen=True)
class Job:
    """Replicates of a cell, trained together as one Ray task."""

    cell: Cell
    replicates: tuple[int, ...]

    @property
    def name(self) -> str:
        """Names the checkpoint."""
        return self.cell.checkpoint(self.replicates[0])


def make_jobs(study: Study, cells: Sequence[Cell]) -> list[Job]:
    """What the confirm phase runs, in the order of the cells."""
    config = study.config.confirm
    blocks = [
        tuple(range(first, min(first + config.population, config.replicates)))
        for first in range(0, config.replicates, config.population)
    ]
    return [Job(cell, block) for cell in cells for block in blocks]


def run_confirm(
    study: Study,
    record: Record,
    journal: Journal,
    plan: Callable[[Cell, Sequence[int]], TrialPlan],
    *,
    checkpoints: Place,
    resources: Resources,
    every: float,
    set_aside: Callable[[Place, str], None],
    changed: Callable[[], None],
    interrupted: Callable[[], bool],
) -> None:
    """Runs the jobs that are left, until none is or the user interrupts.

    Args:
        study: what is confirmed.
        record: receives the results. journal: keeps them.
        plan: of replicates of a cell.
        checkpoints: where the workers keep theirs.
        resources: of a job. every: seconds between two checkpoints of a job.
        set_aside: called with a checkpoint that cannot be read, and why, before its job is trained from the start.
        changed: called now and then.
        interrupted: whether the user asked to stop.

    Raises:
        UserError: jobs failed again and again; the others were done.
        StorageError: something could not be written, here or by a job.
        ForeignState: a checkpoint is of another plan, or of topologies that a machine draws differently.
        KernelError: a job's kernels cannot be trusted on the machine that it was to run on.
    """
    confirmation = _Confirmation(study, record, journal, plan, checkpoints, resources, every, set_aside)
    try:
        while not (confirmation.done or interrupted()):
            confirmation.start()
            confirmation.take()
            changed()
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
        left: jobs that are yet to be started, the next one last. running: Ray's reference -> job.
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
        set_aside: Callable[[Place, str], None],
    ) -> None:
        if record.selection is None:
            raise ValueError("nothing was selected to be confirmed")
        self.study, self.record, self.journal, self.plan = study, record, journal, plan
        self.checkpoints, self.resources, self.every, self.set_aside = checkpoints, resources, every, set_aside
        confirmed = {(block.cell.arm, block.cell.plan, block.replicates[0]) for block in record.blocks}
        self.left = [
            job
            for job in reversed(make_jobs(study, record.selection.cells))
            if (job.cell.arm, job.cell.plan, job.replicates[0]) not in confirmed
        ]
        self.running: dict[Any, Job] = {}
        self.failed: dict[str, str] = {}
        self.retries = Retries(journal.file.parent)
        # Ray itself retries nothing: it would restart for ever what was killed for lack of memory
        self.task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(confirm_block)

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
            self.running[named.remote(plan, self._checkpoint(job), self.resources.cpus, self.every)] = job

    def take(self) -> None:
        """Takes in what has come of the jobs that have ended, waiting up to half a second for one."""
        ready, _ = ray.wait(list(self.running), timeout=0.5)
        for reference in ready:
            job = self.running.pop(reference)
            try:
                report = ray.get(reference)
            except RayError as error:
                self._died(job, error)
                continue
            event = Confirmed(cell=job.cell, replicates=list(job.replicates), report=report)
            self.record.apply(append(self.journal, event))

    def cancel(self) -> None:
        """Ends the jobs that run."""
        for reference in self.running:
            ray.cancel(reference, force=True)

    def _died(self, job: Job, error: RayError) -> None:
        cause = error.cause if isinstance(error, RayTaskError) else None
        if isinstance(cause, StorageError | ForeignState | KernelError):
            raise cause from error
        if isinstance(cause, DamagedCheckpoint):
            self.set_aside(self._checkpoint(job), str(cause))
            self.left.append(job)
        elif self.retries.again(self._checkpoint(job)):
            self.left.append(job)
        else:
            self.failed[job.name] = reason_of(error)

    def _checkpoint(self, job: Job) -> Place:
        return self.checkpoints / f"{job.name}.pt"
