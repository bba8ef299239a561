"""Planned looks: boundaries against published ones and SciPy, and how often repeated intervals hold."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune import statistics

EVENLY = np.arange(1, 6) / 5


def obrien_fleming(share: np.ndarray, alpha: float) -> np.ndarray:
    return 4 - 4 * stats.norm.cdf(stats.norm.ppf(1 - alpha / 4) / np.sqrt(share))


def pocock(share: np.ndarray, alpha: float) -> np.ndarray:
    return alpha * np.log(1 + (math.e - 1) * share)


@pytest.mark.parametrize(
    ("spending", "published"),
    [  # Lan & DeMets 1983, five equal looks, two-sided 0.05
        (obrien_fleming, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (pocock, [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_boundaries_are_the_published_ones(spending, published):
    found = statistics.boundaries(EVENLY, spending(EVENLY, 0.05))
    assert found == pytest.approx(published, abs=0.0006)


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (3, 2.289), (5, 2.413)])
def test_what_a_constant_boundary_of_pocock_spends_gives_it_back(looks, constant):
    information = np.arange(1, looks + 1)
    spent = [_crossed(information[:k], [constant] * k) for k in range(1, looks + 1)]
    assert spent[-1] == pytest.approx(0.05, abs=3e-4)  # Pocock 1977, table 1
    assert statistics.boundaries(information, spent) == pytest.approx([constant] * looks, abs=2e-3)


@given(
    first=st.integers(4, 40),
    more=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    alpha=st.sampled_from([0.05, 0.05 / 3, 0.05 / 20]),
)
def test_the_levels_of_any_plan_spend_what_was_asked(first, more, alpha):
    looks = tuple(int(look) for look in np.cumsum([first, *more]))
    levels = statistics.nominal_levels(looks, alpha)
    assert levels[0] == pytest.approx(statistics.FIRST_SHARE * alpha)
    assert all(0 < level < alpha for level in levels)
    bounds = stats.norm.isf(np.array(levels) / 2)
    assert _crossed(looks, bounds) == pytest.approx(alpha, abs=2e-4)


def _crossed(information, bounds) -> float:
    """The probability to cross, by SciPy's integral."""
    i = np.asarray(information, dtype=float)
    correlation = np.sqrt(np.minimum.outer(i, i) / np.maximum.outer(i, i))
    normal = stats.multivariate_normal(np.zeros(len(i)), correlation, seed=1)
    return float(1 - normal.cdf(np.asarray(bounds), lower_limit=-np.asarray(bounds)))


def test_one_look_has_the_level_of_bonferroni():
    assert statistics.look_confidence([16], 16, 3) == pytest.approx(statistics.bonferroni(3))
    assert statistics.look_confidence([16], 8) == pytest.approx(0.95)


def test_a_number_of_pairs_has_the_confidence_of_the_next_look():
    looks = [16, 32, 64]
    levels = statistics.nominal_levels((16, 32, 64), 0.05)
    assert [1 - statistics.look_confidence(looks, pairs) for pairs in (8, 16, 17, 32, 64)] == pytest.approx(
        [levels[0], levels[0], levels[1], levels[1], levels[2]]
    )
    with pytest.raises(ValueError, match="65 pairs are past the last planned look, 64"):
        statistics.look_confidence(looks, 65)


def test_the_first_look_is_hardly_wider_than_a_study_with_one():
    factors = [
        math.exp(stats.t.ppf((1 + confidence) / 2, 15) * 0.25 / 4)
        for confidence in (statistics.look_confidence([16, 32, 64], 16, 3), statistics.bonferroni(3))
    ]
    assert factors == pytest.approx([1.19, 1.18], abs=0.005)


def test_intervals_of_all_looks_hold_together():
    looks, studies = [16, 32, 64], 4000
    drawn = np.random.default_rng(3).normal(0, 0.25, (studies, looks[-1]))
    missed = np.zeros(studies, dtype=bool)
    unplanned = np.zeros(studies, dtype=bool)
    for look in looks:
        d = drawn[:, :look]
        t = np.abs(d.mean(axis=1)) / d.std(axis=1, ddof=1) * math.sqrt(look)
        missed |= t > stats.t.ppf((1 + statistics.look_confidence(looks, look)) / 2, look - 1)
        unplanned |= t > stats.t.ppf(0.975, look - 1)
    error = math.sqrt(0.05 * 0.95 / studies)
    assert missed.mean() == pytest.approx(0.05, abs=3 * error)
    assert unplanned.mean() > 0.08


class TestForecast:
    LOOKS = (16, 32, 64)

    @staticmethod
    def ratio(estimate: float, spread: float, pairs: int = 16) -> statistics.Ratio:
        differences = np.random.default_rng(1).normal(size=pairs)
        differences = (differences - differences.mean()) / differences.std(ddof=1)
        return statistics.geometric_ratio(math.log(estimate) + spread * differences, 0.98)

    @pytest.mark.parametrize("alone", [False, True])
    @pytest.mark.parametrize(("estimate", "spread"), [(1.0, 0.3), (1.3, 0.25), (1.25, 0.2), (0.8, 0.35)])
    def test_is_how_often_more_pairs_decide(self, estimate, spread, alone):
        seen, total, confidence, edge = self.ratio(estimate, spread), 48, 0.985, math.log(1.2)
        random, studies = np.random.default_rng(2), 4000
        truth = random.normal(math.log(estimate), spread / 4, studies)  # what 16 pairs leave open
        new = random.normal(truth[:, None], spread, (studies, total if alone else total - 16))
        mean = new.mean(axis=1) if alone else (16 * math.log(estimate) + new.sum(axis=1)) / total
        half = stats.t.ppf((1 + confidence) / 2, total - 1) * spread / math.sqrt(total)
        low, high = mean - half, mean + half
        decided = (low > edge) | (high < -edge) | ((low > -edge) & (high < edge))
        found = statistics.decision_probability(seen, total, confidence, 0.2, alone=alone)
        assert float(found) == pytest.approx(decided.mean(), abs=0.03)

    def test_finds_the_least_number_that_is_enough(self):
        def confidence(pairs: int) -> float:
            return statistics.look_confidence(self.LOOKS, min(pairs, 64), 3)

        seen = self.ratio(1.05, 0.3)
        pairs = statistics.pairs_to_decide(seen, confidence, 0.2)
        assert pairs is not None
        assert pairs > 16

        def chance(n: int) -> float:
            return float(statistics.decision_probability(seen, n, confidence(n), 0.2))

        assert chance(pairs) >= 0.8
        assert chance(pairs - 2) < 0.8
        nearer = statistics.pairs_to_decide(self.ratio(1.05, 0.2), confidence, 0.2)
        assert nearer is not None
        assert nearer < pairs

    def test_a_ratio_at_the_edge_takes_more_than_are_looked_ahead_for(self):
        assert statistics.pairs_to_decide(self.ratio(1.2, 0.25), lambda _: 0.98, 0.2, power=0.99) is None

    def test_pairs_that_do_not_vary_decide_at_once(self):
        seen = statistics.geometric_ratio(np.full(16, math.log(1.5)), 0.98)
        assert statistics.pairs_to_decide(seen, lambda _: 0.98, 0.2) == 17


@pytest.mark.parametrize(
    ("name", "decided"),
    [
        ("faster", True),
        ("faster, size open", False),
        ("slightly slower", True),
        ("slower", True),
        ("equivalent", True),
        ("undecided", False),
        ("not comparable", False),
    ],
)
def test_a_verdict_is_decided_if_more_pairs_could_say_no_more(name, decided):
    assert statistics.Verdict(name, "").decided is decided
