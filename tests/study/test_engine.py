"""A study whose trials hand their networks to an engine ends as if each trial had trained its own."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from biotune.cli import main
from biotune.results import Results
from biotune.results.journal import Journal
from biotune.study import run
from biotune.study.definition.load import load_study
from biotune.study.history.record import Record
from biotune.study.monitor.exports import load_record
from biotune.study.opening import resumed_plans
from biotune.study.resources import packing
from biotune.study.resources.fit import fit_engines
from biotune.study.search.progress import SearchProgress
from biotune.study.worker.engines import EngineActors, why_not_shared
from biotune.training import UNREPORTED, Evaluations, Trial, TrialPlan, TrialReport
from checks import faults
from checks.kills import KINDS
from tests.study.test_run import complete, only_results, same_numbers, tune

INDEPENDENT = ("cpu", "dense")


def backend_of(results: Results) -> str:
    [name] = {name for arms in results.read_json("state")["backend"].values() for name in arms.values()}
    return name


@pytest.mark.slow
def test_an_engine_gives_the_same_tables(finished: tuple[Path, Results, str], tmp_path: Path) -> None:
    space, results, _ = finished
    if backend_of(results) not in INDEPENDENT:
        pytest.skip(f"{backend_of(results)} was the fastest here, and an engine does not take it")
    options = ("--concurrency", "1", "--kernels", backend_of(results), "--engine")
    done = tune("--space", space, "--output", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert "Engine: the networks of all trials are trained together, on the cores" in done.stdout
    same_numbers(results, only_results(tmp_path))


@pytest.mark.long
def test_a_study_with_an_engine_is_killed_in_every_way_and_ends_as_one_without(
    small_space: Path, tmp_path: Path
) -> None:
    found = tmp_path / "found.json"
    assert faults.main(["--space", str(small_space), "--kills", "4", "--engine", "--json", str(found)]) == 0
    assert {kill["kind"] for kill in json.loads(found.read_text())["kills"]} == {"engine", *KINDS}


@pytest.mark.long
def test_trials_on_two_engines_of_which_one_is_killed_have_the_numbers_that_they_have_alone(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with two GPUs, but for the device: as many engines, and trials that run at the same time."""
    fit, begin, over = packing.fit_engines, run.started, threading.Event()
    trained: list[int] = []

    @contextmanager
    def watched(*arguments: Any) -> Iterator[EngineActors]:
        with begin(*arguments) as engines:
            assert engines is not None
            watching = threading.Thread(target=lambda: trained.extend(kill_one(engines, over)))
            watching.start()
            yield engines
            over.set()
            watching.join()

    monkeypatch.setattr(packing, "fit_engines", lambda *given: replace(fit(*given), engines=2))
    monkeypatch.setattr(run, "started", watched)
    options = ["--engine", "--concurrency", "2", "--kernels", "dense", "--output", str(tmp_path / "results")]
    assert main(["run", "--space", str(small_space), *options]) == 0
    assert min(trained) > 0
    results = only_results(tmp_path / "results")
    complete(results, trials=10, confirmed=12)
    study, record = load_record(results)
    plans = resumed_plans(results, study)
    for one in record.trials.values():
        assert_trained_alone(plans.search(one.arm, one.setting), one.curves.validation)
    for block in record.blocks:
        assert_trained_alone(plans.confirm(block.cell, block.replicates), block.curves.validation)


def kill_one(engines: EngineActors, over: threading.Event) -> list[int]:
    """Kills the first engine as soon as each has trained a network; returns for how many epochs they had done so."""
    epochs = [0]
    while not (min(epochs) or over.wait(0.05)):
        epochs = [ray.get(actor.load.remote())[1] for actor in engines.actors]
    if min(epochs):
        os.kill(ray.get(engines.actors[0].process.remote()), signal.SIGKILL)
    return epochs


def assert_trained_alone(plan: TrialPlan, found: np.ndarray) -> None:
    trial = Trial(plan)
    while len(trial.loop.validation_losses) < len(found):
        trial.run_epoch()
    np.testing.assert_array_equal(torch.stack(trial.loop.validation_losses).double().numpy(), found)


@pytest.mark.slow
def test_kernels_that_an_engine_cannot_use_are_named(small_space: Path, tmp_path: Path) -> None:
    done = tune("--space", small_space, "--output", tmp_path, "--engine", "--kernels", "torch_csr")
    assert done.returncode == 2
    assert "backend torch_csr gives a network other numbers in other company" in done.stderr + done.stdout


def test_an_engine_and_a_share_of_a_gpu_exclude_each_other(
    small_space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--space", str(small_space), "--engine", "--gpus-per-trial", "0.5"]) == 2
    assert "--engine, --gpus-per-trial: an engine's trials have no GPU of their own" in capsys.readouterr().err


def test_large_networks_on_a_gpu_are_not_shared() -> None:
    assert why_not_shared(220, "cuda", torch.float32) is None
    assert why_not_shared(1100, "cpu", torch.float32) is None
    assert "no kernels give networks of 1100 neurons" in str(why_not_shared(1100, "cuda", torch.float32))


def test_there_is_an_engine_on_each_gpu_or_one_on_the_cores() -> None:
    gpus = fit_engines([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}], None, None)
    assert (gpus.engines, gpus.engine_gpus, gpus.gpus, gpus.concurrency) == (2, 1, 0.0, 22)
    assert (gpus.device, gpus.of_training.gpus) == ("cuda", 1.0)
    cores = fit_engines([{"CPU": 2.0}], None, None)
    assert (cores.engines, cores.engine_gpus, cores.concurrency, cores.device) == (1, 0, 1 + 1, "cpu")
    assert fit_engines([{"CPU": 2.0, "GPU": 4.0}], None, None).concurrency == 1
    assert fit_engines([{"CPU": 16.0, "GPU": 1.0}], None, 5).concurrency == 5


def test_tpe_knows_twice_as_many_trials_as_run(small_space: Path, tmp_path: Path) -> None:
    """Other arms take the room that one leaves; the common settings wait for nothing."""
    study = load_study(small_space, overrides=["search.trials_per_arm=12", "search.shared_settings=4"])
    record = Record(2, {"primary": 3}, planned=[16])
    progress = SearchProgress(study, record, Journal(tmp_path / "journal.jsonl"), [], bounded=True)

    def end(trial: str) -> None:
        rows: list[list[float | None]] = [[1.0, 1.0]]
        standing = TrialReport(
            Evaluations(first=0, training=rows, validation=rows, accuracy=[]),
            UNREPORTED.__class__(0.5, True, 9.0, 0, 0, 1.0),
        )
        progress.report(trial, standing)
        progress.end(trial)

    begun = [progress.propose() for _ in range(8)]
    assert all(begun)
    assert progress.propose() is None  # nothing has ended that TPE could learn from
    for trial in begun:
        if trial is not None and trial.arm == "real":
            end(trial.trial)
    following = [trial.arm for trial in iter(progress.propose, None) if trial is not None]
    assert following == ["real", "real"]  # half as many as have ended
    again = SearchProgress(
        study, Record(2, {"primary": 3}, planned=[16]), progress.journal, progress.journal.read(), bounded=True
    )
    assert list(again.record.trials) == list(record.trials)
