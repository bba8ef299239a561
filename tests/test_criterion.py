import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.criterion import updates_to_criterion

UPDATES = np.arange(6) * 4


def test_the_crossing_is_interpolated_in_log_loss() -> None:
    losses = np.array([1.0, 0.1, 0.001, 0.001, 0.001, 0.001])
    # from 0.1 to 0.001 the level 0.01 lies half way in log loss, between updates 4 and 8
    assert updates_to_criterion(UPDATES, losses, 0.01, 3, 20) == (pytest.approx(6.0), True)


def test_a_dip_that_is_not_held_does_not_count() -> None:
    losses = np.array([1.0, 0.001, 1.0, 0.001, 0.001, 0.001])
    steps, converged = updates_to_criterion(UPDATES, losses, 0.01, 3, 20)
    assert converged
    assert 8 < steps < 12


def test_a_crossing_at_the_budget_is_seen_to_hold_by_evaluations_past_it() -> None:
    losses = np.array([1.0, 1.0, 1.0, 0.01, 0.001, 0.001])
    assert updates_to_criterion(UPDATES, losses, 0.01, 3, budget=12) == (pytest.approx(12.0), True)
    assert updates_to_criterion(UPDATES, losses[:4], 0.01, 3, budget=12) == (12.0, False)


def test_a_crossing_past_the_budget_is_censored_there() -> None:
    losses = np.array([1.0, 1.0, 1.0, 1.0, 0.001, 0.001])
    assert updates_to_criterion(UPDATES, losses, 0.01, 2, budget=12) == (12.0, False)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_never_converges(bad: float) -> None:
    assert updates_to_criterion(UPDATES, np.full(6, bad), 0.01, 1, 20) == (20.0, False)


def test_a_network_that_never_learns_is_not_fast() -> None:
    # 99 % of its own range is reached at once; the absolute criterion is not
    losses = np.array([0.0840, 0.0833, 0.0833, 0.0833, 0.0833, 0.0833])
    assert updates_to_criterion(UPDATES, losses, 0.00833, 3, 20) == (20.0, False)


@given(
    losses=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30),
    level=st.floats(1e-5, 10),
    sustain=st.integers(1, 4),
)
def test_it_lies_within_the_budget_and_a_lower_level_is_never_met_sooner(
    losses: list[float], level: float, sustain: int
) -> None:
    updates = np.arange(len(losses)) * 3
    budget = int(updates[-1])
    steps, converged = updates_to_criterion(updates, np.array(losses), level, sustain, budget)
    assert 0 <= steps <= budget
    later, also = updates_to_criterion(updates, np.array(losses), level / 2, sustain, budget)
    assert later >= steps - 1e-9
    assert converged or not also
