import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune.statistics import dose_trend, rank_correlation, rank_correlation_within

DOSES = np.array([0, 0.1, 0.25, 0.5, 1.0])


class TestDoseTrend:
    def test_is_the_t_interval_of_each_replicates_own_regression(self):
        generator = np.random.default_rng(1)
        y = generator.normal(4, 0.3, (12, 1)) + 0.4 * DOSES + generator.normal(0, 0.1, (12, 5))
        slopes = [stats.linregress(DOSES, row).slope for row in y]
        low, high = stats.t.interval(0.95, 11, np.mean(slopes), stats.sem(slopes))
        found = dose_trend(DOSES, y, 0.95)
        assert (found.factor, found.low, found.high) == pytest.approx(tuple(np.exp([np.mean(slopes), low, high])))
        assert found.replicates == 12

    def test_what_a_replicate_shares_cancels_out(self):
        generator = np.random.default_rng(2)
        y = generator.normal(0, 0.1, (8, 5))
        shifted = dose_trend(DOSES, y + generator.normal(0, 9, (8, 1)), 0.95)
        assert shifted.low == pytest.approx(dose_trend(DOSES, y, 0.95).low)

    def test_covers(self):
        generator = np.random.default_rng(3)
        covered = []
        for _ in range(2000):
            y = generator.normal(0, 0.2, (12, 1)) * DOSES + 0.2 * DOSES + generator.normal(0, 0.1, (12, 5))
            found = dose_trend(DOSES, y, 0.95)
            covered.append(found.low <= np.exp(0.2) <= found.high)
        assert 0.93 <= np.mean(covered) <= 0.97


def networks(generator, replicates, slope=0.1):
    """Four arms that differ in a measure and in speed; within an arm, the measure has a slope of its own."""
    arm, replicate = np.repeat(np.arange(4), replicates), np.tile(np.arange(replicates), 4)
    of_arm = np.array([0, 1, 1.5, 4.0])[arm]
    measure = of_arm + generator.normal(size=len(arm))
    common = generator.normal(0, 0.3, replicates)[replicate]
    updates = np.array([0, 0.3, 0.6, 1.0])[arm] + slope * (measure - of_arm) + common
    return measure, updates + generator.normal(0, 0.3, len(arm)), arm, replicate


class TestRankCorrelation:
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=30))
    def test_is_scipys_spearman(self, pairs):
        measure, updates = np.array(pairs, dtype=float).T
        found = rank_correlation(measure, updates)
        if np.ptp(measure) == 0 or np.ptp(updates) == 0:
            assert found is None
        else:
            assert found == pytest.approx(stats.spearmanr(measure, updates).statistic)

    def test_of_one_arm_is_that_within_arms(self):
        measure, updates, _, _ = networks(np.random.default_rng(3), 10)
        one = np.zeros(40, int)
        assert rank_correlation_within(measure, updates, one, np.arange(40), 0.95).value == pytest.approx(
            rank_correlation(measure, updates)
        )

    def test_within_arms_has_no_part_in_what_arms_differ_in(self):
        measure, updates, arm, replicate = networks(np.random.default_rng(4), 30, slope=0.5)
        within = rank_correlation_within(measure, updates, arm, replicate, 0.95)
        assert rank_correlation_within(measure - 50 * arm, updates + 9 * arm, arm, replicate, 0.95) == within
        of_each = [stats.spearmanr(measure[arm == a], updates[arm == a]).statistic for a in range(4)]
        assert within.value == pytest.approx(np.mean(of_each))

    @pytest.mark.slow
    def test_interval_covers_other_draws_of_the_same_arms(self):
        generator = np.random.default_rng(5)
        many = networks(generator, 20_000)
        true = rank_correlation_within(*many[:3], np.zeros(80_000, int), 0.95).value
        covered = []
        for _ in range(500):
            found = rank_correlation_within(*networks(generator, 16), 0.95)
            covered.append(found.low <= true <= found.high)
        assert 0.91 <= np.mean(covered) <= 0.98

    @pytest.mark.slow
    def test_leaves_out_0_rarely_without_an_effect_however_much_the_arms_differ(self):
        generator = np.random.default_rng(6)
        left_out, over_arms = [], []
        for _ in range(500):
            sample = networks(generator, 16, slope=0)
            found = rank_correlation_within(*sample, 0.95)
            left_out.append(not found.low <= 0 <= found.high)
            over_arms.append(rank_correlation(*sample[:2]))
        assert np.mean(left_out) <= 0.08
        assert np.mean(over_arms) > 0.5  # of the arms alone

    def test_a_perfect_order_has_no_interval(self):
        x = np.arange(10.0)
        found = rank_correlation_within(x, x**2, np.zeros(10, int), np.arange(10), 0.95)
        assert (found.value, found.low) == (pytest.approx(1), None)
        assert rank_correlation_within(x, x[::-1].copy(), np.zeros(10, int), np.zeros(10, int), 0.95).high is None

    def test_a_measure_that_only_differs_between_arms_has_none_within(self):
        arm, replicate = np.repeat([0, 1], 5), np.tile(np.arange(5), 2)
        updates = np.random.default_rng(7).uniform(1, 9, 10)
        assert rank_correlation_within(arm * 1.0, updates, arm, replicate, 0.95) is None
        assert rank_correlation(arm * 1.0, updates) is not None
