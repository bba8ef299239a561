import itertools
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune import statistics
from biotune.statistics import Ratio, Share

ALL = Share(16, 16, 0.8, 1.0)
MARGIN = 0.2


def interval(low, high, pairs=16):
    return Ratio(math.sqrt(low * high), low, high, 0.1, pairs, 0.95)


def study_of(true_ratio, generator, pairs=16, spread=0.25):
    """Updates to criterion of an arm and of the reference, whose log ratios scatter by `spread`."""
    common = generator.normal(0, 0.3, pairs)
    arm, reference = generator.normal(0, spread / np.sqrt(2), (2, pairs))
    return 150 * true_ratio * np.exp(common + arm), 150 * np.exp(common + reference)


def verdict_of(arm, reference):
    differences = statistics.log_ratios(arm, reference)
    ratio = statistics.geometric_ratio(differences, 0.95)
    return ratio, statistics.verdict(ratio, MARGIN, ALL, ALL, differences).name


def rule(ratio, arm=ALL, reference=ALL, margin=MARGIN, agree=None):
    """The verdict where `agree` of the pairs are on the ratio's side of 1; all if not given."""
    agree = ratio.pairs if agree is None else agree
    side = math.copysign(0.1, math.log(ratio.estimate))
    return statistics.verdict(ratio, margin, arm, reference, [side] * agree + [-side] * (ratio.pairs - agree))


class TestRatio:
    def test_is_scipys_paired_t_interval_on_the_log_ratio(self):
        arm, reference = study_of(1.4, np.random.default_rng(0))
        ratio = statistics.geometric_ratio(statistics.log_ratios(arm, reference), 0.98)
        expected = stats.ttest_rel(np.log(arm), np.log(reference)).confidence_interval(0.98)
        assert (math.log(ratio.low), math.log(ratio.high)) == pytest.approx((expected.low, expected.high))
        assert ratio.estimate == pytest.approx(stats.gmean(arm / reference))
        assert ratio.pairs == 16

    def test_one_pair_leaves_the_interval_open(self):
        ratio = statistics.geometric_ratio(np.array([math.log(3.0)]), 0.95)
        assert (ratio.estimate, ratio.low, ratio.high) == (pytest.approx(3), 0.0, math.inf)
        assert statistics.verdict(ratio, MARGIN, ALL, ALL, [math.log(3.0)]).name == "undecided"

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


class TestVerdict:
    @pytest.mark.parametrize(
        ("low", "high", "name"),
        [
            (0.5, 0.8, "faster"),
            (0.5, 0.84, "faster, size open"),
            (0.84, 0.99, "slightly faster"),
            (0.84, 1.19, "equivalent"),
            (0.84, 1.21, "undecided"),
            (1.01, 1.19, "slightly slower"),
            (1.1, 1.5, "slower, size open"),
            (1.21, 1.5, "slower"),
            (0.5, 1.5, "undecided"),
        ],
    )
    def test_is_where_the_interval_lies(self, low, high, name):
        found = rule(interval(low, high))
        assert (found.name, found.bound) == (name, False)
        assert f"{low:.2f} to {high:.2f}" in found.reason

    @given(st.floats(0.01, 100), st.floats(1, 10), st.floats(0.01, 2))
    def test_has_a_direction_where_the_interval_leaves_out_1(self, low, width, margin):
        ratio = interval(low, low * width)
        found = rule(ratio, margin=margin)
        assert found.direction == ("faster" if ratio.high < 1 else "slower" if ratio.low > 1 else None)
        inside = ratio.low >= 1 / (1 + margin) and ratio.high <= 1 + margin
        assert (found.slight or found.name == "equivalent") == inside

    @given(st.floats(0.01, 100), st.floats(1, 3), st.floats(1, 10), st.floats(0.01, 2))
    def test_of_a_narrower_interval_says_no_less(self, low, width, wider, margin):
        """A direction stays as it is, and so does a size: more pairs only decide what was open."""
        narrow = rule(interval(low, low * width), margin=margin)
        wide = rule(interval(low / wider, low * width * wider), margin=margin)
        if wide.direction:
            assert narrow.direction == wide.direction
        if wide.name not in ("undecided", "faster, size open", "slower, size open", "equivalent"):
            assert narrow.name == wide.name
        if wide.name == "equivalent":
            assert narrow.name == "equivalent" or narrow.slight

    @given(
        st.floats(0.01, 100),
        st.floats(1, 10),
        st.floats(0.01, 2),
        st.integers(0, 16),
        st.integers(0, 16),
        st.integers(0, 16),
    )
    def test_mirrors_when_the_arms_are_swapped(self, low, width, margin, met, reference_met, agree):
        shares = Share(met, 16, 0, 1), Share(reference_met, 16, 0, 1)
        there = rule(interval(low, low * width), *shares, margin, agree)
        back = rule(interval(1 / (low * width), 1 / low), *shares[::-1], margin, agree)
        ends = [low, low * width, math.sqrt(low * low * width)]
        if all(abs(math.log(end * edge)) > 1e-9 for end in ends for edge in (1, 1 + margin, 1 / (1 + margin))):
            turned = {"faster": "slower", "slower": "faster", None: None}
            assert (back.direction, back.bound) == (turned[there.direction], there.bound)
            assert back.name.replace("slower", "faster") == there.name.replace("slower", "faster")

    @given(st.floats(0.01, 100), st.floats(1, 10), st.integers(0, 16), st.integers(0, 16), st.integers(0, 16))
    def test_censoring_takes_no_verdict_to_another_direction_or_a_larger_size(self, low, width, met, other, agree):
        ratio = interval(low, low * width)
        all_met, found = rule(ratio), rule(ratio, Share(met, 16, 0, 1), Share(other, 16, 0, 1), agree=agree)
        assert found.direction in (None, all_met.direction)
        if found.name in ("faster", "slower"):
            assert found.name == all_met.name
        if met < 16 or other < 16:
            assert not found.slight
            assert found.name != "equivalent"


class TestCensoring:
    """Replicates that did not meet the criterion within the budget."""

    few = Share(3, 16, 0, 1)
    most = Share(15, 16, 0, 1)

    def test_of_the_slower_side_makes_the_difference_a_bound(self):
        for low, high, name in (
            (0.5, 0.8, "faster"),
            (0.7, 0.9, "faster, size open"),
            (0.9, 0.95, "faster, size open"),
        ):
            found = rule(interval(low, high), ALL, self.few)
            assert (found.name, found.direction, found.bound) == (name, "faster", True)
            assert "13 of the reference's 16 replicates did not meet the criterion" in found.reason

    def test_of_most_of_the_faster_side_leaves_nothing_to_compare(self):
        assert rule(interval(0.5, 0.8), self.few, ALL).name == "not comparable"
        assert rule(interval(1.25, 2), ALL, self.few).name == "not comparable"
        assert rule(Ratio(1.0, 1.0, 1.0, 0.0, 16, 0.95), ALL, self.few).name == "not comparable"

    def test_of_a_few_of_the_faster_side_leaves_the_direction_to_the_signs_of_the_pairs(self):
        sure, unsure = (rule(interval(0.5, 0.8), self.most, ALL, agree=agree) for agree in (13, 12))
        assert (sure.name, sure.bound) == ("faster, size open", False)
        assert "13 of 16 pairs are faster" in sure.reason
        assert unsure.name == "undecided"

    def test_of_anyone_leaves_equivalence_undecided(self):
        for shares in ((self.most, ALL), (ALL, self.most)):
            found = rule(Ratio(1.0, 0.9, 1.1, 0.1, 16, 0.95), *shares)
            assert found.name == "undecided"
            assert "did not meet the criterion; raise confirm.max_epochs" in found.reason

    def test_a_budget_takes_no_pair_to_the_other_side(self):
        generator = np.random.default_rng(4)
        arm, reference = study_of(1.1, generator, pairs=500)
        cut = statistics.log_ratios(np.minimum(arm, 150), np.minimum(reference, 150))
        full = statistics.log_ratios(arm, reference)
        assert np.all(np.abs(cut) <= np.abs(full) + 1e-12)
        assert set(np.sign(cut) * np.sign(full)) == {0.0, 1.0}

    @pytest.mark.parametrize("budget", [120, 200, 300])
    def test_directions_and_sizes_stay_true(self, budget):
        """Of 1,000 studies each whose true ratio is 1, and the margin's edge."""
        generator = np.random.default_rng([5, budget])
        for true_ratio in (1.0, 1 + MARGIN):
            found = Counter()
            for _ in range(1000):
                arm, reference = study_of(true_ratio, generator)
                met = [Share(int(np.count_nonzero(times < budget)), 16, 0, 1) for times in (arm, reference)]
                cut = statistics.log_ratios(np.minimum(arm, budget), np.minimum(reference, budget))
                verdict = statistics.verdict(statistics.geometric_ratio(cut, 0.95), MARGIN, *met, cut)
                found[verdict.direction] += 1
                found["beyond"] += verdict.name in ("faster", "slower")
            assert found["faster"] + (found["slower"] if true_ratio == 1 else 0) <= 50 + 20
            assert found["beyond"] <= (5 if true_ratio == 1 else 25 + 15)


class TestBonferroni:
    def test_bonferroni_shares_the_error_out(self):
        assert statistics.bonferroni(1) == pytest.approx(0.95)
        assert statistics.bonferroni(3) == pytest.approx(1 - 0.05 / 3)


class TestCoverage:
    """Simulated studies with a known ratio: what the intervals and verdicts promise, they hold.

    The functions alone, and 2,000 studies each, since the Monte Carlo error of 500 is a whole point of coverage;
    `biotune validate simulate` has whole studies, whose curves go through all of the analysis.
    """

    @pytest.mark.parametrize("true_ratio", [1.0, 1.05, 1.2, 2.0])
    @pytest.mark.parametrize("pairs", [4, 16])
    def test_intervals_cover_and_verdicts_are_seldom_false(self, true_ratio, pairs):
        generator = np.random.default_rng([20260101, round(100 * true_ratio), pairs])
        self._check(true_ratio, [verdict_of(*study_of(true_ratio, generator, pairs)) for _ in range(2000)])

    @staticmethod
    def _check(true_ratio, studies):
        covered = np.mean([ratio.low <= true_ratio <= ratio.high for ratio, _ in studies])
        assert 0.93 <= covered <= 0.97
        verdicts = Counter(name for _, name in studies)
        faster, slower = ("faster", "faster, size open", "slightly faster"), ("slower", "slower, size open")
        wrong = sum(verdicts[name] for name in (faster if true_ratio > 1 else (*faster, *slower, "slightly slower")))
        assert wrong / len(studies) <= (0.025 if true_ratio > 1 else 0.05) + 0.015  # three standard errors
        if true_ratio <= 1 + MARGIN:
            assert verdicts["slower"] / len(studies) <= 0.025 + 0.011
        if true_ratio >= 1 + MARGIN:
            assert (verdicts["equivalent"] + verdicts["slightly slower"]) / len(studies) <= 0.05

    @pytest.mark.parametrize("spread", [0.1, 0.25])
    def test_power_is_what_simulation_gives(self, spread):
        generator = np.random.default_rng(3)
        detectable = statistics.detectable_ratio(spread, 16, 0.95, MARGIN)
        found = [verdict_of(*study_of(detectable, generator, spread=spread))[1] for _ in range(1500)]
        assert np.mean([name == "slower" for name in found]) == pytest.approx(0.8, abs=0.03)
        equal = [verdict_of(*study_of(1.0, generator, spread=spread))[1] for _ in range(1500)]
        expected = statistics.equivalence_power(spread, 16, 0.95, MARGIN)
        within = ("equivalent", "slightly faster", "slightly slower")
        assert np.mean([name in within for name in equal]) == pytest.approx(expected, abs=0.04)
        direction = statistics.detectable_ratio(spread, 16, 0.95, margin=0)
        found = [verdict_of(*study_of(direction, generator, spread=spread))[1] for _ in range(1500)]
        assert np.mean([name.startswith(("slower", "slightly slower")) for name in found]) == pytest.approx(
            0.8, abs=0.03
        )

    def test_power_is_as_the_documentation_prints_it(self):
        page = Path(__file__).parents[2] / "docs" / "reading-the-report.md"
        rows = re.findall(r"^\| (\d+)[^|]*\|((?: [\d.]+, \d+ % \|)+)$", page.read_text(), re.MULTILINE)
        assert len(rows) == 3
        confidence = statistics.bonferroni(3)
        for pairs, cells in rows:
            for spread, cell in zip((0.15, 0.25, 0.35), cells.strip(" |").split(" | "), strict=True):
                ratio, percent = re.findall(r"[\d.]+", cell)
                arguments = (spread, int(pairs), confidence, MARGIN)
                assert statistics.detectable_ratio(*arguments) == pytest.approx(float(ratio), abs=0.006)
                assert 100 * statistics.equivalence_power(*arguments) == pytest.approx(float(percent), abs=0.6)

    def test_power_of_pairs_that_do_not_vary_is_certain(self):
        assert statistics.equivalence_power(0.0, 4, 0.95, MARGIN) == 1
        assert statistics.detectable_ratio(0.0, 4, 0.95, MARGIN) == pytest.approx(1.2)


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


class TestJackknife:
    @given(st.lists(st.floats(-5, 5), min_size=3, max_size=20), st.sampled_from([0.9, 0.95, 0.99]))
    def test_of_a_mean_is_the_t_interval(self, values, confidence):
        x = np.array(values)
        without = [np.delete(x, i).mean() for i in range(len(x))]
        expected = stats.t.interval(confidence, len(x) - 1, x.mean(), stats.sem(x) + 1e-300)
        assert statistics.jackknife_interval(x.mean(), without, confidence) == pytest.approx(expected, abs=1e-9)


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


class TestPooledRatio:
    def test_drops_the_outer_quarters_of_all_tasks_at_once(self):
        d = np.log([[1, 2, 4, 8], [2, 2, 1000, 0.001]])
        assert statistics.pooled_ratio(d, 0.95).estimate == pytest.approx(stats.gmean([2, 2, 2, 4]))

    def test_of_one_replicate_is_open(self):
        assert statistics.pooled_ratio(np.array([[0.1], [0.3]]), 0.95).high == math.inf

    def test_covers_where_replicates_share_what_makes_them_fast(self):
        generator = np.random.default_rng(5)
        covered = []
        for _ in range(1000):
            shared = generator.normal(0, 0.15, (1, 16))
            d = np.array([[0.1], [0.3], [0.2]]) + shared + generator.normal(0, 0.2, (3, 16))
            ratio = statistics.pooled_ratio(d, 0.95)
            covered.append(ratio.low <= math.exp(0.2) <= ratio.high)
        assert 0.92 <= np.mean(covered) <= 0.97


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


class TestOtherStatistics:
    def test_wilson_interval(self):
        found = statistics.share(15, 16)
        z = stats.norm.ppf(0.975)
        centre = (15 / 16 + z**2 / 32) / (1 + z**2 / 16)
        half = z / (1 + z**2 / 16) * math.sqrt(15 / 256 / 16 + z**2 / 4 / 256)
        assert (found.low, found.high) == pytest.approx((centre - half, centre + half))

    def test_interquartile_mean_drops_a_quarter_at_each_end(self):
        losses = np.array([[1.0, 100], [2, 2], [4, 4], [1000, 0]])
        assert statistics.interquartile_mean(losses).tolist() == [3, 3]

    def test_diverged_replicates_rank_last(self):
        assert statistics.interquartile_mean([[1], [2], [4], [np.nan]]).tolist() == [3]
        assert statistics.interquartile_mean([[1], [2], [np.nan], [np.nan]]).tolist() == [math.inf]
        assert statistics.quartiles([1, 2, 3, np.nan]) == (1, 2, 3)
        assert statistics.quartiles([1, np.nan, np.nan, np.nan])[1] == math.inf

    def test_kaplan_meier_steps_where_replicates_converge(self):
        curve = statistics.kaplan_meier([10, 20, 20, 40], [True, True, True, False])
        steps = dict(zip(curve["updates"], curve["share"], strict=True))
        assert steps == pytest.approx({0: 0, 10: 0.25, 20: 0.75, 40: 0.75})
        assert ((curve["low"] <= curve["share"] + 1e-9) & (curve["share"] <= curve["high"] + 1e-9)).all()
        assert statistics.median_updates([10, 20, 20, 40], [True, True, True, False]) == 20
        assert statistics.median_updates([40, 40, 40, 10], [False, False, False, True]) == math.inf

    def test_area_under_the_log_loss(self):
        updates = np.array([0, 10, 20, 30])
        assert statistics.log_loss_area(updates, np.array([1, 0.1, 0.01, 9]), 20) == pytest.approx(0.1)
        assert statistics.log_loss_area(updates, np.array([1, np.nan, 0.01, 1]), 20) == math.inf
        assert statistics.log_loss_area(updates, np.array([1, 0.5, 0.0, 1]), 20) == 0


@given(st.floats(0.5, 2), st.floats(0, 1), st.floats(0.05, 0.5))
def test_a_verdicts_reason_is_true_of_the_numbers_that_it_prints(low, width, margin):
    found = rule(interval(low, low + width), margin=margin)

    def printed(before):
        match = re.search(rf"{before} ([0-9.]+)(?: (?:to|and) ([0-9.]+))?", found.reason)
        return [float(number) for number in match.groups() if number] if match else []

    (below, above), band, across = printed("interval"), printed("within"), printed("across")
    assert all(above < edge for edge in printed("wholly below"))
    assert all(below > edge for edge in printed("wholly above"))
    assert all(below <= edge <= above for edge in across)
    assert not band or band[0] <= below <= above <= band[1]
    assert "contains 1" not in found.reason or below <= 1 <= above
    assert bool(band) == (found.slight or found.name == "equivalent")
    assert bool(across) == (found.name in ("undecided", "faster, size open", "slower, size open"))


def test_not_comparable_says_which_side_failed_and_what_would_do():
    few = Share(3, 16, 0, 1)
    both = rule(interval(1, 1), few, few).reason
    assert both.startswith("3 of its 16 replicates and 3 of the reference's 16 replicates met the criterion")
    assert "confirm.max_epochs" in both
    assert rule(interval(1.25, 2), ALL, few).reason.startswith("3 of the reference's 16")
