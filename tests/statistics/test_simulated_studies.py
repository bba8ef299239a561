"""Studies with a known ratio, simulated: what intervals, verdicts and power promise, they hold."""

from collections import Counter

import numpy as np
import pytest

from biotune import statistics
from biotune.statistics import Share

ALL = Share(16, 16, 0.8, 1.0)
MARGIN = 0.2


def study_of(true_ratio, generator, pairs=16, spread=0.25):
    """Updates to criterion of an arm and of the reference, whose log ratios scatter by `spread`."""
    common = generator.normal(0, 0.3, pairs)
    arm, reference = generator.normal(0, spread / np.sqrt(2), (2, pairs))
    return 150 * true_ratio * np.exp(common + arm), 150 * np.exp(common + reference)


def verdict_of(arm, reference):
    differences = statistics.log_ratios(arm, reference)
    ratio = statistics.geometric_ratio(differences, 0.95)
    return ratio, statistics.verdict(ratio, MARGIN, ALL, ALL, differences).name


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


class TestBudget:
    """Replicates that did not meet the criterion within the budget count as having met it at its end."""

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
