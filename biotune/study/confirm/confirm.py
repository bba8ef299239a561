"""The confirm phase: fresh seeds, full budget, no early stopping; arms at the shared setting and at their own best."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from biotune.errors import KernelError, StorageError, UserError
from biotune.io.storage import Place
from biotune.network import DamagedCheckpoint
from biotune.results.journal import Journal
from biotune.results.vocabulary import Label
from biotune.study.cluster.connect import reason_of
from biotune.study.cluster.retries import MAX_RETRIES, Retries
from biotune.study.confirm.block import confirm_block
from biotune.study.definition.study import Study
from biotune.study.history.events import Confirmed, Selected, append
from biotune.study.history.record import Record
from biotune.study.resources.fit import Resources
from biotune.training import ForeignState, TrialPlan


@dataclass(frozen=True)
class Job:
    """Replicates of an arm at one setting, trained together as one Ray task.

    Attributes:
        phases: "shared", "own_best", or both where the arm's own best is the shared setting.
    """

    phases: tuple[Label, ...]
    arm: str
    replicates: tuple[int, ...]
    setting: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Names the checkpoint."""
        return f"{self.arm}-{self.phases[0]}-{self.replicates[0]:04d}"


def jobs(study: Study, selection: Selected) -> list[Job]:
    """What the confirm phase runs, the verdict's own arms first."""
    config = study.config.confirm
    blocks = [
        tuple(range(first, min(first + config.population, config.replicates)))
        for first in range(0, config.replicates, config.population)
    ]
    shared = selection.shared.setting
    settings: list[tuple[tuple[Label, ...], str, Mapping[str, Any]]] = []
    for arm in study.arms:
        same = selection.own_best[arm].same_as_shared
        settings.append((("shared", "own_best") if same else ("shared",), arm, shared))
    for arm in study.arms:
        if not selection.own_best[arm].same_as_shared:
            settings.append((("own_best",), arm, selection.own_best[arm].setting))
    return [Job(phases, arm, block, setting) for phases, arm, setting in settings for block in blocks]


def run_confirm(
    study: Study,
    record: Record,
    journal: Journal,
    plan: Callable[[Job], TrialPlan],
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
        plan: a job's plan.
        checkpoints: where the workers keep theirs.
        resources: of a job. every: seconds between two checkpoints of one.
        set_aside: called with a checkpoint that cannot be read, and why, before its job is trained from the start.
        changed: called now and then.
        interrupted: whether the user asked to stop.

    Raises:
        UserError: jobs failed again and again; the others were done.
        StorageError: something could not be written, here or by a job.
        ForeignState: a checkpoint is of another plan, or its topologies are drawn otherwise where it was to go on.
        KernelError: a job's kernels cannot be trusted where it was to run.
    """
    if record.selection is None:
        raise ValueError("nothing was selected to be confirmed")

    def checkpoint(job: Job) -> Place:
        return checkpoints / f"{job.name}.pt"

    done = {(tuple(block.phases), block.arm, block.replicates[0]) for block in record.blocks}
    left = [job for job in jobs(study, record.selection) if (job.phases, job.arm, job.replicates[0]) not in done]
    left.reverse()
    # Ray itself retries nothing: what was killed for want of memory it would try again for ever
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(confirm_block)
    retries = Retries(journal.file.parent)
    failed: dict[str, str] = {}
    running: dict[Any, Job] = {}
    try:
        while (left or running) and not interrupted():
            while left and len(running) < resources.concurrency:
                job = left.pop()
                named = task.options(name=f"{study.config.name}/{job.arm}/{job.name}")  # on the dashboard
                running[named.remote(plan(job), checkpoint(job), resources.cpus, every)] = job
            ready, _ = ray.wait(list(running), timeout=0.5)
            for reference in ready:
                job = running.pop(reference)
                try:
                    report = ray.get(reference)
                except RayError as error:
                    cause = error.cause if isinstance(error, RayTaskError) else None
                    if isinstance(cause, StorageError | ForeignState | KernelError):
                        raise cause from error
                    if isinstance(cause, DamagedCheckpoint):
                        set_aside(checkpoint(job), str(cause))
                        left.append(job)
                    elif retries.again(checkpoint(job)):
                        left.append(job)
                    else:
                        failed[job.name] = reason_of(error)
                    continue
                event = Confirmed(
                    phases=list(job.phases),
                    arm=job.arm,
                    replicates=list(job.replicates),
                    setting=dict(job.setting),
                    report=report,
                )
                record.apply(append(journal, event))
            changed()
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
    if failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise UserError(
            f"confirming failed, {MAX_RETRIES + 1} times in a row ({reasons}); resume the study to try again"
        )
