"""What the search makes of errors that Ray Tune ends with; Tune itself is stood in for."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayError, RaySystemError, RayTaskError
from ray.tune.experiment import Trial as TuneTrial

from biotune.errors import KernelError
from biotune.journal import Journal
from biotune.study import load_study
from biotune.study.cluster import Resources
from biotune.study.progress import SearchProgress
from biotune.study.record import Record
from biotune.study.retries import MAX_RETRIES
from biotune.study.search import run_search


def search(space: Path, folder: Path, tuner: type, monkeypatch: pytest.MonkeyPatch) -> SearchProgress:
    monkeypatch.setattr("biotune.study.search.Tuner", tuner)
    progress = SearchProgress(load_study(space), Record(2, 3), Journal(folder / "journal.jsonl"), [])
    run_search(
        progress,
        lambda arm, setting: None,  # type: ignore[arg-type,return-value]
        directory=folder,
        checkpoints=folder,
        resources=Resources(cpus=1, gpus=0.0, concurrency=1, dashboard=None),
        every=1.0,
        set_aside=lambda checkpoint, reason: None,
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


def test_kernels_that_are_wrong_where_a_trial_was_to_run_end_the_search_and_no_trial(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused:
        def __init__(self, trainable: Any, tune_config: Any, run_config: Any) -> None:
            self.asked = tune_config

        def fit(self) -> None:
            error = RayTaskError("train", "Traceback", KernelError("backend triton deviates"))
            file = tmp_path / "error.pkl"
            file.write_bytes(pickle.dumps(error))
            trial = SimpleNamespace(
                config=self.asked.search_alg.suggest("0"),
                status=TuneTrial.PENDING,
                pickled_error_file=file,
                metric_analysis={},
                metric_n_steps={},
                last_result={},
            )
            self.asked.scheduler.on_trial_add(None, trial)
            self.asked.scheduler.on_trial_error(None, trial)

    with pytest.raises(KernelError, match="backend triton deviates"):
        search(small_space, tmp_path, Refused, monkeypatch)
    assert [event["event"] for event in Journal(tmp_path / "journal.jsonl").read()] == ["proposed"]
