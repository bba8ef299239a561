"""A study from start to end: search, select, confirm, with results on disk at every moment, resumed after a kill."""

import fcntl
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from rich.console import Console

from biotune.connectome import Connectome, load_connectome
from biotune.errors import UserError
from biotune.results import SCHEMA, Results
from biotune.study.cluster import Resources, connected, describe, fit_resources, require_shared
from biotune.study.confirm import Job, run_confirm
from biotune.study.display import Display
from biotune.study.environment import environment
from biotune.study.journal import Journal
from biotune.study.progress import SearchProgress
from biotune.study.record import Record
from biotune.study.search import run_search
from biotune.study.selection import select
from biotune.study.study import Setting, Study, load_study
from biotune.training import Trial, TrialPlan, draw_topology
from kernels import choose_backend

TABLE_SECONDS = 5.0
"""Between two writings of the tables; the journal is written at every event."""


@dataclass(frozen=True)
class Options:
    """How a study is run, which changes none of its numbers.

    Attributes:
        output: folder that results directories are made in.
        address: of a Ray cluster; None starts Ray here.
        cpus, gpus, concurrency: see `biotune.study.cluster.Resources`; None chooses.
    """

    output: Path = Path("results")
    address: str | None = None
    cpus: int | None = None
    gpus: float | None = None
    concurrency: int | None = None


class Interrupted(Exception):
    """The user asked to stop; the study can be resumed from its directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))
        self.directory = directory


def load_connectomes(study: Study) -> dict[str, Connectome]:
    """The connectome of each arm, read once where arms share it, and each arm's first topology tried.

    Raises:
        UserError: one can't be had, or an arm's null or options don't fit it.
    """
    loaded: dict[tuple[str, str | None], Connectome] = {}
    connectomes = {}
    for name, arm in study.arms.items():
        key = (arm.connectome.name, arm.connectome.otherwise)
        if key not in loaded:
            loaded[key] = load_connectome(key[0], otherwise=key[1], seed=study.config.seed)
        connectomes[name] = loaded[key]
        try:
            draw_topology(_plan(study, name, {}, connectomes, phase="confirm", replicates=[0]), 0)
        except (UserError, ValueError) as error:
            raise UserError(f"arm {name}: {error}") from error
    return connectomes


def run_study(study: Study, options: Options, console: Console, resume: Path | None = None) -> Path:
    """Runs a study, or what is left of one, and returns its results directory.

    Args:
        study: what to run.
        options: how.
        console: what a person sees.
        resume: the directory of the same study, killed or interrupted.

    Raises:
        UserError: something that the user can mend, before anything is written.
        Interrupted: the user pressed Ctrl-C; everything so far is kept.
    """
    connectomes = load_connectomes(study)
    directory = resume.resolve() if resume else _new_directory(study, options.output)
    if resume:
        _require_same_connectomes(Results.open(directory), connectomes)
    else:
        _require_writable(options.output)
    console.print("Starting Ray (some seconds) …" if options.address is None else "Joining Ray …", style="dim")
    with _interruptible(console) as interrupted, connected(options.address) as dashboard:
        resources = fit_resources(options.cpus, options.gpus, options.concurrency, dashboard)
        with _locked(directory):
            run = _Run(study, connectomes, directory, resources, console, interrupted)
            run.search_and_confirm()
    return directory


def estimate(study: Study, connectomes: Mapping[str, Connectome], concurrency: int) -> dict[str, float]:
    """Seconds that a study will take about, by phase, from two epochs of each arm trained here on one thread.

    ASHA lets about `1/reduction` of the trials pass each rung, somewhat more while few have reached it: half the
    excess is counted.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    search, confirm = study.config.search, study.config.confirm
    setting = {key: domain.ends[0] for key, domain in study.config.tune.items()}
    per_epoch = []
    for arm in study.arms:
        plan = _plan(study, arm, setting, connectomes, phase="search", replicates=range(search.replicates))
        trial = Trial(plan)
        trial.run_epoch()
        start = time.perf_counter()
        trial.run_epoch()
        per_epoch.append((time.perf_counter() - start) / search.replicates)
    torch.set_num_threads(threads)
    epochs, before, passing = 0.0, 0, 1.0
    for rung in [*search.rungs, search.max_epochs]:
        epochs += passing * (rung - before)
        before, passing = rung, passing * (1 / search.reduction + 1) / 2
    a_replicate_of_all = sum(per_epoch)
    return {
        "search": a_replicate_of_all * search.trials_per_arm * search.replicates * epochs / concurrency,
        "confirm": a_replicate_of_all * 2 * confirm.replicates * confirm.max_epochs / concurrency,
    }


def load_resumed(directory: Path, space: Path | None) -> Study:
    """The study of a results directory, to go on with.

    Args:
        directory: of a study that was killed or interrupted.
        space: the YAML that it was started from, if the user names it: it must be the same study.

    Raises:
        UserError: not a results directory, or that of another study.
    """
    results = Results.open(directory)
    study = load_study(results.path / "study.yaml")
    if space is not None:
        asked = load_study(space).resolved()
        held = study.resolved()
        for key in held:
            if key != "description" and asked[key] != held[key]:
                raise UserError(
                    f"--resume {directory}: holds another study than {space}: {key} is {held[key]!r} there and "
                    f"{asked[key]!r} here; leave --space out to go on with the one that is there"
                )
    return study


class _Run:
    """One run of a study in its directory."""

    def __init__(
        self,
        study: Study,
        connectomes: dict[str, Connectome],
        directory: Path,
        resources: Resources,
        console: Console,
        interrupted: Callable[[], bool],
    ) -> None:
        self.study, self.connectomes, self.resources = study, connectomes, resources
        self.directory, self.interrupted, self.console = directory, interrupted, console
        self.results = Results(directory)
        self.journal = Journal(directory / "journal.jsonl")
        require_shared(directory)
        past = self.journal.read()
        self.state = self.results.read_json("state") if past else self._first_state()
        updates = -(-round(study.config.task.trials * study.config.task.train_share) // study.config.task.batch)
        self.record = Record(study.config.search.replicates, updates)
        self.progress = SearchProgress(study, self.record, self.journal, past)
        self.display = Display(
            study,
            self.record,
            concurrency=resources.concurrency,
            console=console,
            dashboard=resources.dashboard,
            notes=self.state["notes"],
        )
        self.written = time.monotonic()

    def search_and_confirm(self) -> None:
        """Runs what is left."""
        for note in self.state["notes"]:
            self.console.print(f"NOTE: {note}", style="bold yellow")
        self.console.print(f"Results: {self.directory}", highlight=False, soft_wrap=True)
        with self.display:
            if self.record.selection is None:
                with self._phase("search"):
                    run_search(
                        self.progress,
                        _SearchPlans(self.study, self.connectomes, self.state["backend"]["search"], self.device),
                        directory=self.directory,
                        resources=self.resources,
                        changed=self._changed,
                        interrupted=self.interrupted,
                    )
                _remove(self.directory / "checkpoints" / "search")
                event = self.journal.append(select(self.study, self.record))
                self.record.apply(event)
            with self._phase("confirm"):
                run_confirm(
                    self.study,
                    self.record,
                    self.journal,
                    self._confirm_plan,
                    directory=self.directory,
                    resources=self.resources,
                    changed=self._changed,
                    interrupted=self.interrupted,
                )
        self._write_state("finished", finished=_now())

    @property
    def device(self) -> str:
        return self.resources.device

    def _confirm_plan(self, job: Job) -> TrialPlan:
        backend = self.state["backend"]["confirm"][job.arm]
        return _plan(
            self.study,
            job.arm,
            job.setting,
            self.connectomes,
            phase="confirm",
            replicates=job.replicates,
            backend=backend,
            device=self.device,
        )

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """A phase: timed, its tables written at its end, and left in order when the user interrupts."""
        self._write_state(name)
        self.display.enter(name)
        start = time.monotonic()
        try:
            yield
        finally:
            event = {"event": "spent", "phase": name, "seconds": time.monotonic() - start}
            self.record.apply(self.journal.append(event))
            self._write_tables()
        if self.interrupted():
            self._write_state(name)
            raise Interrupted(self.directory)
        self.display.changed(now=True)

    def _changed(self) -> None:
        self.display.changed()
        if time.monotonic() - self.written >= TABLE_SECONDS:
            self._write_tables()

    def _write_tables(self) -> None:
        start = time.monotonic()
        self.results.write_table("trials", self.record.trials_table())
        self.results.write_table("curves", self.record.curves_table())
        self.results.write_table("convergence", self.record.convergence_table())
        self.results.write_table("topologies", self.record.topologies_table())
        # a large study's tables take long to write: never more than a tenth of the time
        self.written = time.monotonic() + 9 * (time.monotonic() - start)

    def _write_state(self, phase: str, finished: str | None = None) -> None:
        self.state |= {
            "phase": phase,
            "finished": finished,
            "seconds": self.record.seconds,
            "selection": self.record.selection,
        }
        self.results.write_json("state", self.state)

    def _first_state(self) -> dict[str, Any]:
        """Writes the files that a directory starts with; returns the state."""
        study, config = self.study, self.study.config
        self.directory.mkdir(parents=True, exist_ok=True)
        notes = []
        connectomes = {}
        for arm, connectome in self.connectomes.items():
            provenance = connectome.provenance
            substituted = provenance.substitutes is not None
            connectomes[arm] = {
                "name": connectome.name,
                "asked": study.arms[arm].connectome.name,
                "substituted": substituted,
                "reason": provenance.reason,
                "citation": provenance.citation,
                "kind": provenance.kind,
                "sha256": provenance.sha256,
                "species": provenance.species,
                "digest": _digest(connectome),
            }
            if substituted:
                notes.append(
                    f"{provenance.substitutes} could not be had ({provenance.reason}): {connectome.name} takes its "
                    "place, so this run says nothing about the real connectome"
                )
        budget = config.confirm.max_epochs * -(
            -round(config.task.trials * config.task.train_share) // config.task.batch
        )
        state = {
            "schema": SCHEMA,
            "study": config.name,
            "phase": "search",
            "started": _now(),
            "finished": None,
            "seconds": {},
            "backend": self._choose_backends(),
            "device": self.device,
            "concurrency": self.resources.concurrency,
            "connectomes": connectomes,
            "criterion": {"null_loss": study.task.null_loss, "level": study.level},
            "updates_per_epoch": budget // config.confirm.max_epochs,
            "budget": budget,
            "selection": None,
            "notes": list(dict.fromkeys(notes)),
        }
        self.results.write_study(study.resolved())
        self.results.write_json("environment", environment(self.connectomes) | {"cluster": describe()})
        self.results.write_json("state", state)
        return state

    def _choose_backends(self) -> dict[str, dict[str, str]]:
        """The kernel backend of each phase and arm, measured where a trial would run, once for a shape."""
        task = ray.remote(_choose).options(num_cpus=self.resources.cpus, num_gpus=self.resources.gpus)
        config = self.study.config
        setting = {key: domain.ends[0] for key, domain in config.tune.items()}
        sizes = {
            "search": min(config.search.replicates, config.search.replicates),
            "confirm": min(config.confirm.population, config.confirm.replicates),
        }
        plans = {
            (phase, arm): _plan(
                self.study,
                arm,
                setting,
                self.connectomes,
                phase=phase,
                replicates=range(size),
                device=self.device,
            )
            for phase, size in sizes.items()
            for arm in self.study.arms
        }
        # one after another, on a worker of its own: measurements must not disturb each other
        names = ray.get(task.remote(list(plans.values()), self.resources.cpus))
        chosen: dict[str, dict[str, str]] = {"search": {}, "confirm": {}}
        for (phase, arm), name in zip(plans, names, strict=True):
            chosen[phase][arm] = name
        return chosen


@dataclass(frozen=True)
class _SearchPlans:
    """(arm, setting) -> the plan of a search trial, on any worker."""

    study: Study
    connectomes: dict[str, Connectome]
    backends: dict[str, str]
    device: str

    def __call__(self, arm: str, setting: Setting) -> TrialPlan:
        replicates = range(self.study.config.search.replicates)
        return _plan(
            self.study,
            arm,
            setting,
            self.connectomes,
            phase="search",
            replicates=replicates,
            backend=self.backends[arm],
            device=self.device,
        )


def _plan(
    study: Study,
    arm: str,
    setting: Setting,
    connectomes: Mapping[str, Connectome],
    *,
    phase: str,
    replicates: Any,
    backend: str = "auto",
    device: str = "cpu",
) -> TrialPlan:
    return study.plan(
        arm,
        setting,
        phase=phase,
        replicates=list(replicates),
        connectome=connectomes[arm],
        backend=backend,
        device=device,
    )


def _choose(plans: list[TrialPlan], threads: int) -> list[str]:
    torch.set_num_threads(threads)
    names = []
    for plan in plans:
        trial = Trial(plan)
        pattern = trial.loop.population.pattern
        task = trial.task
        names.append(
            choose_backend(pattern, plan.batch, task.time, task.input_size, plan.network.nonlinearity, plan.dtype)
        )
    return names


def _digest(connectome: Connectome) -> str:
    """SHA-256 of the edges, so that a resumed study is sure to go on with the same connectome."""
    digest = hashlib.sha256()
    for array in (connectome.source, connectome.target, connectome.weight):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _require_same_connectomes(results: Results, connectomes: Mapping[str, Connectome]) -> None:
    for arm, before in results.read_json("state")["connectomes"].items():
        if before["digest"] != _digest(connectomes[arm]):
            raise UserError(
                f"{results.path}: arm {arm} was started with the connectome {before['name']} ({before['kind']}), now "
                f"there is {connectomes[arm].name} ({connectomes[arm].provenance.kind}); set BIOTUNE_DATA as it was"
            )


def _new_directory(study: Study, output: Path) -> Path:
    output = output.expanduser().resolve()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    directory, number = output / f"{study.config.name}-{stamp}", 1
    while directory.exists():
        number += 1
        directory = output / f"{study.config.name}-{stamp}-{number}"
    return directory


def _require_writable(output: Path) -> None:
    """Refuses an output folder that can't be written, without creating it."""
    output = output.expanduser().resolve()
    existing = output
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"--output {output}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--output {output}: {existing} cannot be written to; name another folder")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keeps a second process from running the same study; the lock ends with the process, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{directory}: another process is running this study; wait for it, or end it") from None
        yield


class _interruptible:
    """Within it, Ctrl-C once asks the study to stop, twice ends it at once; gives the question whether it did."""

    def __init__(self, console: Console) -> None:
        self.console, self.pressed = console, False

    def __enter__(self) -> Callable[[], bool]:
        self.before = signal.signal(signal.SIGINT, self._press)
        return lambda: self.pressed

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def _press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self.console.print("Stopping; everything so far is kept (Ctrl-C again: at once) …", style="yellow")


def _remove(folder: Path) -> None:
    for file in folder.glob("*.pt") if folder.exists() else ():
        file.unlink()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
