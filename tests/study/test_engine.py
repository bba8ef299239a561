"""A study whose trials hand their networks to an engine ends as if each trial had trained its own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from biotune.results import Results
from biotune.results.journal import Journal
from biotune.study.definition.load import load_study
from biotune.study.history.record import Record
from biotune.study.resources.fit import fit_engines
from biotune.study.search.progress import SearchProgress
from biotune.study.worker.engines import why_not_shared
from biotune.training import UNREPORTED, Evaluations, TrialReport
from tests.study.test_run import TUNE_MAIN, complete, only_results, same_numbers, tune

INDEPENDENT = ("cpu", "dense")


def backend_of(results: Results) -> str:
    [name] = {name for arms in results.read_json("state")["backend"].values() for name in arms.values()}
    return name


def engines_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if "EngineActor" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_an_engine_gives_the_same_tables(finished: tuple[Path, Results, str], tmp_path: Path) -> None:
    space, results, _ = finished
    if backend_of(results) not in INDEPENDENT:
        pytest.skip(f"{backend_of(results)} was the fastest here, and an engine does not take it")
    options = ("--concurrency", "1", "--kernels", backend_of(results), "--engine")
    done = tune("--space", space, "--output", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert "Engine: the networks of all trials are trained together, on the cores" in done.stdout
    same_numbers(results, only_results(tmp_path))


def test_an_engine_that_is_killed_counts_against_nobody(finished: tuple[Path, Results, str], tmp_path: Path) -> None:
    space, results, _ = finished
    name = backend_of(results) if backend_of(results) in INDEPENDENT else "dense"
    command = [sys.executable, TUNE_MAIN, "--space", space, "--output", tmp_path, "--concurrency", "1"]
    process = subprocess.Popen([*map(str, command), "--engine", "--kernels", name])
    killed: set[int] = set()
    while process.poll() is None:
        for engine in engines_of(psutil.Process(process.pid)) if len(killed) < 4 else []:
            if engine.pid not in killed:
                killed.add(engine.pid)
                time.sleep(1.0)
                engine.send_signal(signal.SIGKILL)
        time.sleep(0.1)
    assert process.returncode == 0
    assert killed
    found = only_results(tmp_path)
    complete(found, trials=10, confirmed=12)
    if name == backend_of(results):
        same_numbers(results, found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gpus-per-trial", "0.5"), "--engine, --gpus-per-trial: an engine's trials have no GPU of their own"),
        (("--kernels", "torch_csr"), "gives a network other numbers in other company"),
    ],
)
def test_what_an_engine_cannot_do_is_said(small_space: Path, tmp_path: Path, options: tuple, message: str) -> None:
    done = tune("--space", small_space, "--output", tmp_path, "--engine", *options)
    assert done.returncode == 2
    assert message in done.stderr + done.stdout


def test_large_networks_on_a_gpu_are_not_shared() -> None:
    import torch

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
    again = SearchProgress(study, Record(2, {"primary": 3}, planned=[16]), progress.journal, progress.journal.read(), bounded=True)
    assert list(again.record.trials) == list(record.trials)
