"""What the search makes of errors that Ray Tune ends with; Tune itself is stood in for."""

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayError, RaySystemError, RayTaskError

from biotune.errors import KernelError, UserError
from biotune.io.storage import Place
from biotune.network import DamagedCheckpoint
from biotune.results.journal import Journal
from biotune.study import load_study
from biotune.study.cluster.retries import MAX_RETRIES
from biotune.study.history.record import Record
from biotune.study.resources.fit import Resources
from biotune.study.search.progress import SearchProgress
from biotune.study.search.tune import run_search
from biotune.training import ForeignState


def search(
    space: Path,
    folder: Path,
    tuner: type,
    monkeypatch: pytest.MonkeyPatch,
    set_aside: Callable[[Place, str], None] = lambda checkpoint, reason: None,
) -> SearchProgress:
    monkeypatch.setattr("biotune.study.search.tune.Tuner", tuner)
    progress = SearchProgress(
        load_study(space), Record(2, {"primary": 3}, planned=[16]), Journal(folder / "journal.jsonl"), []
    )
    run_search(
        progress,
        lambda arm, setting: None,  # type: ignore[arg-type,return-value]
        directory=folder,
        checkpoints=folder,
        resources=Resources(cpus=1, gpus=0.0, concurrency=1, dashboard=None),
        every=1.0,
        set_aside=set_aside,
        changed=lambda: None,
        interrupted=lambda: False,
    )
    return progress


def test_an_error_that_names_no_worker_does_not_begin_the_search_again_for_ever(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []

    class Lost:
        def __init__(self, trainable: Any, tune_config: Any, run_config: Any) -> None:
            self.asked = tune_config

        def fit(self) -> None:
            starts.append(self)
            trial = SimpleNamespace(config=self.asked.search_alg.suggest("0"))
            self.asked.scheduler.on_trial_add(None, trial)
            raise RuntimeError("Caught unexpected exception") from RaySystemError("lost")

    record = search(small_space, tmp_path, Lost, monkeypatch).record
    assert {(trial.status, trial.error) for trial in record.trials.values()} == {("failed", "System error: lost")}
    assert len(starts) == len(record.trials) * (MAX_RETRIES + 1)


def test_an_error_before_any_trial_is_raised(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Never:
        def __init__(self, *arguments: Any, **further: Any) -> None: ...

        def fit(self) -> None:
            raise RuntimeError("Caught unexpected exception") from RayError()

    with pytest.raises(RuntimeError, match="unexpected"):
        search(small_space, tmp_path, Never, monkeypatch)


def ends_with(error: UserError, folder: Path, times: int) -> type:
    """A stand-in for Tune in which the first trial meets an error so many times; every other one dies of nothing."""
    file = folder / "error.pkl"
    file.write_bytes(pickle.dumps(RayTaskError("search_trial", "", error)))
    left = [times]

    class Meets:
        def __init__(self, trainable: Any, tune_config: Any, run_config: Any) -> None:
            self.asked, self.stop = tune_config, run_config.stop

        def fit(self) -> None:
            while not self.stop.stop_all() and isinstance(config := self.asked.search_alg.suggest("0"), dict):
                meets = left[0] > 0
                left[0] -= 1
                trial = SimpleNamespace(
                    config=config,
                    status="RUNNING",
                    pickled_error_file=str(file) if meets else None,
                    metric_analysis={},
                    metric_n_steps={},
                    last_result={},
                )
                scheduler = self.asked.scheduler
                scheduler.on_trial_add(None, trial)
                if meets:
                    scheduler.on_trial_error(None, trial)
                else:
                    scheduler.on_trial_complete(None, trial, {})

    return Meets


def test_a_trial_whose_checkpoint_is_damaged_is_tried_again_however_often(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Place, str]] = []
    tuner = ends_with(DamagedCheckpoint("it is damaged"), tmp_path, times=MAX_RETRIES + 3)
    record = search(small_space, tmp_path, tuner, monkeypatch, lambda *one: told.append(one)).record
    assert told == [(tmp_path / "real-0000.pt", "it is damaged")] * (MAX_RETRIES + 3)
    assert {trial.error for trial in record.trials.values()} == {"it ended without having trained to its end"}


@pytest.mark.parametrize("error", [ForeignState("it is of another plan"), KernelError("backend triton deviates")])
def test_a_foreign_checkpoint_or_wrong_kernels_fail_no_trial_but_end_the_search(
    error: UserError, small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error), match=str(error)):
        search(small_space, tmp_path, ends_with(error, tmp_path, 1), monkeypatch)
    assert [event["event"] for event in Journal(tmp_path / "journal.jsonl").read()] == ["proposed"]
