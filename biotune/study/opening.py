"""Opening a study in its results directory, ready to run: one that begins there, or one that is resumed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from biotune.connectome import Connectome
from biotune.connectome.names import LONGEST_KEPT, MOST_KEPT, shown
from biotune.digests import study_digest
from biotune.errors import KernelError, UserError
from biotune.io.files import remove_leftovers
from biotune.io.storage import Place, patient, spelled
from biotune.results import PHASES, SCHEMA, Results
from biotune.results.documents import Criterion, State, Streams, UsedCondition, UsedConnectome
from biotune.results.journal import Journal
from biotune.seeds import streams_digest
from biotune.study.cluster.connect import describe_nodes, require_reachable
from biotune.study.definition.study import Study
from biotune.study.directory.directory import new_record
from biotune.study.directory.environment import environment
from biotune.study.directory.mirror import Mirror, drop_ahead
from biotune.study.directory.resume import (
    require_same_connectomes,
    require_same_device,
    require_same_files,
    require_same_streams,
    require_same_task,
    require_same_topologies,
)
from biotune.study.history.events import append, begun
from biotune.study.plans.plans import Plans
from biotune.study.resources.fit import Resources
from biotune.study.resources.kernels import Kernels, added, trust_kernels
from biotune.study.search.progress import SearchProgress
from biotune.tasks import task_digest

PATIENCE = 300.0
"""Seconds that a worker waits for a storage that it cannot reach; after that the study stops, and can be resumed."""


@dataclass(frozen=True)
class Opened:
    """A study that is ready to run.

    Attributes:
        plans: of its trials, with the kernels that they run on.
        results: its directory. state: what state.json holds.
        progress: how far the search is, with the record of everything so far and the journal.
        kernels: what was found out about them.
        checkpoints: where the workers write theirs.
        mirror: copies the results to the storage; None if there is none.
    """

    plans: Plans
    results: Results
    state: State
    progress: SearchProgress
    kernels: Kernels
    checkpoints: Place
    mirror: Mirror | None


def resumed_plans(results: Results, study: Study, trains_here: bool = True) -> Plans:
    """The plans of a study that is resumed, on the kernels it was started with; other arguments as of `Plans.load`.

    Raises:
        UserError: something that its numbers depend on has changed since it was started.
    """
    try:
        plans = Plans.load(study, trains_here)
    except UserError:
        require_same_files(results, study)  # what a user has to know first, if that is why
        raise
    require_same_streams(results)
    require_same_connectomes(results, study, plans.connectomes)
    require_same_task(results, study)
    require_same_topologies(results, plans.topologies)
    return replace(plans, backends=results.read_state().backend)


def open_study(plans: Plans, results: Results, storage: Place | None, resources: Resources) -> Opened:
    """Opens a study in its directory: if it has a journal the study goes on from that, otherwise it begins.

    Args:
        plans: of the study, on the device that its trials get.
        results: its directory, locked.
        storage: where its checkpoints and the copy of its results are kept; None: in its directory.
        resources: of a trial.

    Raises:
        UserError: the workers cannot keep checkpoints there, the kernels cannot be trusted, or the device has changed.
    """
    study, directory, journal = plans.study, results.path, results.journal()
    require_reachable(directory if storage is None else storage)
    past = journal.read()
    if past:
        require_same_device(results, resources.device)
        kernels = _trusted_kernels(plans, resources, directory, again=True)
        state = go_on(results, kernels, storage)
    else:
        kernels = _trusted_kernels(plans, resources, directory, again=False)
        state = begin(plans, results, journal, resources, kernels, storage)
    progress = SearchProgress(study, new_record(study), journal, past, bounded=resources.engines > 0)
    kept = directory if storage is None else storage / directory.name
    checkpoints = patient(kept / "checkpoints", PATIENCE)
    _tidy(checkpoints, progress)
    return Opened(
        plans=replace(plans, backends=state.backend),
        results=results,
        state=state,
        progress=progress,
        kernels=kernels,
        checkpoints=checkpoints,
        mirror=None if kept == directory else Mirror(directory, kept),
    )


def begin(
    plans: Plans, results: Results, journal: Journal, resources: Resources, kernels: Kernels, storage: Place | None
) -> State:
    """Writes the files that a results directory starts with, and the first event of its journal; returns the state."""
    study = plans.study
    resolved = study.resolved()
    state = State(
        schema_version=SCHEMA,
        study=study.config.name,
        phase="search",
        started=now(),
        finished=None,
        seconds={},
        backend=kernels.names,
        device=plans.device,
        matmul_precision=kernels.precision,
        concurrency=resources.concurrency,
        connectomes=used_connectomes(plans),
        conditions=used_conditions(study, plans.same),
        study_sha256=study_digest(resolved),
        task_sha256=task_digest(**study.config.task.options),
        topologies=dict(plans.topologies),
        streams=Streams(sha256=streams_digest(), numpy=np.__version__),
        selection=None,
        set_aside={},
        journal=journal.head,
        storage=None if storage is None else spelled(storage),
    )
    results.write_environment(environment(plans.connectomes, describe_nodes(), kernels.seen, kernels.left_out.values()))
    results.write_study(resolved)
    results.write_state(state)
    append(journal, begun(resolved, state))
    return state


def go_on(results: Results, kernels: Kernels, storage: Place | None) -> State:
    """Adds to environment.json how far the kernels deviate on the machines of today; returns the state."""
    held = results.read_environment()
    results.write_environment(held.model_copy(update={"kernels": added(kernels.seen, held.kernels)}))
    return results.read_state().model_copy(update={"storage": None if storage is None else spelled(storage)})


def now() -> str:
    """The time, in UTC, as state.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _trusted_kernels(plans: Plans, resources: Resources, directory: Path, again: bool) -> Kernels:
    """The kernels that the study runs on; `again` if it is resumed.

    Raises:
        UserError: they cannot be used here, or compute wrong results.
    """
    try:
        return trust_kernels(plans, resources, again)
    except KernelError as error:
        if again:
            raise UserError(f"{directory}: was started with kernels that cannot be used here ({error})") from error
        raise UserError(f"--kernels: {error}; name others, or leave it out") from error


def used_conditions(study: Study, same: Mapping[str, list[str]]) -> dict[str, UsedCondition]:
    """The conditions, as state.json has them; `same`: those arms of each that are the reference."""
    used = {}
    for name, condition in study.conditions.items():
        per_epoch = study.updates_per_epoch(name)
        used[name] = UsedCondition(
            criterion=Criterion(null_loss=study.task_of(name).null_loss, level=study.level(name)),
            updates_per_epoch=per_epoch,
            budget=study.config.confirm.max_epochs * per_epoch,
            replicates=condition.replicates,
            same=same[name],
            gain=condition.gain,
        )
    return used


def used_connectomes(plans: Plans) -> dict[str, UsedConnectome]:
    """The connectome of each arm, as state.json has it."""
    connectomes = {}
    for arm, connectome in plans.connectomes.items():
        provenance = connectome.provenance
        connectomes[arm] = UsedConnectome(
            name=connectome.name,
            asked=plans.study.arms[arm].connectome.name,
            substituted=provenance.substitutes is not None,
            reason=provenance.reason,
            citation=provenance.citation,
            kind=provenance.kind,
            sha256=provenance.sha256,
            species=provenance.species,
            digest=connectome.digest,
            notes=list(provenance.notes),
            regions=_region_names(connectome),
        )
    return connectomes


def _region_names(connectome: Connectome) -> list[str] | None:
    named = connectome.labels is not None and connectome.size <= MOST_KEPT
    return shown(connectome.labels or (), LONGEST_KEPT) if named else None


def _tidy(checkpoints: Place, progress: SearchProgress) -> None:
    """Removes checkpoints that training must not go on from, and makes the folders that the workers write theirs to."""
    folders = [checkpoints / phase for phase in PHASES] if isinstance(checkpoints, Path) else []
    remove_leftovers(*folders)
    drop_ahead(checkpoints, progress.record, progress.study.config.search.rungs)
    for folder in folders:  # last, since drop_ahead may remove one
        folder.mkdir(parents=True, exist_ok=True)
