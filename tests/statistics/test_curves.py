"""Learning curves of the replicates of an arm: middle, convergence, and area."""

import math

import numpy as np
import pytest

from biotune import statistics


def test_interquartile_mean_drops_a_quarter_at_each_end():
    losses = np.array([[1.0, 100], [2, 2], [4, 4], [1000, 0]])
    assert statistics.interquartile_mean(losses).tolist() == [3, 3]


def test_diverged_replicates_rank_last():
    assert statistics.interquartile_mean([[1], [2], [4], [np.nan]]).tolist() == [3]
    assert statistics.interquartile_mean([[1], [2], [np.nan], [np.nan]]).tolist() == [math.inf]
    assert statistics.quartiles([1, 2, 3, np.nan]) == (1, 2, 3)
    assert statistics.quartiles([1, np.nan, np.nan, np.nan])[1] == math.inf


def test_kaplan_meier_steps_where_replicates_converge():
    curve = statistics.kaplan_meier([10, 20, 20, 40], [True, True, True, False])
    steps = dict(zip(curve["updates"], curve["share"], strict=True))
    assert steps == pytest.approx({0: 0, 10: 0.25, 20: 0.75, 40: 0.75})
    assert ((curve["low"] <= curve["share"] + 1e-9) & (curve["share"] <= curve["high"] + 1e-9)).all()
    assert statistics.median_updates([10, 20, 20, 40], [True, True, True, False]) == 20
    assert statistics.median_updates([40, 40, 40, 10], [False, False, False, True]) == math.inf


def test_area_under_the_log_loss():
    updates = np.array([0, 10, 20, 30])
    assert statistics.log_loss_area(updates, np.array([1, 0.1, 0.01, 9]), 20) == pytest.approx(0.1)
    assert statistics.log_loss_area(updates, np.array([1, np.nan, 0.01, 1]), 20) == math.inf
    assert statistics.log_loss_area(updates, np.array([1, 0.5, 0.0, 1]), 20) == 0
