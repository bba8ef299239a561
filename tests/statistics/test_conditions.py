"""One comparison under several conditions: intervals that hold together, and how many conditions show an effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune.statistics import geometric_ratio, least_number, one_sided_p, simultaneous_ratios


def together(differences, confidence=0.95, seed=0):
    return simultaneous_ratios(differences, np.random.default_rng(seed), confidence)


def correlated(generator, comparisons=5, replicates=16, shared=0.7):
    """Log ratios whose mean is 0; what a replicate shares over the comparisons has `shared` of the variance."""
    common = generator.normal(size=replicates) * np.sqrt(shared)
    return 0.2 * (common + generator.normal(size=(comparisons, replicates)) * np.sqrt(1 - shared))


class TestSimultaneousRatios:
    def test_have_the_estimates_of_each_comparison_alone(self):
        differences = correlated(np.random.default_rng(1))
        for row, ratio in zip(differences, together(differences), strict=True):
            alone = geometric_ratio(row, 0.95)
            assert (ratio.estimate, ratio.spread, ratio.pairs) == (alone.estimate, alone.spread, alone.pairs)
            assert ratio.low < alone.low < ratio.estimate < alone.high < ratio.high

    def test_of_one_comparison_are_close_to_the_t_interval(self):
        for seed in range(5):
            row = np.random.default_rng(seed).normal(0.1, 0.2, 16)
            [ratio] = together([row], seed=seed)
            low, high = np.log([ratio.low, ratio.high])
            alone = geometric_ratio(row, 0.95)
            assert high - low == pytest.approx(np.log(alone.high / alone.low), rel=0.06)

    def test_are_no_wider_than_bonferronis_and_narrower_the_more_the_comparisons_share(self):
        def width(shared):
            differences = correlated(np.random.default_rng(2), shared=shared)
            each = [np.log(ratio.high / ratio.low) / ratio.spread for ratio in together(differences)]
            return np.mean(each)

        bonferroni = 2 * stats.t.ppf(1 - 0.05 / 5 / 2, 15) / np.sqrt(16)
        least = 2 * stats.t.ppf(0.975, 15) / np.sqrt(16)
        assert 0.95 * least < width(0.999) < 1.06 * least
        assert width(0.999) < width(0.7) < width(0.0) < 1.03 * bonferroni

    @pytest.mark.slow
    @pytest.mark.parametrize("shared", [0.0, 0.7])
    def test_hold_together_in_at_least_93_percent_of_studies(self, shared):
        generator, studies, held = np.random.default_rng(3), 200, 0
        for study in range(studies):
            ratios = together(correlated(generator, shared=shared), seed=study)
            held += all(ratio.low < 1 < ratio.high for ratio in ratios)
        assert held / studies >= 0.93

    def test_leave_out_missing_pairs(self):
        differences = correlated(np.random.default_rng(4), comparisons=3, replicates=8)
        differences[1, 5:] = np.nan
        differences[2] = np.nan
        whole, some, none = together(differences)
        assert none is None
        assert (whole.pairs, some.pairs) == (8, 5)
        assert some.estimate == pytest.approx(np.exp(differences[1, :5].mean()))
        assert together(differences[:2])[1] == some  # a comparison without a pair is no comparison

    def test_of_one_pair_or_of_pairs_that_do_not_vary_are_what_each_is_alone(self):
        one, same = together([[0.5, np.nan, np.nan], [0.2, 0.2, 0.2]])
        assert (one.low, one.high) == (0, np.inf)
        assert (same.low, same.high) == pytest.approx((np.exp(0.2), np.exp(0.2)))
        varies = correlated(np.random.default_rng(6), comparisons=2, replicates=8)
        alone = together(varies)
        for value in (0.0, 0.1, 0.2, 1e-3):
            *others, same = together([*varies, [value] * 8])
            assert others == alone
            assert (same.low, same.high) == pytest.approx((np.exp(value), np.exp(value)))

    def test_of_nothing_are_none(self):
        assert together(np.empty((2, 0))) == [None, None]
        assert together(np.empty((0, 3))) == []

    def test_need_a_table(self):
        with pytest.raises(ValueError, match=r"differences must be \[comparisons, replicates\], found \(3,\)"):
            together([0.1, 0.2, 0.3])


class TestOneSidedP:
    @given(st.lists(st.floats(-2, 2), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-3))
    def test_is_that_of_the_paired_t_test(self, differences):
        for side, alternative in ((-1, "less"), (1, "greater")):
            expected = stats.ttest_1samp(differences, 0, alternative=alternative).pvalue
            assert one_sided_p(differences, side) == pytest.approx(expected, rel=1e-6, abs=1e-12)

    def test_of_pairs_that_do_not_vary(self):
        assert (one_sided_p([0.1] * 4, 1), one_sided_p([0.1] * 4, -1)) == (0, 1)
        assert one_sided_p([0.0] * 4, 1) == one_sided_p([0.0] * 4, -1) == 1

    def test_of_less_than_two_pairs_shows_nothing(self):
        assert one_sided_p([], 1) == one_sided_p([3.0], 1) == 1


class TestLeastNumber:
    @pytest.mark.parametrize(
        ("p", "shown"),
        [
            ([], 0),
            ([0.04], 1),
            ([0.06], 0),
            ([0.04, 0.04], 0),  # 2 × 0.04 > 0.05: neither may be counted without correction
            ([0.04, 0.02], 2),  # 2 × 0.02, then 1 × 0.04
            ([0.001, 0.9, 0.9], 1),
            ([0.001, 0.001, 0.9], 2),
            ([0.001, 0.03, 0.04], 1),  # 2 × 0.03 > 0.05, and what comes after it doesn't count
            ([0.0, 0.0, 0.0], 3),
            ([1.0, 1.0], 0),
        ],
    )
    def test_of_these(self, p, shown):
        assert least_number(p, 0.05) == least_number(p[::-1], 0.05) == shown

    @given(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
        st.floats(0.001, 0.2),
    )
    def test_is_no_less_where_every_p_is_smaller(self, pairs, alpha):
        larger, smaller = [max(pair) for pair in pairs], [min(pair) for pair in pairs]
        assert 0 <= least_number(larger, alpha) <= least_number(smaller, alpha) <= len(pairs)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def test_is_at_most_the_number_of_those_that_are_significant_alone(self, p):
        assert least_number(p, 0.05) <= sum(one <= 0.05 for one in p)
        assert (least_number(p, 0.05) > 0) == (len(p) * min(p) <= 0.05)

    def test_is_rarely_more_than_there_are(self):
        """Of 5 conditions 2 have an effect, and all share their replicates: more than 2 are claimed in at most 5 %."""
        generator, studies = np.random.default_rng(5), 1000
        effects = np.array([0.3, 0.3, 0.0, 0.0, 0.0])
        too_many = 0
        for _ in range(studies):
            differences = correlated(generator) + effects[:, None]
            too_many += least_number([one_sided_p(row, 1) for row in differences], 0.05) > 2
        assert too_many / studies <= 0.06
