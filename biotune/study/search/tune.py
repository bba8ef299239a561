"""The search phase: all arms in one Ray Tune run, each with its own sampler and its own ASHA bracket."""

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError, RayTaskError
from ray.tune import CLIReporter, FailureConfig, RunConfig, TuneConfig, TuneError, Tuner
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from biotune.errors import KernelError, StorageError
from biotune.io.files import storage_error
from biotune.io.storage import Place
from biotune.network import DamagedCheckpoint
from biotune.study.cluster.connect import reason_of
from biotune.study.cluster.retries import Retries
from biotune.study.ray_internals import actor_of, error_of, forget, full_disk, names_actor, unknown_end
from biotune.study.resources.fit import Resources
from biotune.study.search.progress import SearchProgress
from biotune.study.search.trainable import search_trial
from biotune.training import EngineError, Engines, ForeignState, TrialPlan


class _Unsaved:
    """Tune pickles its parts to restore a run from them; here a run is restored from the journal, so this is empty."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Ending:
    """Whether the search ends before its trials do: the user has interrupted it, or `error` was raised.

    As a context it keeps an error, to be raised when Tune has ended: Tune would take it for a trial's, and go on.
    """

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self.interrupted = interrupted
        self.error: BaseException | None = None

    def __call__(self) -> bool:
        return self.error is not None or self.interrupted()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self.error = self.error or error
            return True
        return False


class _Searcher(_Unsaved, Searcher):
    """Hands the proposals of a `SearchProgress` to Tune."""

    def __init__(self, progress: SearchProgress, ending: _Ending) -> None:
        super().__init__(metric="objective", mode="min")
        self.progress, self.ending = progress, ending

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        with self.ending:
            proposed = self.progress.propose()
            if proposed is not None:
                return {"trial": proposed.trial, "arm": proposed.arm, "setting": proposed.setting}
            if not self.progress.finished:
                return None  # a running trial may die, and is then proposed again
        return Searcher.FINISHED  # type: ignore[return-value]  # a string that Tune knows

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Nothing: the scheduler has been told already."""

    def save(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""


class _Scheduler(_Unsaved, FIFOScheduler):
    """Hands the trials' reports and ends to a `SearchProgress`, which decides which trials go on.

    Tune itself retries nothing (`max_failures` is 0): it would fail a trial whose worker died before the trial had
    begun, and it counts deaths even if a trial gets further in between. A trial that is retried is proposed again.
    """

    def __init__(
        self,
        progress: SearchProgress,
        checkpoints: Place,
        retries: Retries,
        set_aside: Callable[[Place, str], None],
        changed: Callable[[], None],
        ending: _Ending,
    ) -> None:
        super().__init__()
        self.progress, self.checkpoints, self.retries = progress, checkpoints, retries
        self.set_aside, self.changed, self.ending = set_aside, changed, ending
        self.running: dict[str, str] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        self.running[_name(trial)] = "no actor yet"

    def on_trial_start(self, trial: TuneTrial) -> None:
        """Remembers the actor that runs a trial: Ray's messages give its id, not the trial's."""
        if actor := actor_of(trial):
            self.running[_name(trial)] = actor

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict) -> str:
        verdict = "stop"
        with self.ending:
            verdict = self.progress.report(_name(trial), result["report"])
            self.changed()
        return TrialScheduler.STOP if verdict == "stop" else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict) -> None:
        forget(trial, "report")
        self._end(_name(trial))

    def on_trial_remove(self, tune_controller: Any, trial: TuneTrial) -> None:
        self.on_trial_complete(tune_controller, trial, {})

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        if trial.status == TuneTrial.ERROR:
            return  # Tune restarts it by itself: its machine was taken away
        with self.ending:
            error = error_of(trial)
            forget(trial, "report")
            self._died(_name(trial), error)

    def on_unknown_error(self, error: RayError) -> None:
        """A worker ended in a way that Tune doesn't know, which ended Tune and with it all running trials."""
        named = {name for name, actor in self.running.items() if names_actor(error, actor)}
        for name in list(self.running):
            with self.ending:
                # if it names no worker, count a death for each running trial; otherwise we could restart for ever
                if name in named or not named:
                    self._died(name, error)
                else:
                    self._take_up_again(name)

    def _died(self, name: str, error: Exception | None) -> None:
        cause, checkpoint = error.cause if isinstance(error, RayTaskError) else None, self.checkpoints / f"{name}.pt"
        if isinstance(cause, StorageError | ForeignState | KernelError | EngineError):
            raise cause
        if isinstance(cause, DamagedCheckpoint):
            self.set_aside(checkpoint, str(cause))
            self._take_up_again(name)
        elif self.retries.again(checkpoint):
            self._take_up_again(name)
        else:
            self._end(name, error=reason_of(error) if error else "its worker died")

    def _take_up_again(self, name: str) -> None:
        self.running.pop(name, None)
        self.progress.take_up_again(name)

    def _end(self, name: str, error: str = "") -> None:
        # if the search itself ends, the trial stays unfinished, and goes on when the study is resumed
        if not self.ending():
            with self.ending:
                self.running.pop(name, None)
                self.progress.end(name, error)
                self.changed()


def _name(trial: TuneTrial) -> str:
    return trial.config["trial"]


class _OnStart(_Unsaved, tune.Callback):
    def __init__(self, scheduler: _Scheduler) -> None:
        self.scheduler = scheduler

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self.scheduler.on_trial_start(trial)


class _OnEnding(_Unsaved, tune.Stopper):
    def __init__(self, ending: _Ending) -> None:
        self.ending = ending

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.ending()


class _OnStep(_Unsaved, tune.Callback):
    """Called even while no trial reports, since Ray forgets a metric that is not published for some time."""

    def __init__(self, changed: Callable[[], None], ending: _Ending) -> None:
        self.changed, self.ending = changed, ending

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        with self.ending:
            self.changed()


def run_search(
    progress: SearchProgress,
    plan: Callable[[str, Mapping[str, Any]], TrialPlan],
    *,
    directory: Path,
    checkpoints: Place,
    resources: Resources,
    every: float,
    engines: Engines | None = None,
    set_aside: Callable[[Place, str], None],
    changed: Callable[[], None],
    interrupted: Callable[[], bool],
) -> None:
    """Runs the remaining trials, until none is left or the user interrupts.

    Args:
        progress: proposes trials, and is told how they do.
        plan: (arm, setting) -> the plan of a search trial; sent to the workers.
        directory: the results directory; Ray's own files go into it. checkpoints: where the workers keep theirs.
        resources: of a trial. every: seconds between two checkpoints of a trial.
        engines: that train the networks of all trials; None: each trial trains its own.
        set_aside: called with a checkpoint that cannot be read, and why, before its trial is trained from the start.
        changed: called after every report, and from time to time in between.
        interrupted: whether the user asked to stop.

    Raises:
        StorageError: something could not be written, here or by a trial; the running trials stay unfinished.
        ForeignState: a checkpoint is of another plan, or of topologies that the worker's machine draws otherwise.
        KernelError: a trial's kernels compute wrong results on the worker's machine.
        EngineError: engines cannot train a trial.
    """
    ending = _Ending(interrupted)
    trainable = tune.with_parameters(
        search_trial,
        plan=plan,
        checkpoints=checkpoints,
        rungs=progress.study.config.search.rungs,
        study=progress.study.config.name,
        threads=resources.cpus,
        every=every,
        engines=engines,
    )
    trainable.__name__ = progress.study.config.name  # what the dashboard calls the actors that train
    scheduler = _Scheduler(progress, checkpoints, Retries(directory), set_aside, changed, ending)

    def search() -> None:
        Tuner(
            tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
            tune_config=TuneConfig(
                metric="objective",
                mode="min",
                search_alg=_Searcher(progress, ending),
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=resources.concurrency,
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=RunConfig(
                name="search",
                storage_path=str(directory / "ray"),
                stop=_OnEnding(ending),
                failure_config=FailureConfig(max_failures=0),
                callbacks=[_OnStart(scheduler), _OnStep(changed, ending)],
                progress_reporter=CLIReporter(),  # the one for notebooks clears all that the cell has shown
                verbose=0,
            ),
        ).fit()

    while not (progress.finished or ending()):
        try:
            search()
        except (OSError, TuneError) as error:
            if ending.error is None:
                folder = full_disk(error)
                if folder is None:
                    raise
                ending.error = storage_error(folder, OSError(errno.ENOSPC, ""))
        except RuntimeError as error:
            died = unknown_end(error)
            if died is None or not scheduler.running:
                raise
            scheduler.on_unknown_error(died)  # such as a worker that Ray killed because memory ran out
    if ending.error is not None:
        raise ending.error
