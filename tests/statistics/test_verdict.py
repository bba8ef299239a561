"""The verdict: where the interval lies, and what replicates that did not meet the criterion leave of it."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune import statistics
from biotune.statistics import Ratio, Share

ALL = Share(16, 16, 0.8, 1.0)
MARGIN = 0.2


def interval(low, high, pairs=16):
    return Ratio(math.sqrt(low * high), low, high, 0.1, pairs, 0.95)


def rule(ratio, arm=ALL, reference=ALL, margin=MARGIN, agree=None):
    """The verdict where `agree` of the pairs are on the ratio's side of 1; all if not given."""
    agree = ratio.pairs if agree is None else agree
    side = math.copysign(0.1, math.log(ratio.estimate))
    return statistics.verdict(ratio, margin, arm, reference, [side] * agree + [-side] * (ratio.pairs - agree))


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

    def test_of_one_pair_is_undecided(self):
        ratio = statistics.geometric_ratio(np.array([math.log(3.0)]), 0.95)
        assert statistics.verdict(ratio, MARGIN, ALL, ALL, [math.log(3.0)]).name == "undecided"


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
