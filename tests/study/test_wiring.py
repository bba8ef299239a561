"""How a study's YAML wires its arms, up to the plans of its trials: densities, nulls, and draws."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.topology import Topology
from biotune.training import draw_topology

WriteSpace = Callable[..., Path]


def topologies(space: Path, arm: str, *overrides: str) -> list[Topology]:
    """The first three of the confirm phase."""
    plan = Plans.load(load_study(space, overrides=overrides)).plan(arm, {}, "confirm", range(3))
    return [draw_topology(plan, replicate) for replicate in plan.replicates]


def same(one: list[Topology], other: list[Topology]) -> bool:
    return all(np.array_equal(a.matrix(), b.matrix()) for a, b in zip(one, other, strict=True))


def test_another_draw_is_another_topology_of_the_same_treatment(small_space: Path) -> None:
    first, again, other = (
        topologies(small_space, "rewired", f"arms.rewired.topology={{draw: {draw}}}") for draw in (0, 0, 1)
    )
    assert same(first, again)
    assert same(first, topologies(small_space, "rewired"))
    assert not any(np.array_equal(a.matrix(), b.matrix()) for a, b in zip(first, other, strict=True))
    assert {a.edges for a in first} == {b.edges for b in other}


def test_weights_of_a_null_are_carried_unless_shuffled(small_space: Path) -> None:
    null = "arms.rewired.null={{name: degree_preserving, level: region{}}}"
    unsaid, carried, shuffled = (
        topologies(small_space, "rewired", null.format(weights))
        for weights in ("", ", weights: carried", ", weights: shuffled")
    )
    assert same(carried, unsaid)
    assert not same(carried, shuffled)
    for one, other in zip(carried, shuffled, strict=True):
        assert np.array_equal(one.matrix() > 0, other.matrix() > 0)


def test_a_distance_null_of_neurons_knows_where_their_regions_are(small_space: Path) -> None:
    null = "arms.rewired.null={name: distance_preserving, level: neuron}"
    real, rewired = topologies(small_space, "real", null), topologies(small_space, "rewired", null)
    assert not same(real, rewired)
    assert [one.edges for one in real] == [one.edges for one in rewired]


@pytest.mark.parametrize("level", ["region", "neuron"])
def test_a_topology_says_what_share_of_the_edges_its_null_moved_and_of_the_entries_it_changed(
    small_space: Path, level: str
) -> None:
    sparser = "connectome.name=distance_rule:marmoset"  # there is room to move to
    assert [(one.rewired, one.entries_changed) for one in topologies(small_space, "real", sparser)] == [(0, 0)] * 3
    null = "arms.rewired.null={{name: {}, level: {}, fraction: {}}}"
    moved = {
        (name, fraction): topologies(small_space, "rewired", sparser, null.format(name, level, fraction))
        for name, fraction in [("weights_shuffled", 1), ("edges_shuffled", 0.25), ("edges_shuffled", 1)]
    }
    assert [one.rewired for one in moved["weights_shuffled", 1]] == [0, 0, 0]
    assert all(0.9 < one.entries_changed <= 1 for one in moved["weights_shuffled", 1])
    for few, every in zip(moved["edges_shuffled", 0.25], moved["edges_shuffled", 1], strict=True):
        assert 0 < few.rewired <= 0.25
        assert few.rewired < every.rewired < 1
        assert few.rewired < few.entries_changed < every.entries_changed <= 1
    if level == "neuron":  # replicate r of the null rewires replicate r's own expansion
        for real, every in zip(topologies(small_space, "real", sparser), moved["edges_shuffled", 1], strict=True):
            before, after = real.matrix() != 0, every.matrix() != 0
            assert every.rewired == pytest.approx((after & ~before).sum() / after.sum())
            changed = real.matrix() != every.matrix()
            assert every.entries_changed == pytest.approx(changed.sum() / (before | after).sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("topology.neurons_per_region={density: rank}", "no neuron densities are known for distance_rule:mouse_gam"),
        (
            "arms.rewired.null={name: block_preserving, level: region}",
            "arm rewired: null block_preserving: regions have no blocks to keep; give level: neuron",
        ),
        (
            "arms.rewired.null={name: strength_preserving, weights: shuffled}",
            "arm rewired: null strength_preserving: keeps strengths",
        ),
    ],
)
def test_what_an_arm_cannot_have_is_said_before_anything_starts(small_space: Path, change: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Plans.load(load_study(small_space, overrides=[change]))


def test_rewired_regions_of_different_sizes_are_refused(small_space: Path) -> None:
    sizes = f"topology.neurons_per_region={[1, 6] * 9 + [3]}"
    null = "arms.rewired.null={name: degree_preserving, level: %s}"
    with pytest.raises(UserError, match=r"arm rewired: .* 1 to 6 neurons each draw has another number of edges"):
        Plans.load(load_study(small_space, overrides=[sizes, null % "region"]))
    Plans.load(load_study(small_space, overrides=[sizes, null % "neuron"]))
    Plans.load(load_study(small_space, overrides=[sizes, "arms.rewired.null={name: weights_shuffled}"]))
