"""Connectomes, topologies, nulls and measures from Python."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import biotune as bt
from biotune.topology import NULLS, expand, measures

CORTEX = bt.load_connectome("distance_rule:mouse_gamanut", rng=1)


@given(seed=st.integers(0, 2**62))
def test_a_seed_and_a_generator_of_it_draw_the_same(seed: int) -> None:
    by_seed, by_generator = (bt.expand(CORTEX, neurons_per_region=2, rng=rng) for rng in (seed, generator(seed)))
    assert by_seed.digest == by_generator.digest
    assert by_seed.digest == expand(CORTEX, neurons_per_region=2, generator=generator(seed)).digest


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_without_a_seed_every_draw_is_another() -> None:
    assert bt.expand(CORTEX).digest != bt.expand(CORTEX).digest


def test_a_generator_goes_on_where_it_was() -> None:
    going_on = generator(1)
    first, second = (bt.load_connectome("distance_rule:mouse_gamanut", rng=going_on) for _ in range(2))
    assert first.digest != second.digest


@pytest.mark.parametrize("null", ["degree_preserving", "erdos_renyi", "weights_shuffled"])
def test_a_null_of_either_keeps_the_number_of_edges_and_says_what_it_changed(null: str) -> None:
    assert null in NULLS
    regions = bt.rewire(CORTEX, null, rng=1)
    assert (regions.edges, regions.labels) == (CORTEX.edges, CORTEX.labels)
    topology = bt.expand(CORTEX, neurons_per_region=2, rng=1)
    neurons = bt.rewire(topology, null, rng=1)
    assert neurons.edges == topology.edges
    assert neurons.entries_changed > 0
    assert (neurons.rewired == 0) == (null == "weights_shuffled")


def test_distances_are_kept_if_positions_are_given() -> None:
    positions = generator(3).random((CORTEX.size, 3))
    with pytest.raises(bt.UserError, match="positions"):
        bt.rewire(bt.load_connectome("watts_strogatz", size=20, neighbours=4, rewiring=0.1), "distance_preserving")
    assert bt.rewire(CORTEX, "distance_preserving", positions=positions, rng=1).edges == CORTEX.edges


def test_measures_are_those_of_a_study_and_say_why_one_is_missing() -> None:
    topology = bt.expand(CORTEX, neurons_per_region=2, rng=1)
    measured = bt.measure(topology)
    expected = measures(topology)
    assert measured.to_dict() == pytest.approx(expected, nan_ok=True)
    assert bt.measure(CORTEX)["density"] == pytest.approx(CORTEX.density)
    lone = bt.measure(bt.expand(bt.load_connectome("watts_strogatz", size=5, neighbours=4, rewiring=0.0), rng=1))
    missing = [name for name, value in lone.items() if np.isnan(value)]
    assert missing
    assert all(f"{name}: " in lone.attrs["left_empty"] for name in missing)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "own.csv", np.array([[0, 1.5], [2.5, 0]]), delimiter=",")
    own = bt.load_connectome("own", path=tmp_path / "own.csv")
    assert own.weight.tolist() == [1.5, 2.5]
    assert repr(own) == "<Connectome own: 2 nodes, 2 edges>"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bt.expand(CORTEX, rng="one"), "rng: a seed from 0 or a numpy.random.Generator is needed, found 'one'"),
        (lambda: bt.expand(CORTEX, rng=-1), "rng: .* found -1"),
        (lambda: bt.expand(CORTEX, sparsity=0.5), "unknown option of expand 'sparsity'; did you mean"),
        (lambda: bt.rewire("cortex", "erdos_renyi"), "a Connectome or a Topology is needed, found a str"),
        (lambda: bt.rewire(CORTEX, "erdos"), "unknown null 'erdos'; did you mean 'erdos_renyi'"),
        (lambda: bt.measure(3), "a Connectome, Topology or Network is needed, found a int"),
        (lambda: bt.load_connectome("marmosett"), "did you mean 'marmoset'"),
        (lambda: bt.load_connectome("pyproject.toml"), "is a file; give a name of your own, and path='pyproject.toml'"),
        (lambda: bt.expand(np.ones((4, 4))), "a Connectome is needed, found a ndarray; load_connectome reads files"),
    ],
)
def test_bad_input_is_named(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(bt.UserError, match=said):
        call()
