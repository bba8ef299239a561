"""What runs on a worker, called here directly: what it yields and returns, from the start and from a checkpoint."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from ray import tune

from biotune.network import Population
from biotune.study import load_study, worker
from biotune.study.plans import Plans
from biotune.training import TrialPlan


@pytest.fixture
def plan(small_space: Path) -> TrialPlan:
    plans = Plans.load(load_study(small_space))
    return plans.plan("real", {"learning_rate": 0.01, "nonlinearity": "relu"}, "confirm", [0, 1])


def test_networks_that_diverge_as_they_are_drawn_are_confirmed_as_diverged(plan: TrialPlan, tmp_path: Path) -> None:
    hopeless = replace(plan, network=replace(plan.network, radius=1e30))
    steps = list(worker.train(hopeless, tmp_path / "none.pt", every=10))
    assert [trial.loop.epoch for trial, _ in steps] == [0]
    done = worker.confirm_block(hopeless, tmp_path / "block.pt", threads=1, every=10)
    assert [outcome["diverged"] for outcome in done["convergence"]] == [True, True]
    assert not any(outcome["converged"] for outcome in done["convergence"])


def test_a_trial_that_goes_on_yields_the_epoch_of_its_checkpoint_first(plan: TrialPlan, tmp_path: Path) -> None:
    started = worker.train(plan, tmp_path / "trial.pt", every=0)
    assert [next(started)[0].loop.epoch for _ in range(3)] == [1, 2, 3]
    started.close()  # killed before epoch 3 was reported
    went_on = [(trial.loop.epoch, trial.score) for trial, _ in worker.train(plan, tmp_path / "trial.pt", every=0)]
    whole = [(trial.loop.epoch, trial.score) for trial, _ in worker.train(plan, tmp_path / "another.pt", every=10)]
    assert went_on == whole[2:]


def test_a_trial_that_is_stopped_leaves_no_tensor_behind(
    small_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune stops a trial by an exception out of `report`, and keeps that exception with its frames."""
    population = []

    def report(_: object) -> None:
        [alive] = [one for one in gc.get_objects() if type(one) is Population]
        population.append(weakref.ref(alive))
        raise SystemExit

    monkeypatch.setattr(tune, "report", report)
    plans = Plans.load(load_study(small_space))
    config = {"arm": "real", "trial": "real-0000", "setting": {"learning_rate": 0.01, "nonlinearity": "tanh"}}
    gc.disable()
    try:
        with pytest.raises(SystemExit) as stopped:
            worker.search_trial(config, plans.search, tmp_path, [1], "small", threads=1, every=10)
        assert stopped.value.__traceback__ is not None
        assert [one() for one in population] == [None]
    finally:
        gc.enable()
