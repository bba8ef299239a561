"""Experiment trackers: all that a study knows reaches them, once, whatever happens in between."""

import copy
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from biotune.cli import tune_main
from biotune.results import Results
from biotune.study.directory.directory import load_record
from biotune.study.history.record import Record
from biotune.study.monitor.tracking import Tracking, make_trackers
from biotune.study.monitor.tracking import send as sending
from biotune.study.monitor.tracking.news import News, news_of
from biotune.study.monitor.tracking.trackers import NotSent

Finished = tuple[Path, Results, str]


@pytest.fixture
def study(finished: Finished, tmp_path: Path) -> tuple[Results, Record]:
    """A results directory of its own, in which nothing was told yet, and what happened in the finished study."""
    _, held, _ = finished
    _, record = load_record(held)
    (tmp_path / "study").mkdir()
    return Results(tmp_path / "study"), record


def tell(specs: list[str], results: Results, record: Record) -> list[str]:
    said: list[str] = []
    Tracking(make_trackers(specs, "small"), results, record, said.append).close()
    return said


def half_of(record: Record) -> Record:
    """The record as it was before the study was confirmed, while its last trial ran."""
    half = copy.deepcopy(record)
    half.confirmed.clear()
    last = list(half.trials.values())[-1]
    last.status = "running"
    for name in ("training", "validation", "accuracy"):
        setattr(last.curves, name, getattr(last.curves, name)[:1])
    return half


def runs_of(uri: str) -> dict[str, tuple[dict, dict, str, str]]:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small")
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        history = {
            name: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
        }
        assert run.info.run_name not in found
        found[run.info.run_name] = (run.data.params, history, run.info.status, run.data.tags["phase"])
    return found


def test_mlflow_has_every_run_once_though_the_study_was_killed_between(
    study: tuple[Results, Record], tmp_path: Path
) -> None:
    results, record = study
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert tell([f"mlflow:{uri}"], results, half_of(record)) == []
    running = list(record.trials)[-1]
    assert runs_of(uri)[running][2] == "RUNNING"
    assert tell([f"mlflow:{uri}"], results, record) == []
    assert tell([f"mlflow:{uri}"], results, record) == []
    found = runs_of(uri)
    assert set(found) == {news.run for news in news_of(record, {}, set())}
    for trial in record.trials.values():
        params, history, status, phase = found[trial.trial]
        assert (phase, status) == ("search", "FAILED" if trial.status == "failed" else "FINISHED")
        assert params["arm"] == trial.arm
        assert float(params["learning_rate"]) == trial.setting["learning_rate"]
        medians = [statistics.median(row) for row in trial.curves.validation.tolist()]
        assert history["validation_loss"] == [(e, pytest.approx(m)) for e, m in enumerate(medians)]
        assert len(history["training_loss"]) == len(medians) - 1
        assert history["best_loss"][0][1] == pytest.approx(trial.score)
    for block in record.blocks:
        params, history, status, phase = found[block.cell.checkpoint(block.replicates[0])]
        assert (phase, status) == ("confirm", "FINISHED")
        assert "own_best under primary" in params["read_as"] or "pair under primary" in params["read_as"]
        assert history["mean_updates"][0][1] == pytest.approx(statistics.fmean(o.updates for o in block.convergence))


def test_tensorboard_has_a_folder_per_run(study: tuple[Results, Record]) -> None:
    results, record = study
    tell(["tensorboard"], results, half_of(record))
    tell(["tensorboard"], results, record)
    assert {one.name for one in (results.path / "tensorboard").iterdir()} == {n.run for n in news_of(record, {}, set())}


def test_wandb_offline_has_a_run_per_run(study: tuple[Results, Record], monkeypatch: pytest.MonkeyPatch) -> None:
    results, record = study
    for key in [one for one in record.confirmed if one[0] == "real"]:  # fewer runs, each of which takes a moment
        del record.confirmed[key]
    record.trials = dict(list(record.trials.items())[:2])
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tell(["wandb:trials"], results, record) == []
    sent = json.loads((results.path / "tracking.json").read_text())["trackers"]["wandb:trials"]
    assert set(sent) == {news.run for news in news_of(record, {}, set())}
    files = list((results.path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert {file.stem.removeprefix("run-") for file in files} == {run["id"] for run in sent.values()}
    assert all(b"validation_loss" in file.read_bytes() for file in files)


class Flaky:
    """A tracker that can be reached the third time only."""

    def __init__(self) -> None:
        self.calls, self.got = 0, list[News]()

    def open(self, directory: Path) -> None: ...

    def send(self, news: News, known: str | None) -> str:
        self.calls += 1
        if self.calls < 3:
            raise NotSent("nobody answers")
        self.got.append(news)
        return news.run

    def close(self) -> None: ...


def test_a_tracker_that_is_away_for_a_while_misses_nothing(
    study: tuple[Results, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PAUSE", 0.05)
    results, record = study
    flaky, said = Flaky(), list[str]()
    tracking = Tracking({"flaky": flaky}, results, record, said.append)
    tracking.update(now=True)
    tracking.close()
    assert [news.run for news in flaky.got] == [news.run for news in news_of(record, {}, set())]


class Away(Flaky):
    """A tracker that can't be reached."""

    def send(self, news: News, known: str | None) -> str:
        raise NotSent("nobody answers")


def test_a_tracker_that_stays_away_is_named_with_what_it_lacks(
    study: tuple[Results, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 1.0)
    results, record = study
    said: list[str] = []
    tracking = Tracking({"away": Away()}, results, record, said.append)
    tracking.update(now=True)
    assert tracking.lines[0].refused.wait(30)
    tracking.close()
    runs = len(list(news_of(record, {}, set())))
    trouble, left = said
    assert trouble == "NOTE: --log away: nobody answers; it is tried again, and the study goes on"
    assert left.startswith(f"NOTE: --log away: what is new of {runs} runs could not be sent; `--resume ")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mlfow:x", "unknown --log 'mlfow:x'; did you mean 'mlflow:URI'? known: tensorboard, mlflow:URI, wandb"),
        ("mlflow", "--log mlflow: needs where to, such as mlflow:sqlite:///mlflow.db"),
        ("mlflow:http://127.0.0.1:1", "--log mlflow:http://127.0.0.1:1: can't be reached (API request to"),
    ],
)
def test_a_tracker_that_is_not_there_is_an_error_before_anything_is_written(
    spec: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], small_space: Callable[..., Path]
) -> None:
    assert tune_main(["--space", str(small_space), "--log", spec, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
