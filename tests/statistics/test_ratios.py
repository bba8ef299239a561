"""The ratio of two arms, of all pairs of arms, and pooled over tasks, with their intervals."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune import statistics


class TestRatio:
    def test_is_scipys_paired_t_interval_on_the_log_ratio(self):
        arm, reference = np.exp(np.random.default_rng(0).normal([[5.3], [5.0]], 0.3, (2, 16)))
        ratio = statistics.geometric_ratio(statistics.log_ratios(arm, reference), 0.98)
        expected = stats.ttest_rel(np.log(arm), np.log(reference)).confidence_interval(0.98)
        assert (math.log(ratio.low), math.log(ratio.high)) == pytest.approx((expected.low, expected.high))
        assert ratio.estimate == pytest.approx(stats.gmean(arm / reference))
        assert ratio.pairs == 16

    def test_one_pair_leaves_the_interval_open(self):
        ratio = statistics.geometric_ratio(np.array([math.log(3.0)]), 0.95)
        assert (ratio.estimate, ratio.low, ratio.high) == (pytest.approx(3), 0.0, math.inf)

    def test_identical_pairs_have_an_interval_without_width(self):
        ratio = statistics.geometric_ratio(statistics.log_ratios([100, 200], [100, 200]), 0.95)
        assert (ratio.low, ratio.estimate, ratio.high) == (1, 1, 1)

    def test_a_criterion_met_before_the_first_update_counts_as_one_update(self):
        assert statistics.log_ratios([0.0, 0.2], [1.0, 1.0]).tolist() == [0, 0]

    def test_refuses_arms_that_are_not_pairs(self):
        with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
            statistics.log_ratios([1, 2], [1, 2, 3])

    @given(st.lists(st.floats(1, 1e6), min_size=2, max_size=20), st.floats(1.01, 100))
    def test_swapping_the_arms_inverts_it_and_scaling_both_leaves_it(self, updates, factor):
        generator = np.random.default_rng(1)
        arm = np.array(updates)
        reference = arm * np.exp(generator.normal(0, 0.3, len(arm)))
        arm, reference = arm * 2, reference * 2  # clear of the floor of one update
        there, back, scaled = (
            statistics.geometric_ratio(statistics.log_ratios(*pair), 0.95)
            for pair in ((arm, reference), (reference, arm), (arm * factor, reference * factor))
        )
        assert (there.estimate * back.estimate, there.low * back.high) == pytest.approx((1, 1))
        assert (scaled.low, scaled.high) == pytest.approx((there.low, there.high))


class TestRatioMatrix:
    @given(
        st.integers(2, 5).flatmap(
            lambda arms: st.lists(
                st.lists(st.floats(1, 1e6) | st.just(math.nan), min_size=arms, max_size=arms), min_size=1, max_size=8
            )
        )
    )
    def test_the_ratio_of_two_arms_is_one_over_that_of_the_same_two_turned_round(self, replicates):
        updates = np.array(replicates).T
        found = statistics.ratio_matrix(updates)
        for a, b in itertools.product(range(len(updates)), repeat=2):
            there, back = found[a][b], found[b][a]
            common = np.count_nonzero(~np.isnan(updates[[a, b]]).any(axis=0))
            assert (there is None) == (back is None) == (a == b or common == 0)
            if there is not None:
                assert there.pairs == common
                assert there.estimate == pytest.approx(1 / back.estimate)
                assert there.low == pytest.approx(1 / back.high if back.high else math.inf)
                assert there.high == pytest.approx(1 / back.low if back.low else math.inf)

    @given(st.integers(0, 2**32))
    def test_ratios_of_a_ladder_multiply(self, seed):
        updates = np.random.default_rng(seed).uniform(1, 1e3, (3, 9))
        ratio = statistics.ratio_matrix(updates)
        assert ratio[0][1].estimate * ratio[1][2].estimate == pytest.approx(ratio[0][2].estimate)

    def test_each_is_the_paired_ratio_at_a_confidence_for_all_pairs_of_arms(self):
        updates = np.random.default_rng(1).uniform(50, 200, (4, 16))
        expected = statistics.geometric_ratio(statistics.log_ratios(updates[3], updates[1]), 1 - 0.05 / 6)
        assert statistics.ratio_matrix(updates)[3][1] == expected

    def test_takes_a_table_only(self):
        with pytest.raises(ValueError, match=r"\[arms, replicates\], found \(2,\)"):
            statistics.ratio_matrix([1.0, 2.0])

    @pytest.mark.parametrize(("skew", "least"), [(0.0, 0.94), (0.7, 0.90)])
    def test_all_intervals_hold_together(self, skew, least):
        """Five arms with spreads of their own; at 95 % each, all would hold in 64 to 71 % of the studies."""
        generator, spread = np.random.default_rng(2), np.linspace(0.1, 0.4, 5)[:, None]
        true = np.array([0, 0.1, 0.2, 0.3, 0.7])
        held = []
        for _ in range(400):
            noise = generator.normal(size=(5, 16))
            if skew:
                noise = (np.exp(skew * noise) - math.exp(skew**2 / 2)) / skew  # its mean is 0
            common = generator.normal(0, 0.3, 16)
            found = statistics.ratio_matrix(np.exp(5 + true[:, None] + common + spread * noise))
            held.append(
                all(
                    found[a][b].low <= math.exp(true[a] - true[b]) <= found[a][b].high
                    for a, b in itertools.combinations(range(5), 2)
                )
            )
        assert least <= np.mean(held) <= 0.99


class TestBootstrapT:
    def test_is_scipys_resampling_of_t(self):
        d = np.random.default_rng(4).exponential(size=14)
        ratio = statistics.bootstrap_t(d, 0.95, np.random.default_rng(0))

        def t(sample, axis=-1):
            return (sample.mean(axis) - d.mean()) / (sample.std(axis, ddof=1) / np.sqrt(len(d)))

        drawn = stats.bootstrap(
            (d,), t, n_resamples=30_000, rng=np.random.default_rng(1), method="percentile"
        ).bootstrap_distribution
        high, low = d.mean() - np.quantile(drawn, [0.025, 0.975]) * d.std(ddof=1) / np.sqrt(len(d))
        assert (math.log(ratio.low), math.log(ratio.high)) == pytest.approx((low, high), rel=0.05)
        assert ratio.estimate == pytest.approx(np.exp(d.mean()))
        assert math.log(ratio.high) - d.mean() > d.mean() - math.log(ratio.low)  # skewed as the pairs are

    def test_covers_where_log_ratios_are_skewed(self):
        generator = np.random.default_rng(11)
        found = [statistics.bootstrap_t(generator.exponential(size=16) - 1, 0.95, generator) for _ in range(400)]
        assert 0.91 <= np.mean([one.low <= 1 <= one.high for one in found]) <= 0.98

    def test_of_pairs_that_do_not_vary_and_of_one(self):
        same = statistics.bootstrap_t(np.full(4, 0.5), 0.95, np.random.default_rng(0))
        assert same.low == same.high == pytest.approx(math.exp(0.5))
        assert statistics.bootstrap_t(np.array([0.5]), 0.95, np.random.default_rng(0)).high == math.inf
        tied = np.array([0.5, 0.5001, 1.1, 1.3])  # resamples of the first two have a spread of next to nothing
        assert statistics.bootstrap_t(tied, 0.95, np.random.default_rng(0)).high == math.inf

    def test_two_pairs_leave_it_open(self):
        ratio = statistics.bootstrap_t(np.array([0.1, 0.4]), 0.95, np.random.default_rng(0))
        assert (ratio.low, ratio.high) == (0, math.inf)


class TestPooledRatio:
    def test_drops_the_outer_quarters_of_all_tasks_at_once(self):
        d = np.log([[1, 2, 4, 8], [2, 2, 1000, 0.001]])
        assert statistics.pooled_ratio(d, 0.95).estimate == pytest.approx(stats.gmean([2, 2, 2, 4]))

    def test_of_one_replicate_is_open(self):
        assert statistics.pooled_ratio(np.array([[0.1], [0.3]]), 0.95).high == math.inf

    @pytest.mark.slow
    def test_covers_where_replicates_share_what_makes_them_fast(self):
        generator = np.random.default_rng(5)
        covered = []
        for _ in range(1000):
            shared = generator.normal(0, 0.15, (1, 16))
            d = np.array([[0.1], [0.3], [0.2]]) + shared + generator.normal(0, 0.2, (3, 16))
            ratio = statistics.pooled_ratio(d, 0.95)
            covered.append(ratio.low <= math.exp(0.2) <= ratio.high)
        assert 0.92 <= np.mean(covered) <= 0.97
