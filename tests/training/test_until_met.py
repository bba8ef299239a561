"""A block that is trained until its networks have met the criterion: what it leaves out, and that its T is exact."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biotune.network import load_checkpoint, save_checkpoint
from biotune.training import Trial, TrialPlan
from biotune.training.trial import ENDED_EARLY

MakePlan = Callable[..., TrialPlan]


def train(plan: TrialPlan, trial: Trial | None = None) -> Trial:
    trial = trial or Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    return trial


def validation(trial: Trial) -> np.ndarray:
    return torch.stack(trial.loop.validation_losses).numpy()


@pytest.fixture(scope="module")
def learnt(make_plan: MakePlan) -> Trial:
    """Three networks trained to a budget of 20 epochs, at a level that they meet at different times."""
    to_budget = train(make_plan(phase="confirm", max_epochs=20, sustain=3, network={"learning_rate": 0.02}))
    level = float(np.sort(validation(to_budget), axis=0)[10].max())  # half of the evaluations of each lie below
    return train(replace(to_budget.plan, level=level))


def test_a_block_ends_once_each_network_has_met_and_held_the_criterion(learnt: Trial) -> None:
    early = train(replace(learnt.plan, until_met=True))
    epochs = early.loop.epoch
    assert epochs < learnt.plan.max_epochs < learnt.loop.epoch == learnt.plan.epochs
    np.testing.assert_array_equal(validation(early), validation(learnt)[: epochs + 1])
    below = validation(early) <= learnt.plan.level
    held = np.lib.stride_tricks.sliding_window_view(below, 3, axis=0).all(axis=2)
    assert held.any(axis=0).all()
    assert not held[:-1].any(axis=0).all()  # an epoch before, one of them had not held it yet
    assert [(one.updates, one.converged) for one in early.convergence()] == [
        (one.updates, one.converged) for one in learnt.convergence()
    ]


def test_the_losses_at_the_budget_are_left_empty_with_the_reason(learnt: Trial) -> None:
    for outcome in train(replace(learnt.plan, until_met=True)).convergence():
        assert (outcome.best_loss, outcome.final_loss, outcome.test_loss) == (None, None, None)
        assert outcome.left_empty == ENDED_EARLY
        assert outcome.budget == learnt.budget
    for outcome in learnt.convergence():
        assert None not in (outcome.best_loss, outcome.final_loss, outcome.test_loss)
        assert outcome.left_empty == ""


def test_one_that_never_meets_it_is_trained_to_the_budget_with_all_its_losses(learnt: Trial) -> None:
    plan = replace(learnt.plan, level=1e-9, until_met=True)
    trial = train(plan)
    assert trial.loop.epoch == plan.epochs
    assert trial.convergence() == train(replace(plan, until_met=False)).convergence()
    assert all(outcome.test_loss is not None for outcome in trial.convergence())


def test_a_network_that_diverged_does_not_keep_the_others_going(learnt: Trial) -> None:
    plan = replace(learnt.plan, until_met=True)
    sick = Trial(plan)
    with torch.no_grad():
        sick.loop.population.values[1] = float("nan")
    train(plan, sick)
    assert sick.loop.epoch < plan.max_epochs
    assert [outcome.diverged for outcome in sick.convergence()] == [False, True, False]
    assert [outcome.converged for outcome in sick.convergence()] == [True, False, True]
    one, _, other = learnt.convergence()
    assert [outcome.updates for outcome in sick.convergence()] == [one.updates, sick.budget, other.updates]


def test_it_ends_at_the_same_epoch_when_it_is_resumed(learnt: Trial, tmp_path: Path) -> None:
    plan = replace(learnt.plan, until_met=True)
    whole = train(plan)
    for epochs in (1, whole.loop.epoch - 1, whole.loop.epoch):
        interrupted = Trial(plan)
        for _ in range(epochs):
            interrupted.run_epoch()
        save_checkpoint(tmp_path / "block.pt", interrupted.state_dict())
        resumed = Trial(plan)
        resumed.load_state_dict(load_checkpoint(tmp_path / "block.pt"))
        train(plan, resumed)
        assert resumed.loop.epoch == whole.loop.epoch
        assert resumed.convergence() == whole.convergence()


def test_the_networks_are_the_same_however_long_they_are_trained(learnt: Trial) -> None:
    assert replace(learnt.plan, until_met=True).digest == learnt.plan.digest


@pytest.fixture(scope="module")
def untrained(make_plan: MakePlan) -> Trial:
    return Trial(make_plan(replicates=(0, 1), max_epochs=9, level=0.1, sustain=2))


LOSSES = st.one_of(st.floats(0.01, 1.0), st.floats(0.05, 0.15), st.just(0.1))


@st.composite
def curve(draw: st.DrawFn) -> list[float]:
    """The losses of a network, up to twelve epochs; if it diverges, it stays so."""
    losses = draw(st.lists(LOSSES, min_size=13, max_size=13))
    diverges = draw(st.none() | st.integers(0, 12))
    return losses if diverges is None else losses[:diverges] + [float("nan")] * (13 - diverges)


@given(curves=st.tuples(curve(), curve()), sustain=st.integers(1, 4))
@settings(max_examples=200)
def test_the_updates_to_criterion_are_those_of_training_to_the_budget_whatever_the_curves(
    untrained: Trial, curves: tuple[list[float], list[float]], sustain: int
) -> None:
    """The curves of two networks stand in for their training."""
    plan, loop = replace(untrained.plan, sustain=sustain), untrained.loop
    rows = list(zip(*curves, strict=True))[: plan.epochs + 1]

    def after(epochs: int, until_met: bool) -> Trial:
        untrained.plan = replace(plan, until_met=until_met)
        loop.epoch = epochs
        loop.validation_losses = [torch.tensor(row) for row in rows[: epochs + 1]]
        loop.diverged = ~torch.stack(loop.validation_losses).isfinite().all(dim=0)
        return untrained

    last = len(rows) - 1
    ended = next((epoch for epoch in range(last + 1) if after(epoch, until_met=True).finished), last)
    early = [(one.updates, one.converged) for one in after(ended, until_met=True).convergence()]
    late = [(one.updates, one.converged, one.diverged) for one in after(last, until_met=False).convergence()]
    assert early == [(updates, converged) for updates, converged, _ in late]
