"""The search phase: all arms in one Ray Tune run, each with its own sampler and its own ASHA bracket."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from biotune.study.cluster import Resources, reason_of
from biotune.study.progress import SearchProgress
from biotune.study.worker import search_trial
from biotune.training import TrialPlan

MAX_RETRIES = 2
"""Times that a trial whose worker died is taken up again from its checkpoint before it counts as failed."""

_REPORTED = (
    "first",
    "training",
    "validation",
    "accuracy",
    "score",
    "finished",
    "seconds",
    "mean_updates",
    "converged",
    "diverged",
)


class _Unsaved:
    """Tune pickles what it is given, to restore a run from; here the journal is what a run is restored from."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Searcher(_Unsaved, Searcher):
    """Hands the proposals of a `SearchProgress` to Tune."""

    def __init__(self, progress: SearchProgress) -> None:
        super().__init__(metric="score", mode="min")
        self.progress = progress

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        proposed = self.progress.propose()
        if proposed is None:
            return Searcher.FINISHED  # type: ignore[return-value]  # a string that Tune knows
        return {"trial": proposed.trial, "arm": proposed.arm, "setting": proposed.setting}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The scheduler has told already."""

    def save(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""


class _Scheduler(_Unsaved, FIFOScheduler):
    """Hands the trials' reports and ends to a `SearchProgress`, which decides who goes on."""

    def __init__(self, progress: SearchProgress, changed: Callable[[], None], interrupted: Callable[[], bool]) -> None:
        super().__init__()
        self.progress, self.changed, self.interrupted = progress, changed, interrupted

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict) -> str:
        verdict = self.progress.report(trial.config["trial"], {key: result[key] for key in _REPORTED})
        self.changed()
        return TrialScheduler.STOP if verdict == "stop" else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict) -> None:
        self._end(trial)

    def on_trial_remove(self, tune_controller: Any, trial: TuneTrial) -> None:
        self._end(trial)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        if trial.status == TuneTrial.ERROR:
            return  # Tune says so of a trial that it takes up again, too; one that it gives up is still running
        error = trial.get_error()
        self._end(trial, error=reason_of(error) if error else "the worker died")

    def _end(self, trial: TuneTrial, error: str = "") -> None:
        # stopped because the user asked to: the trial stays unfinished, to go on when the study is resumed
        if not self.interrupted():
            self.progress.end(trial.config["trial"], error)
            self.changed()


class _OnInterrupt(_Unsaved, tune.Stopper):
    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self.interrupted = interrupted

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.interrupted()


class _OnStep(_Unsaved, tune.Callback):
    """While no trial reports, too, since Ray forgets a metric that is not published for some time."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        self.changed()


def run_search(
    progress: SearchProgress,
    plan: Callable[[str, Mapping[str, Any]], TrialPlan],
    *,
    directory: Path,
    resources: Resources,
    changed: Callable[[], None],
    interrupted: Callable[[], bool],
) -> None:
    """Runs the trials that are left, until none is or the user interrupts.

    Args:
        progress: proposes trials, and is told how they do.
        plan: (arm, setting) -> the plan of a search trial; sent to the workers.
        directory: the results directory; checkpoints go under it, and Ray's own files.
        resources: of a trial.
        changed: called after every report, and now and then between.
        interrupted: whether the user asked to stop.
    """
    trainable = tune.with_parameters(
        search_trial,
        plan=plan,
        checkpoints=directory / "checkpoints" / "search",
        rungs=progress.study.config.search.rungs,
        study=progress.study.config.name,
        threads=resources.cpus,
    )
    trainable.__name__ = progress.study.config.name  # what the dashboard calls the actors that train
    Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=TuneConfig(
            metric="score",
            mode="min",
            search_alg=_Searcher(progress),
            scheduler=_Scheduler(progress, changed, interrupted),
            num_samples=-1,
            max_concurrent_trials=resources.concurrency,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.config["trial"],
            trial_dirname_creator=lambda trial: trial.config["trial"],
        ),
        run_config=RunConfig(
            name="search",
            storage_path=str(directory / "ray"),
            stop=_OnInterrupt(interrupted),
            failure_config=FailureConfig(max_failures=MAX_RETRIES),
            callbacks=[_OnStep(changed)],
            verbose=0,
        ),
    ).fit()
