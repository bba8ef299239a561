"""A study from start to end: search, select, confirm, with results on disk at every moment, resumed after a kill."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Literal

from rich.console import Console

from biotune.errors import StorageError, UserError, run_command
from biotune.io.files import remove_leftovers, set_aside
from biotune.io.storage import Place, clear, spelled
from biotune.results import Results
from biotune.results.documents import UsedConnectome
from biotune.results.journal import DamagedJournal
from biotune.study.cluster.connect import connected, nodes
from biotune.study.cluster.head import watched_head
from biotune.study.confirm.confirm import Job, run_confirm
from biotune.study.confirm.course import course, is_done, take_look
from biotune.study.confirm.extension import More, extend, extension_of, require_networks
from biotune.study.confirm.selection import select
from biotune.study.definition.study import Study
from biotune.study.directory.directory import load_record, locked, new_directory, require_folder
from biotune.study.directory.mirror import resumed_storage
from biotune.study.directory.resume import (
    repair_journal,
)
from biotune.study.history.events import Looked, Selected, SetAside, Spent, append
from biotune.study.history.tables import write_tables
from biotune.study.interrupt import interruptible
from biotune.study.monitor.display import Display
from biotune.study.monitor.metrics import Metrics
from biotune.study.monitor.tracking import Tracker, Tracking, make_trackers
from biotune.study.opening import Opened, now, open_study, resumed_plans, used_conditions
from biotune.study.plans.plans import Plans
from biotune.study.resources.estimate import RAY, Span, report
from biotune.study.resources.fit import Resources
from biotune.study.resources.kernels import all_on
from biotune.study.resources.packing import share_out
from biotune.study.search.tune import run_search
from biotune.study.worker.engines import EngineActors, started

TABLE_SECONDS = 5.0
"""Seconds between two writings of the tables; the journal is written at every event."""
PROCESS_SECONDS = 5.0
"""To start a Python process with all that a study imports: where a cluster is joined, its time is not seen."""


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
        engine: whether engines train the networks of all trials, on each GPU or on the cores; gpus is then None.
        kernels: the backend that all networks run on; with "auto" the fastest is measured.
        checkpoint_every: seconds of training that a trial may lose when it is killed.
        storage: where the workers keep their checkpoints and the results are copied to; None: the results directory.
        log: trackers that are told of the study while it runs: see `biotune.study.monitor.tracking`.
    """

    output: Path = Path("results")
    address: str | None = None
    allow_open: bool = False
    listen: str = "127.0.0.1"
    cpus: int | None = None
    gpus: float | Literal["auto"] | None = None
    concurrency: int | None = None
    engine: bool = False
    kernels: str = "auto"
    checkpoint_every: float = 10.0
    storage: Place | None = None
    log: Sequence[str] = ()


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
    study: Study,
    options: Options,
    console: Console,
    resume: Path | None = None,
    *,
    repair: bool = False,
    more: More | None = None,
) -> Path:
    """Runs a study, or what is left of one, and returns its results directory.

    Args:
        study: what to run.
        options: how.
        console: where progress and messages are printed.
        resume: the directory of the same study, killed or interrupted; or finished, if more is asked for.
        repair: if its journal is damaged, go on from the part before the damage.
        more: what is added to it; the study has the conditions of this already.

    Raises:
        UserError: something that the user can correct; nothing has been written yet.
        Incomplete: nothing trained, or some replicates could not be confirmed; everything else is there.
        StorageError: the disk is full; everything so far is kept.
        Interrupted: the user pressed Ctrl-C; everything so far is kept.
    """
    trackers = make_trackers(options.log, study.config.name)
    if resume:
        results = Results.open(resume)
        if repair:
            _repair(results, console)
        _, record = load_record(results)  # reports damage before anything is started
        extension = None if more is None else extension_of(study, record, more, resume)
        if extension is None and (state := results.read_state()).phase == "finished" and is_done(study, record):
            write_tables(record, results)
            console.print(
                f"Done since {state.finished}: only the tables and the report are made again.",
                soft_wrap=True,
            )
            Tracking(trackers, results, record, partial(console.print, style="bold yellow", soft_wrap=True)).close()
            return results.path
        plans = resumed_plans(results, study, trains_here=options.address is None)
        storage = resumed_storage(results, options.storage)
        if extension is not None:
            require_networks(plans, extension, resume)
    else:
        plans = Plans.load(study, trains_here=options.address is None)
        plans = replace(plans, backends=all_on(options.kernels, study.arms))
        results, storage = Results(new_directory(study, options.output)), options.storage
    if isinstance(storage, Path):
        require_folder(storage, "--storage")
    directory = results.path
    for note in [*study.notes, study.task.prepare()]:
        if note:
            console.print(note, soft_wrap=True)
    if not resume:
        plans.try_draws(seconds=0)  # what a worker would find out half a minute later
    start = time.monotonic()
    console.print("Starting Ray (some seconds) …" if options.address is None else "Joining Ray …", style="dim")
    with (
        interruptible(console, signal.SIGINT) as pressed,
        connected(options.address, options.allow_open, options.listen) as dashboard,
        watched_head(f"{run_command()} --resume {directory}", restore=lambda: console.show_cursor(True)) as lost,
        # Ray's jobs, Slurm and Kubernetes end a job by SIGTERM; set after Ray has started, which sets a handler itself
        interruptible(console, signal.SIGTERM) as terminated,
    ):

        def interrupted() -> bool:
            return pressed() or terminated() or lost()

        if options.address is not None:
            plans.require_room(max(node.get("memory", 0.0) for node in nodes()), "the largest machine of the cluster")
        # the report's time is known by how fast Python processes are here, and Ray's start is one of the same kind
        process = (time.monotonic() - start) / fmean(RAY) if options.address is None else PROCESS_SECONDS
        resources, population = share_out(
            plans,
            console,
            cpus=options.cpus,
            gpus=options.gpus,
            concurrency=options.concurrency,
            dashboard=dashboard,
            grows=options.address is not None,
            engine=options.engine,
        )
        plans = replace(plans, device=resources.device)
        if not resume and population != study.config.confirm.population:
            plans = replace(plans, study=study.with_population(population))
        with locked(directory):
            remove_leftovers(directory)
            opened = open_study(plans, results, storage, resources)
            if more is not None and resume is not None:
                record = opened.progress.record  # nobody but this process writes to it from here on
                if extension := extension_of(study, record, more, resume):
                    extend(opened.plans, record, opened.progress.journal, extension)
            afterwards = report(opened.plans.study, process)
            threads = resources.cpus if resources.engine_gpus else max(int(node.get("CPU", 1)) for node in nodes())
            run = _Run(opened, resources, options.checkpoint_every, console, interrupted, afterwards, trackers)
            try:
                with started(resources.engines, resources.device, threads, study.config.name) as run.engines:
                    run.search_and_confirm()
            except StorageError as error:
                raise StorageError(
                    f"{error}, then go on: {run_command()} --resume {directory} (everything so far is kept)"
                ) from error
            except UserError as error:
                raise Incomplete(directory, str(error)) from error
            except KeyboardInterrupt:
                raise Interrupted(directory) from None
            finally:
                run.tracking.close()
    return directory


class _Run:
    """One run of a study.

    Args:
        opened: the study.
        resources: of a trial. every: seconds between two checkpoints of a trial.
        console: where progress and messages are printed. interrupted: whether the user asked to stop.
        afterwards: how long the report will take. trackers: that are told of it.
    """

    def __init__(
        self,
        opened: Opened,
        resources: Resources,
        every: float,
        console: Console,
        interrupted: Callable[[], bool],
        afterwards: Span,
        trackers: dict[str, Tracker],
    ) -> None:
        self.plans, self.results, self.state, self.kernels = opened.plans, opened.results, opened.state, opened.kernels
        self.progress, self.checkpoints, self.mirror = opened.progress, opened.checkpoints, opened.mirror
        self.resources, self.every, self.console, self.interrupted = resources, every, console, interrupted
        self.engines: EngineActors | None = None
        self.record, self.journal = opened.progress.record, opened.progress.journal
        self.study, self.directory = opened.plans.study, opened.results.path
        used = used_conditions(self.study, self.plans.same)
        self.state = self.state.model_copy(update={"conditions": used})
        self.banners = _substitutions(self.state.connectomes)
        self.display = Display(
            self.study,
            self.record,
            concurrency=resources.concurrency,
            console=console,
            dashboard=resources.dashboard,
            banners=self.banners,
            afterwards=afterwards,
        )
        self.metrics = Metrics(self.study, self.record, gpus=resources.device == "cuda")
        say = partial(console.print, style="bold yellow", soft_wrap=True)
        self.tracking = Tracking(trackers, self.results, self.record, say)
        self.written = time.monotonic()

    def search_and_confirm(self) -> None:
        """Runs what is left."""
        for banner in self.banners:
            self.console.print(f"NOTE: {banner}", style="bold yellow", soft_wrap=True)
        self.console.print(f"Results: {self.directory}", soft_wrap=True)
        if self.mirror is not None:
            self.mirror.copy()
            self.console.print(f"Storage: {spelled(self.mirror.target)}", soft_wrap=True)
        if self.resources.dashboard:
            token = " (it asks for the token that `ray get-auth-token` prints)"
            self.console.print(f"Dashboard: {self.resources.dashboard}{token}", soft_wrap=True)
        for reason in self.kernels.left_out.values():
            self.console.print(f"NOTE: {reason}; it is left out", style="bold yellow", soft_wrap=True)
        self.console.print(f"Kernels: {self.kernels}", soft_wrap=True)
        if self.resources.engines:
            count, device = self.resources.engines, self.resources.device
            where = f"{count} {'GPU' if count == 1 else 'GPUs'}" if device == "cuda" else "the cores"
            self.console.print(f"Engine: the networks of all trials are trained together, on {where}", soft_wrap=True)
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
                        engines=self.engines,
                        set_aside=self._set_aside,
                        changed=self._changed,
                        interrupted=self.interrupted,
                    )
                clear(self.checkpoints / "search")
                selection = select(self.study, self.record, self.plans.same, self.plans.digest)
                self.record.apply(append(self.journal, Selected(selection=selection)))
            with self._phase("confirm"):
                self._confirm()
        self._write_state("finished", finished=now())
        self._copy()

    def _confirm(self) -> None:
        """Confirms what is asked for, look by look: an arm that one decides has no part in the next."""
        while True:
            run_confirm(
                self.study,
                self.record,
                self.journal,
                self.plans.confirm,
                checkpoints=self.checkpoints / "confirm",
                resources=self.resources,
                every=self.every,
                engines=self.engines,
                set_aside=self._set_aside,
                changed=self._confirming,
                interrupted=self.interrupted,
            )
            under_way = course(self.study, self.record)
            if self.interrupted() or under_way.look is None:
                return
            look = take_look(self.study, self.record, under_way)
            self.record.apply(append(self.journal, Looked(look=look)))
            self._write_state("confirm")
            self.display.changed(now=True)

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
        self.console.print(text, style="bold yellow", soft_wrap=True)

    def _confirming(self, jobs: Sequence[Job]) -> None:
        self.display.confirming(jobs)
        self._changed()

    def _changed(self) -> None:
        self.display.changed()
        self.metrics.publish(self.display.phase)
        self.tracking.update()
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
        write_tables(self.record, self.results)
        # a large study's tables take long to write; this way that takes at most a tenth of the time
        self.written = time.monotonic() + 9 * (time.monotonic() - start)

    def _write_state(self, phase: str, finished: str | None = None) -> None:
        changed = {
            "phase": phase,
            "finished": finished,
            "seconds": self.record.seconds,
            "selection": self.record.selection,
            "looks": self.record.looks,
            "extensions": self.record.extensions,
            "set_aside": self.record.set_aside,
            "journal": self.journal.head,
        }
        self.state = self.state.model_copy(update=changed)
        self.results.write_state(self.state)


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
            console.print(text, style="bold yellow", soft_wrap=True)
        else:
            console.print("The journal is intact: there is nothing to repair.")


def _substitutions(connectomes: Mapping[str, UsedConnectome]) -> list[str]:
    """A warning for each connectome that was not available and was replaced by another, with the reason."""
    texts = [
        f"{used.asked} was not available, {used.name} takes its place: this run says nothing about the real "
        f"connectome. Reason: {used.reason}"
        for used in connectomes.values()
        if used.substituted
    ]
    return list(dict.fromkeys(texts))
