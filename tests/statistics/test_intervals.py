"""Intervals of shares and of leave-one-out statistics, and the error that comparisons share."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune import statistics


class TestBonferroni:
    def test_bonferroni_shares_the_error_out(self):
        assert statistics.bonferroni(1) == pytest.approx(0.95)
        assert statistics.bonferroni(3) == pytest.approx(1 - 0.05 / 3)


class TestJackknife:
    @given(st.lists(st.floats(-5, 5), min_size=3, max_size=20), st.sampled_from([0.9, 0.95, 0.99]))
    def test_of_a_mean_is_the_t_interval(self, values, confidence):
        x = np.array(values)
        without = [np.delete(x, i).mean() for i in range(len(x))]
        expected = stats.t.interval(confidence, len(x) - 1, x.mean(), stats.sem(x) + 1e-300)
        assert statistics.jackknife_interval(x.mean(), without, confidence) == pytest.approx(expected, abs=1e-9)


def test_wilson_interval():
    found = statistics.share(15, 16)
    z = stats.norm.ppf(0.975)
    centre = (15 / 16 + z**2 / 32) / (1 + z**2 / 16)
    half = z / (1 + z**2 / 16) * math.sqrt(15 / 256 / 16 + z**2 / 4 / 256)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
