"""Sign flips, their interval, and the rank of the reference among draws of a null."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune import statistics


class TestSignFlips:
    def test_all_of_one_sign_is_the_rarest_outcome(self):
        assert statistics.sign_flip_p(np.full(10, 0.3), np.random.default_rng(0)) == (2 / 2**10, True)

    @given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
    def test_is_the_share_of_sign_flips_as_extreme(self, differences):
        d = np.array(differences, dtype=float)
        sums = [abs(np.dot(signs, d)) for signs in itertools.product([1, -1], repeat=len(d))]
        expected = np.mean([s >= abs(d.sum()) - 1e-9 for s in sums])
        assert statistics.sign_flip_p(d, np.random.default_rng(0)) == (pytest.approx(expected), True)

    def test_monte_carlo_above_twenty_pairs_agrees_with_scipy(self):
        d = np.random.default_rng(5).normal(0.2, 0.5, 24)
        p, exact = statistics.sign_flip_p(d, np.random.default_rng(1))
        expected = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=50_000, rng=np.random.default_rng(2)
        ).pvalue
        assert not exact
        assert p == pytest.approx(expected, abs=0.006)

    def test_no_difference_at_all_is_no_evidence(self):
        assert statistics.sign_flip_p(np.zeros(6), np.random.default_rng(0))[0] == 1


class TestSignFlipInterval:
    @given(st.lists(st.floats(-3, 3), min_size=6, max_size=9), st.sampled_from([0.9, 0.95]), st.floats(-4, 4))
    def test_holds_what_the_test_does_not_reject(self, differences, confidence, centre):
        generator = np.random.default_rng(0)
        differences = np.array(differences)
        low, high = statistics.sign_flip_interval(differences, confidence, generator)
        p, _ = statistics.sign_flip_p(differences - centre, generator)
        if min(abs(centre - low), abs(centre - high)) > 1e-6:
            assert (low < centre < high) == (p > 1 - confidence)

    def test_has_no_end_with_too_few_pairs(self):
        generator = np.random.default_rng(0)
        assert statistics.sign_flip_interval(np.arange(5.0), 0.95, generator) == (-math.inf, math.inf)
        assert math.isfinite(statistics.sign_flip_interval(np.arange(6.0), 0.95, generator)[0])

    def test_of_more_pairs_than_can_be_listed_is_close_to_the_t_interval(self):
        generator = np.random.default_rng(1)
        differences = generator.normal(0.1, 0.25, 40)
        low, high = statistics.sign_flip_interval(differences, 0.95, generator)
        expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


class TestNullRank:
    def test_outside_all_draws(self):
        found = statistics.null_rank(np.linspace(0.1, 0.5, 19))
        assert (found.draws, found.percentile, found.p) == (19, 0, 1 / 20)
        assert statistics.null_rank(-np.linspace(0.1, 0.5, 19)).percentile == 100

    @given(st.lists(st.integers(-6, 6), min_size=1, max_size=30))
    def test_is_the_share_of_the_draws_as_far_out(self, values):
        d = np.array(values, dtype=float)
        everyone = np.append(d, 0.0)
        far = np.abs(everyone - everyone.mean())
        found = statistics.null_rank(d)
        assert found.p == pytest.approx(np.mean(far >= far[-1] - 1e-9))
        assert found.percentile == pytest.approx(stats.percentileofscore(d, 0, kind="mean"))

    @pytest.mark.parametrize("noise", [0.0, 1.0])
    def test_a_reference_that_is_one_more_draw_is_rarely_outside(self, noise):
        generator = np.random.default_rng(2)
        found = [
            statistics.null_rank(generator.normal(size=19) + noise * generator.normal(size=19) - generator.normal()).p
            for _ in range(8000)
        ]
        assert np.mean(np.array(found) <= 0.05) <= 0.058
        if not noise:
            assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.008)
