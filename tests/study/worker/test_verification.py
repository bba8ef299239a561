"""Kernels that a study runs on are seen before they are believed: which passes, where, and what if they are wrong."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import biotune_kernels.backends.cuda_graph
import biotune_kernels.backends.dense
import biotune_kernels.select
import biotune_kernels.verification
from biotune.errors import KernelError
from biotune.results import Results
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.study.worker import train
from biotune.study.worker.verification import Asked, batch_sizes, look, trusted_trial, why_unusable
from biotune.training import Trial, TrialPlan
from biotune_kernels.contract import Gradients

TUNE_MAIN = Path(__file__).parents[3] / "tune_main.py"
Run = Callable[..., subprocess.CompletedProcess[str]]
SETTING = {"learning_rate": 0.01, "nonlinearity": "tanh"}


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been found out yet, neither by this process nor by one that it starts."""
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(biotune_kernels.select, "_chosen", {})
    monkeypatch.setattr(biotune_kernels.verification, "_verified", {})


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield 1
    torch.set_num_threads(before)


@pytest.fixture
def plan(small_space: Path) -> TrialPlan:
    return Plans.load(load_study(small_space)).plan("real", SETTING, "confirm", [0, 1])


@pytest.fixture
def wrong_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dense`, with a gradient of the recurrent weights that is off by a hundredth."""
    right = biotune_kernels.backends.dense.backward

    def backward(*arguments: Any) -> Gradients:
        found = right(*arguments)
        return found if found.values is None else found._replace(values=1.01 * found.values)

    monkeypatch.setattr(biotune_kernels.backends.dense, "backward", backward)


@pytest.mark.parametrize(
    ("trials", "share", "batch"), [(60, 0.8, 16), (60, 0.8, 128), (500, 0.8, 128), (20, 0.8, 4), (30, 0.5, 7)]
)
def test_every_pass_that_training_makes_is_looked_at(
    plan: TrialPlan, trials: int, share: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, trials=trials, train_share=share, batch=batch, max_epochs=1, sustain=1, backend="dense")
    made = []
    right = biotune_kernels.backends.dense.forward

    def forward(inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        made.append(inputs.shape[-1])
        return right(inputs, *others)

    monkeypatch.setattr(biotune_kernels.backends.dense, "forward", forward)
    trial = Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    assert sorted(set(made)) == batch_sizes(plan)


def test_a_wrong_backend_is_left_out_of_auto_and_refused_by_name(
    plan: TrialPlan, wrong_dense: None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        biotune_kernels.select, "_measure", lambda names, *_: {name: 1.0 + (name != "dense") for name in names}
    )
    seen = look([Asked("confirm", "real", plan, 2, ["tanh", "relu"])], threads)
    assert seen.names != ["dense"]
    assert list(seen.wrong) == ["dense"]
    assert "backend dense deviates from its definition" in seen.wrong["dense"]
    again = look([Asked("confirm", "real", plan, 2, ["tanh", "relu"])], threads, without=list(seen.wrong))
    assert again.names == seen.names
    assert not again.wrong
    [entry] = again.entries()
    assert (entry.backend, entry.device, entry.batch) == (again.names[0], "cpu", [12, 16])
    assert entry.networks == ["2 × 38 neurons / 1354 edges"]
    assert entry.nonlinearity == ["relu", "tanh"]
    assert all(0 < value <= entry.tolerance for value in entry.deviation.values())
    of_one = Asked("confirm", "real", replace(plan, replicates=(0,), backend=again.names[0]), 2, ["tanh", "relu"])
    assert look([of_one], threads).entries() == again.entries()  # one network stands for both
    by_name = look([Asked("confirm", "real", replace(plan, backend="dense"), 2, ["tanh"])], threads)
    assert (by_name.names, list(by_name.wrong)) == (["dense"], ["dense"])


def test_a_worker_believes_no_kernels_that_its_machine_has_not_seen(
    plan: TrialPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    named = replace(plan, backend="dense")
    assert [trial.loop.epoch for trial, _ in train.train(named, tmp_path / "a.pt", every=10)][-1] == named.epochs
    request.getfixturevalue("wrong_dense")
    list(train.train(named, tmp_path / "b.pt", every=10))  # the machine remembers
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "of another machine"))
    monkeypatch.setattr(biotune_kernels.verification, "_verified", {})
    with pytest.raises(KernelError, match=r"backend dense deviates from its definition in float64"):
        list(train.train(named, tmp_path / "c.pt", every=10))
    with pytest.raises(KernelError, match=r"backend cuda_graph can't be used on .* needs an NVIDIA GPU"):
        trusted_trial(replace(plan, backend="cuda_graph"))


def test_kernels_are_asked_for_on_the_device_of_the_study(
    plan: TrialPlan, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that ran on a GPU goes on there: its kernels, which no CPU has, are usable on that GPU."""
    of_a_gpu = lambda device, dtype: None if device.type == "cuda" else "it needs an NVIDIA GPU"  # noqa: E731
    monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "unusable", of_a_gpu)
    assert why_unusable(replace(plan, backend="cuda_graph", device="cuda")) is None
    assert "needs an NVIDIA GPU" in str(why_unusable(replace(plan, backend="cuda_graph", device="cpu")))
    on_a_gpu = replace(plan, backend="cpu", device="cuda")
    seen = look([Asked("confirm", "real", on_a_gpu, 2, ["tanh"])], threads)
    assert "it runs on cpu only, not on cuda" in seen.wrong["cpu"]


@pytest.fixture
def run(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    monkeypatch.setenv("WRONG", "")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, TUNE_MAIN, "--space", planted, "--output", tmp_path / "results", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.long
def test_a_study_leaves_wrong_kernels_out_and_says_so(run: Run, tmp_path: Path) -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    [results] = map(Results.open, (tmp_path / "results").iterdir())
    assert {name for arms in results.read_json("state")["backend"].values() for name in arms.values()} == {"dense"}
    environment = results.read_json("environment")
    assert {entry["backend"] for entry in environment["kernels"]} == {"dense"}
    for reason in environment["kernels_left_out"]:
        assert f"NOTE: {reason}; it is left out" in done.stdout
    assert environment["kernels_left_out"]
    assert "gradients deviated in relative norm by at most" in (results.path / "report" / "index.html").read_text()


@pytest.mark.long
def test_a_study_refuses_wrong_kernels_that_it_is_told_to_use(run: Run, tmp_path: Path) -> None:
    refused = run("--kernels", "torch_csr")
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith("error: --kernels: backend torch_csr deviates from its definition in float64")
    assert line.endswith("; name others, or leave it out")
    assert not list((tmp_path / "results").glob("*/state.json"))
    done = run("--kernels", "reference")
    assert done.returncode == 0, done.stderr
    [state] = [json.loads(file.read_text()) for file in (tmp_path / "results").glob("*/state.json")]
    assert {name for arms in state["backend"].values() for name in arms.values()} == {"reference"}
