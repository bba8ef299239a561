"""What runs on a worker, called here directly: what it yields and returns, from the start and from a checkpoint."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from ray import tune

from biotune.network import DamagedCheckpoint, Population, load_checkpoint, save_checkpoint
from biotune.study import load_study
from biotune.study.confirm.block import confirm_block
from biotune.study.plans.plans import Plans
from biotune.study.search.trainable import search_trial
from biotune.study.worker.train import train
from biotune.training import ForeignState, TrialPlan, draw_topology, load_networks


@pytest.fixture
def plan(small_space: Path) -> TrialPlan:
    plans = Plans.load(load_study(small_space))
    return plans.plan("real", {"learning_rate": 0.01, "nonlinearity": "relu"}, "confirm", [0, 1])


def test_networks_that_diverge_as_they_are_drawn_are_confirmed_as_diverged(plan: TrialPlan, tmp_path: Path) -> None:
    hopeless = replace(plan, network=replace(plan.network, radius=1e30))
    steps = list(train(hopeless, tmp_path / "none.pt", every=10))
    assert [trial.loop.epoch for trial, _ in steps] == [0]
    *_, done = confirm_block(hopeless, tmp_path / "block.pt", threads=1, every=10)
    assert [outcome.diverged for outcome in done.convergence] == [True, True]
    assert not any(outcome.converged for outcome in done.convergence)


def test_a_trial_that_goes_on_yields_the_epoch_of_its_checkpoint_first(plan: TrialPlan, tmp_path: Path) -> None:
    started = train(plan, tmp_path / "trial.pt", every=0)
    assert [next(started)[0].loop.epoch for _ in range(3)] == [1, 2, 3]
    started.close()  # killed before epoch 3 was reported
    went_on = [(trial.loop.epoch, trial.score) for trial, _ in train(plan, tmp_path / "trial.pt", every=0)]
    whole = [(trial.loop.epoch, trial.score) for trial, _ in train(plan, tmp_path / "another.pt", every=10)]
    assert went_on == whole[2:]


def test_nothing_is_trained_from_a_checkpoint_that_is_damaged(plan: TrialPlan, tmp_path: Path) -> None:
    for content in (bytes(1000), b""):
        (tmp_path / "trial.pt").write_bytes(content)
        with pytest.raises(DamagedCheckpoint, match=r"trial\.pt: .*damaged"):
            next(train(plan, tmp_path / "trial.pt", every=10))
        assert (tmp_path / "trial.pt").read_bytes() == content


def test_nothing_is_trained_from_a_checkpoint_of_another_plan_or_of_other_edges(
    plan: TrialPlan, tmp_path: Path
) -> None:
    file = tmp_path / "trial.pt"
    next(train(plan, file, every=0))
    for other, differs in (
        (replace(plan, max_epochs=9), "max_epochs is 6 there and 9 here"),
        (
            replace(plan, network=replace(plan.network, learning_rate=0.02)),
            "network.learning_rate is 0.01 there and 0.02",
        ),
        (replace(plan, replicates=(1, 0)), r"replicates is \[0, 1\] there and \[1, 0\] here"),
        (replace(plan, study="another"), "study is .* there and .another. here"),
    ):
        with pytest.raises(ForeignState, match=rf"trial\.pt: was trained by another plan: {differs}"):
            next(train(other, file, every=10))
    content = load_checkpoint(file)
    content["topologies"][1] = "0" * 64
    save_checkpoint(file, content)
    with pytest.raises(ForeignState, match=r"trial\.pt: was trained on other edges than .* draws for replicate 1"):
        next(train(plan, file, every=10))


def test_a_checkpoint_is_gone_on_from_on_another_device_or_backend(plan: TrialPlan, tmp_path: Path) -> None:
    next(train(replace(plan, backend="reference"), tmp_path / "trial.pt", every=0))
    trial, _ = next(train(replace(plan, backend="dense"), tmp_path / "trial.pt", every=10))
    assert trial.loop.epoch == 1


def test_a_confirmed_checkpoint_holds_the_networks_and_their_edges(plan: TrialPlan, tmp_path: Path) -> None:
    *_, done = confirm_block(plan, tmp_path / "block.pt", threads=1, every=10)
    networks = load_networks(tmp_path / "block.pt")
    assert [topology.digest for topology in networks.topologies] == [row["digest"] for row in done.topologies]
    assert [topology.digest for topology in networks.topologies] == [
        draw_topology(plan, replicate).digest for replicate in plan.replicates
    ]


def alive() -> list[Population]:
    return [one for one in gc.get_objects() if type(one) is Population]


def test_a_trial_that_is_stopped_leaves_no_tensor_behind(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune stops a trial by an exception out of `report`, and keeps that exception with its frames."""
    population = []
    before = weakref.WeakSet(alive())  # of other tests

    def report(_: object) -> None:
        [made] = [one for one in alive() if one not in before]
        population.append(weakref.ref(made))
        raise SystemExit

    monkeypatch.setattr(tune, "report", report)
    plans = Plans.load(load_study(small_space))
    config = {"arm": "real", "trial": "real-0000", "setting": {"learning_rate": 0.01, "nonlinearity": "tanh"}}
    gc.disable()
    try:
        with pytest.raises(SystemExit) as stopped:
            search_trial(config, plans.search, tmp_path, [1], "small", threads=1, every=10)
        assert stopped.value.__traceback__ is not None
        assert [one() for one in population] == [None]
    finally:
        gc.enable()
