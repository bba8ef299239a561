"""Which setting two arms are compared at, and what is claimed of an arm that is compared in two ways."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune import statistics
from biotune.statistics import Chosen, Verdict, choose, own_best, pair_setting, regrets

updates = st.one_of(st.floats(1, 1e4), st.just(math.inf))


def of_arms(least: int = 2) -> st.SearchStrategy[dict[str, list[float]]]:
    """arm -> updates at each of the common settings; `a` is the reference."""
    return st.integers(1, 8).flatmap(
        lambda settings: st.integers(least, 5).flatmap(
            lambda arms: st.fixed_dictionaries(
                {name: st.lists(updates, min_size=settings, max_size=settings) for name in "abcde"[:arms]}
            )
        )
    )


def test_the_setting_of_a_pair_is_the_one_of_least_largest_regret() -> None:
    arm, reference = [100, 130, 300, 110], [400, 130, 100, 115]
    assert regrets(arm).tolist() == pytest.approx([0, math.log(1.3), math.log(3), math.log(1.1)])
    assert pair_setting(arm, reference) == 3  # at 1.1 and 1.15 of their best
    assert (own_best(arm), own_best(reference)) == (0, 2)


def test_where_one_did_not_train_is_out_unless_there_is_nowhere_else() -> None:
    never = math.inf
    assert pair_setting([1, never, 9], [1, 1, 2]) == 0
    assert pair_setting([1, 500], [never, 1]) == 1
    assert pair_setting([1, never], [never, 1]) == 0
    assert pair_setting([never, never], [5, 4]) == 1
    assert own_best([never, never]) is None
    assert choose({"a": [never, never], "b": [2, 1]}, "a") == Chosen({"b": 1}, {"a": 1, "b": 1})
    with pytest.raises(ValueError, match="no setting"):
        pair_setting([], [])


@given(of_arms())
def test_an_arm_and_the_reference_alone_decide_what_they_are_compared_at(arms: dict[str, list[float]]) -> None:
    whole = choose(arms, "a")
    for arm in whole.pair:
        alone = choose({name: arms[name] for name in ("a", arm)}, "a")
        assert alone.pair[arm] == whole.pair[arm]
        assert alone.own_best[arm] == whole.own_best[arm]


@given(of_arms())
def test_an_arm_that_is_doubled_changes_nothing_for_the_others(arms: dict[str, list[float]]) -> None:
    whole, doubled = choose(arms, "a"), choose(arms | {"twin": arms["b"]}, "a")
    assert doubled.pair == whole.pair | {"twin": whole.pair["b"]}
    assert doubled.own_best == whole.own_best | {"twin": whole.own_best["b"]}


@given(of_arms(), st.floats(0.01, 100))
def test_how_slow_an_arm_is_throughout_does_not_matter(arms: dict[str, list[float]], factor: float) -> None:
    scaled = {name: [factor * value for value in own] if name == "b" else own for name, own in arms.items()}
    for one, other in zip(arms.values(), scaled.values(), strict=True):
        np.testing.assert_allclose(regrets(one), regrets(other), atol=1e-9)
    pair = regrets(arms["a"]), regrets(arms["b"])
    worst = np.max(pair, axis=0)
    chosen = pair_setting(scaled["b"], scaled["a"])
    if np.isfinite(worst).any():
        assert worst[chosen] == pytest.approx(worst.min(), abs=1e-9)


NAMES = (
    "faster", "faster, size open", "slightly faster", "slower", "slower, size open", "slightly slower", "equivalent",
    "undecided", "not comparable",
)  # fmt: skip


class TestClaim:
    @pytest.mark.parametrize("one", NAMES)
    @pytest.mark.parametrize("other", NAMES)
    def test_says_no_more_than_both(self, one: str, other: str) -> None:
        pair, own = Verdict(one, ""), Verdict(other, "")
        found = statistics.claim(pair, own)
        assert found.name == statistics.claim(own, pair).name
        both = pair.direction if pair.direction == own.direction else None
        assert found.direction == both
        assert statistics.disagree(pair, own) == (pair.direction != own.direction)
        if found.name in ("faster", "slower", "not comparable") or found.slight:
            assert found.name == one == other
        within = {"equivalent", "slightly faster", "slightly slower"}
        if found.name == "equivalent":
            assert {one, other} <= within
        assert one in found.reason
        assert other in found.reason

    @pytest.mark.parametrize("name", NAMES)
    def test_of_two_equal_verdicts_is_their_name(self, name: str) -> None:
        assert statistics.claim(Verdict(name, ""), Verdict(name, "")).name == name
