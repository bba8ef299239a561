"""A study from start to end: search, select, confirm, with results on disk at every moment, resumed after a kill."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from biotune.digests import study_digest
from biotune.errors import KernelError, StorageError, UserError
from biotune.io.files import remove_leftovers, set_aside
from biotune.io.storage import Place, clear, patient, spelled
from biotune.results import PHASES, SCHEMA, Results
from biotune.results.documents import Connectome, Criterion, State, Streams
from biotune.results.journal import DamagedJournal, Journal
from biotune.seeds import streams_digest
from biotune.study.cluster.connect import connected, describe, require_reachable
from biotune.study.confirm.confirm import run_confirm
from biotune.study.confirm.selection import select
from biotune.study.definition.study import Study
from biotune.study.directory.directory import load_record, locked, new_directory, new_record
from biotune.study.directory.environment import environment
from biotune.study.directory.mirror import Mirror, drop_ahead, resumed_storage
from biotune.study.directory.resume import (
    repair_journal,
    require_same_connectomes,
    require_same_device,
    require_same_streams,
    require_same_task,
    require_same_topologies,
)
from biotune.study.history.events import Selected, SetAside, Spent, append, begun
from biotune.study.interrupt import interruptible
from biotune.study.monitor.display import Display
from biotune.study.monitor.metrics import Metrics
from biotune.study.plans.plans import Plans
from biotune.study.resources.fit import Resources
from biotune.study.resources.kernels import Kernels, added, all_on, trust_kernels
from biotune.study.resources.packing import share_out
from biotune.study.search.progress import SearchProgress
from biotune.study.search.tune import run_search
from biotune.tasks import task_digest
from biotune.training import updates_per_epoch

TABLE_SECONDS = 5.0
"""Seconds between two writings of the tables; the journal is written at every event."""
PATIENCE = 300.0
"""Seconds that a worker waits for a storage that it cannot reach; after that the study stops, and can be resumed."""


@dataclass(frozen=True)
class Options:
    """How a study is run; none of this changes its numbers.

    Attributes:
        output: folder that results directories are made in.
        address: of a Ray cluster; None starts Ray here.
        allow_open: join a cluster even if it asks for no token.
        listen: address that the dashboard listens on, if Ray is started here.
        cpus, gpus, concurrency: see `biotune.study.resources.fit.Resources`; if None they are chosen, and if gpus is
            "auto" it is measured.
        kernels: the backend that all networks run on; with "auto" the fastest is measured.
        checkpoint_every: seconds of training that a trial may lose when it is killed.
        storage: where the workers keep their checkpoints and the results are copied to; None: the results directory.
    """

    output: Path = Path("results")
    address: str | None = None
    allow_open: bool = False
    listen: str = "127.0.0.1"
    cpus: int | None = None
    gpus: float | Literal["auto"] | None = None
    concurrency: int | None = None
    kernels: str = "auto"
    checkpoint_every: float = 10.0
    storage: Place | None = None


class Interrupted(Exception):
    """The user asked to stop; the study can be resumed from its directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))
        self.directory = directory


class Incomplete(UserError):
    """The study could not be finished; its directory can be reported on, and resumed."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(reason)
        self.directory = directory


def run_study(
    study: Study, options: Options, console: Console, resume: Path | None = None, *, repair: bool = False
) -> Path:
    """Runs a study, or what is left of one, and returns its results directory.

    Args:
        study: what to run.
        options: how.
        console: where progress and messages are printed.
        resume: the directory of the same study, killed or interrupted.
        repair: if its journal is damaged, go on from the part before the damage.

    Raises:
        UserError: something that the user can correct; nothing has been written yet.
        Incomplete: nothing trained, or some replicates could not be confirmed; everything else is there.
        StorageError: the disk is full; everything so far is kept.
        Interrupted: the user pressed Ctrl-C; everything so far is kept.
    """
    if resume:
        results = Results.open(resume)
        if repair:
            _repair(results, console)
        _, record = load_record(results)  # reports damage before anything is started
        if (state := results.read_state()).phase == "finished":
            record.write_tables(results)
            console.print(
                f"Done since {state.finished}: only the tables and the report are made again.",
                highlight=False,
                soft_wrap=True,
            )
            return results.path
    plans = Plans.load(study)
    directory = resume.resolve() if resume else new_directory(study, options.output)
    plans = replace(plans, backends=state.backend if resume else all_on(options.kernels, study.arms))
    if resume:
        _require_same(Results.open(directory), plans)
    storage = resumed_storage(Results(directory), options.storage) if resume else options.storage
    if note := study.task.prepare():
        console.print(note, highlight=False, soft_wrap=True)
    console.print("Starting Ray (some seconds) …" if options.address is None else "Joining Ray …", style="dim")
    with (
        interruptible(console, signal.SIGINT) as pressed,
        connected(options.address, options.allow_open, options.listen) as dashboard,
        # Ray's jobs, Slurm and Kubernetes end a job by SIGTERM; set after Ray has started, which sets a handler itself
        interruptible(console, signal.SIGTERM) as terminated,
    ):

        def interrupted() -> bool:
            return pressed() or terminated()

        resources, population = share_out(
            plans,
            console,
            cpus=options.cpus,
            gpus=options.gpus,
            concurrency=options.concurrency,
            dashboard=dashboard,
            grows=options.address is not None,
        )
        plans = replace(plans, device=resources.device)
        if not resume and population != study.config.confirm.population:
            plans = replace(plans, study=study.with_population(population))
        with locked(directory):
            remove_leftovers(directory)
            every = options.checkpoint_every
            run = _open(plans, Results(directory), storage, resources, every, console, interrupted)
            try:
                run.search_and_confirm()
            except StorageError as error:
                raise StorageError(
                    f"{error}, then go on: python tune_main.py --resume {directory} (everything so far is kept)"
                ) from error
            except UserError as error:
                raise Incomplete(directory, str(error)) from error
            except KeyboardInterrupt:
                raise Interrupted(directory) from None
    return directory


def _open(
    plans: Plans,
    results: Results,
    storage: Place | None,
    resources: Resources,
    every: float,
    console: Console,
    interrupted: Callable[[], bool],
) -> "_Run":
    """Opens a study in its directory, ready to run: it goes on from its journal if it has one, and begins if not."""
    study, directory, journal = plans.study, results.path, results.journal()
    kept = directory if storage is None else storage / directory.name
    require_reachable(directory if storage is None else storage)
    past = journal.read()
    if past:
        require_same_device(results, resources.device)
    kernels = _trusted_kernels(plans, resources, directory, again=bool(past))
    opening = _Opening(study, results, journal, resources, kernels, storage)
    state = opening.go_on() if past else opening.begin(plans)
    progress = SearchProgress(study, new_record(study, state.updates_per_epoch), journal, past)
    checkpoints = patient(kept / "checkpoints", PATIENCE)
    _tidy(checkpoints, progress)
    return _Run(
        plans=replace(plans, backends=state.backend),
        results=results,
        state=state,
        progress=progress,
        checkpoints=checkpoints,
        mirror=None if kept == directory else Mirror(directory, kept),
        resources=resources,
        kernels=kernels,
        every=every,
        console=console,
        interrupted=interrupted,
    )


def _require_same(results: Results, plans: Plans) -> None:
    """Makes sure that all that the numbers of a resumed study depend on is as it was when it was started.

    Raises:
        UserError: something has changed.
    """
    require_same_streams(results)
    require_same_connectomes(results, plans.connectomes)
    require_same_task(results, plans.study)
    require_same_topologies(results, plans.topologies)


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


def _tidy(checkpoints: Place, progress: SearchProgress) -> None:
    """Removes checkpoints that training must not go on from, and makes the folders that the workers write theirs to."""
    folders = [checkpoints / phase for phase in PHASES] if isinstance(checkpoints, Path) else []
    remove_leftovers(*folders)
    drop_ahead(checkpoints, progress.record, progress.study.config.search.rungs)
    for folder in folders:  # last, since drop_ahead may remove one
        folder.mkdir(parents=True, exist_ok=True)


@dataclass
class _Run:
    """One run of a study, opened in its directory.

    Attributes:
        plans: of its trials.
        results: its directory. state: what state.json holds.
        progress: how far the search is, with the record of everything so far and the journal.
        checkpoints: where the workers write theirs. mirror: copies the results to the storage, if there is one.
        resources, kernels: of a trial. every: seconds between two checkpoints of a trial.
        console: where progress and messages are printed. interrupted: whether the user asked to stop.
    """

    plans: Plans
    results: Results
    state: State
    progress: SearchProgress
    checkpoints: Place
    mirror: Mirror | None
    resources: Resources
    kernels: Kernels
    every: float
    console: Console
    interrupted: Callable[[], bool]

    def __post_init__(self) -> None:
        study, resources = self.plans.study, self.resources
        self.study, self.record, self.journal = study, self.progress.record, self.progress.journal
        self.directory = self.results.path
        self.banners = _substitutions(self.state.connectomes)
        self.display = Display(
            study,
            self.record,
            concurrency=resources.concurrency,
            console=self.console,
            dashboard=resources.dashboard,
            banners=self.banners,
        )
        self.metrics = Metrics(study, self.record, gpus=resources.gpus > 0)
        self.written = time.monotonic()

    def search_and_confirm(self) -> None:
        """Runs what is left."""
        for banner in self.banners:
            self.console.print(f"NOTE: {banner}", style="bold yellow", soft_wrap=True)
        self.console.print(f"Results: {self.directory}", highlight=False, soft_wrap=True)
        if self.mirror is not None:
            self.mirror.copy()
            self.console.print(f"Storage: {spelled(self.mirror.target)}", highlight=False, soft_wrap=True)
        if self.resources.dashboard:
            self.console.print(f"Dashboard: {self.resources.dashboard}", highlight=False, soft_wrap=True)
        for reason in self.kernels.left_out.values():
            self.console.print(f"NOTE: {reason}; it is left out", style="bold yellow", soft_wrap=True)
        self.console.print(f"Kernels: {self.kernels}", highlight=False, soft_wrap=True)
        with self.display:
            if self.record.selection is None:
                with self._phase("search"):
                    run_search(
                        self.progress,
                        self.plans.search,
                        directory=self.directory,
                        checkpoints=self.checkpoints / "search",
                        resources=self.resources,
                        every=self.every,
                        set_aside=self._set_aside,
                        changed=self._changed,
                        interrupted=self.interrupted,
                    )
                clear(self.checkpoints / "search")
                selection = select(self.study, self.record, self.plans.digest)
                self.record.apply(append(self.journal, Selected(selection=selection)))
            with self._phase("confirm"):
                run_confirm(
                    self.study,
                    self.record,
                    self.journal,
                    self.plans.confirm,
                    checkpoints=self.checkpoints / "confirm",
                    resources=self.resources,
                    every=self.every,
                    set_aside=self._set_aside,
                    changed=self._changed,
                    interrupted=self.interrupted,
                )
        self._write_state("finished", finished=_now())
        self._copy()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """Runs a phase: times it, writes the tables at its end, and ends the study if the user has interrupted it."""
        self._write_state(name)
        self._copy()
        self.display.enter(name)
        self.metrics.publish(name)
        start, full = time.monotonic(), False
        try:
            yield
        except StorageError:
            full = True
            raise
        finally:
            if not full:
                self._close(name, time.monotonic() - start)
        if self.interrupted():
            self._write_state(name)
            self._copy()
            raise Interrupted(self.directory)
        self.display.changed(now=True)

    def _close(self, phase: str, seconds: float) -> None:
        so_far = self.record.seconds.get(phase, 0.0) + seconds
        self.record.apply(append(self.journal, Spent(phase=phase, seconds=so_far)))
        self._write_tables()
        self.metrics.publish(phase, ended=True)
        self._copy()

    def _set_aside(self, checkpoint: Place, reason: str) -> None:
        """Renames a checkpoint that cannot be read, and says that its networks are trained from the start again."""
        name = f"{checkpoint.parent.name}/{checkpoint.name}"
        self.record.apply(append(self.journal, SetAside(checkpoint=name, reason=reason)))
        kept = set_aside(checkpoint)
        text = f"NOTE: {reason}. It is kept as {kept.name}; its networks are trained again from the start."
        self.console.print(text, style="bold yellow", highlight=False, soft_wrap=True)

    def _changed(self) -> None:
        self.display.changed()
        self.metrics.publish(self.display.phase)
        if time.monotonic() - self.written >= TABLE_SECONDS:
            self._write_tables()
        if self.mirror is not None and time.monotonic() >= self.mirror.due:
            self._copy()

    def _copy(self) -> None:
        """Copies the results to the storage; if it cannot be reached, that is only reported: they are safe here."""
        if self.mirror is None:
            return
        try:
            self.mirror.copy()
        except StorageError as error:
            self.console.print(
                f"Not copied to the storage, will be tried again: {error}", style="yellow", soft_wrap=True
            )

    def _write_tables(self) -> None:
        start = time.monotonic()
        self.record.write_tables(self.results)
        # a large study's tables take long to write; this way that takes at most a tenth of the time
        self.written = time.monotonic() + 9 * (time.monotonic() - start)

    def _write_state(self, phase: str, finished: str | None = None) -> None:
        changed = {
            "phase": phase,
            "finished": finished,
            "seconds": self.record.seconds,
            "selection": self.record.selection,
            "set_aside": self.record.set_aside,
            "journal": self.journal.head,
        }
        self.state = self.state.model_copy(update=changed)
        self.results.write_state(self.state)


@dataclass(frozen=True)
class _Opening:
    """Writes what a results directory must hold before a study runs in it: a new one, or one that is resumed.

    Attributes:
        study, results, journal: the study, its directory, and the journal there.
        resources, kernels: of its trials.
        storage: where its checkpoints and the copy of its results are kept; None: in its directory.
    """

    study: Study
    results: Results
    journal: Journal
    resources: Resources
    kernels: Kernels
    storage: Place | None

    def begin(self, plans: Plans) -> State:
        """Writes the files that a directory starts with; returns the state."""
        study = self.study
        connectomes = {}
        for arm, connectome in plans.connectomes.items():
            provenance = connectome.provenance
            connectomes[arm] = Connectome(
                name=connectome.name,
                asked=study.arms[arm].connectome.name,
                substituted=provenance.substitutes is not None,
                reason=provenance.reason,
                citation=provenance.citation,
                kind=provenance.kind,
                sha256=provenance.sha256,
                species=provenance.species,
                digest=connectome.digest,
                notes=list(provenance.notes),
            )
        task = study.config.task
        per_epoch = updates_per_epoch(task.trials, task.train_share, task.batch)
        resolved = study.resolved()
        state = State(
            schema_version=SCHEMA,
            study=study.config.name,
            phase="search",
            started=_now(),
            finished=None,
            seconds={},
            backend=self.kernels.names,
            device=plans.device,
            matmul_precision=self.kernels.precision,
            concurrency=self.resources.concurrency,
            connectomes=connectomes,
            criterion=Criterion(null_loss=study.task.null_loss, level=study.level),
            study_sha256=study_digest(resolved),
            task_sha256=task_digest(**task.options),
            topologies=dict(plans.topologies),
            streams=Streams(sha256=streams_digest(), numpy=np.__version__),
            updates_per_epoch=per_epoch,
            budget=study.config.confirm.max_epochs * per_epoch,
            selection=None,
            set_aside={},
            journal=self.journal.head,
            storage=None if self.storage is None else spelled(self.storage),
        )
        kernels = self.kernels
        self.results.write_environment(
            environment(plans.connectomes, describe()["nodes"], kernels.seen, kernels.left_out.values())
        )
        self.results.write_study(resolved)
        self.results.write_state(state)
        append(self.journal, begun(resolved, state))
        return state

    def go_on(self) -> State:
        """Adds to environment.json how far the kernels deviate on the machines of today; returns the state."""
        held = self.results.read_environment()
        seen = added(self.kernels.seen, held.kernels)
        self.results.write_environment(held.model_copy(update={"kernels": seen}))
        storage = None if self.storage is None else spelled(self.storage)
        return self.results.read_state().model_copy(update={"storage": storage})


def _repair(results: Results, console: Console) -> None:
    """Repairs a damaged journal, and says what that costs."""
    with locked(results.path):
        try:
            results.journal().check()
        except DamagedJournal:
            kept = repair_journal(results)
            left = results.read_state().journal.events
            text = f"NOTE: the journal is damaged from line {left + 1} on; the study goes on from the part before."
            text += "" if kept is None else f" The damaged one is kept as {kept.name}."
            console.print(text, style="bold yellow", highlight=False, soft_wrap=True)
        else:
            console.print("The journal is intact: there is nothing to repair.", highlight=False)


def _substitutions(connectomes: Mapping[str, Connectome]) -> list[str]:
    """A warning for each connectome that was not available and was replaced by another, with the reason."""
    texts = [
        f"{used.asked} was not available, {used.name} takes its place: this run says nothing about the real "
        f"connectome. Reason: {used.reason}"
        for used in connectomes.values()
        if used.substituted
    ]
    return list(dict.fromkeys(texts))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
