"""Each null keeps what it says, changes the rest, and draws evenly from what is left."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from biotune.connectome import Connectome, Provenance, load_connectome
from biotune.errors import UserError
from biotune.topology import NULLS, Topology, expand, rewire_connectome, rewire_topology

PROVENANCE = Provenance(kind="file", species="mouse", citation="", licence="", orientation="")


def graph(size: int, edges: list[tuple[int, int]]) -> Connectome:
    """A connectome whose weights are all different: 1, 2, 3, ..."""
    source, target = np.array(sorted(edges)).T
    return Connectome("test", size, source, target, np.arange(1.0, len(edges) + 1), PROVENANCE)


@st.composite
def graphs(draw: st.DrawFn, *, loops: bool = False) -> Connectome:
    size = draw(st.integers(2, 9))
    pairs = [(i, j) for i in range(size) for j in range(size) if loops or i != j]
    return graph(size, draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True)))


def rewired(connectome: Connectome, null: str, seed: int, fraction: float = 1.0) -> Connectome:
    """The null; the example is dropped where it can't exist."""
    try:
        return rewire_connectome(connectome, null, fraction=fraction, generator=np.random.default_rng(seed))
    except UserError:
        assume(False)
        raise


every_null = pytest.mark.parametrize("null", NULLS)
seeds = st.integers(0, 2**32)


@every_null
@given(connectome=graphs(), seed=seeds, fraction=st.floats(0, 1))
def test_number_of_edges_and_weights_are_kept_and_no_self_connection_made(null, connectome, seed, fraction):
    made = rewired(connectome, null, seed, fraction)
    assert made.edges == connectome.edges
    assert sorted(made.weight) == sorted(connectome.weight)
    assert np.all(made.source != made.target)
    moved = np.count_nonzero((made.matrix() != connectome.matrix()) & (made.matrix() > 0))
    assert moved <= round(fraction * connectome.edges)


@every_null
@given(connectome=graphs(loops=True), seed=seeds)
def test_number_of_edges_and_weights_are_kept_among_self_connections_too(null, connectome, seed):
    made = rewired(connectome, null, seed)
    assert made.edges == connectome.edges
    assert sorted(made.weight) == sorted(connectome.weight)
    if not np.any(connectome.source == connectome.target):
        assert np.all(made.source != made.target)


@given(connectome=graphs(loops=True), seed=seeds, fraction=st.floats(0, 1))
def test_weights_shuffled_keeps_every_edge(connectome, seed, fraction):
    made = rewired(connectome, "weights_shuffled", seed, fraction)
    assert np.array_equal(made.matrix() > 0, connectome.matrix() > 0)


@given(connectome=graphs(), seed=seeds, fraction=st.floats(0, 1))
def test_degree_preserving_keeps_both_degrees_and_each_nodes_output_weights(connectome, seed, fraction):
    before, after = connectome.matrix(), rewired(connectome, "degree_preserving", seed, fraction).matrix()
    assert np.array_equal((before > 0).sum(axis=0), (after > 0).sum(axis=0))
    assert np.array_equal((before > 0).sum(axis=1), (after > 0).sum(axis=1))
    assert np.array_equal(np.sort(before, axis=1), np.sort(after, axis=1))


@given(connectome=graphs(loops=True), seed=seeds)
def test_edges_shuffled_leaves_self_connections_where_they_are(connectome, seed):
    before, after = connectome.matrix(), rewired(connectome, "edges_shuffled", seed).matrix()
    assert np.array_equal(np.diag(before), np.diag(after))


@every_null
def test_a_null_changes_what_it_should(null):
    cortex = load_connectome("distance_rule:marmoset")
    before, after = cortex.matrix(), rewire_connectome(cortex, null, generator=np.random.default_rng(1)).matrix()
    assert np.mean(before[before > 0] == after[before > 0]) < 0.05
    if null != "weights_shuffled":
        assert not np.array_equal(before > 0, after > 0)
    if null in ("edges_shuffled", "erdos_renyi"):
        assert (after > 0).sum(axis=0).std() > 0
        assert not np.array_equal((before > 0).sum(axis=0), (after > 0).sum(axis=0))
        assert np.mean((before > 0) & (after > 0)) == pytest.approx(cortex.density**2, abs=0.05)


@every_null
def test_neurons_are_rewired_within_regions_too(null):
    generator = np.random.default_rng(1)
    before = expand(load_connectome("distance_rule:macaque"), generator=generator)
    after = rewire_topology(before, null, generator=generator)
    assert isinstance(after, Topology)
    assert after.edges == before.edges
    assert np.array_equal(np.sort(after.weight), np.sort(before.weight))
    assert np.all(after.source != after.target)
    assert np.array_equal(after.region, before.region)
    within = [np.count_nonzero(made.region[made.source] == made.region[made.target]) for made in (before, after)]
    assert (within[0] == within[1]) == (null == "weights_shuffled")


@every_null
def test_a_region_that_a_null_leaves_without_inputs_costs_no_edges(null):
    """So that every draw of a null has the same number of neuron-level edges."""
    sparse = graph(6, [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5)])
    edges = {
        expand(
            rewire_connectome(sparse, null, generator=np.random.default_rng(seed)), generator=np.random.default_rng(0)
        ).edges
        for seed in range(20)
    }
    assert edges == {5 * 12 + 6 * 12}


@every_null
def test_the_seed_fixes_the_draw(null):
    cortex = load_connectome("distance_rule:macaque")
    first, again, other = (
        rewire_connectome(cortex, null, generator=np.random.default_rng(seed)).matrix() for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@every_null
def test_a_fraction_of_the_edges(null):
    """From 0, nothing, the more the fraction the less stays; of a tenth, nearly all the rest stays."""
    cortex = load_connectome("distance_rule:human")
    stay = []
    for fraction in (0.0, 0.1, 0.5, 1.0):
        made = rewire_connectome(cortex, null, fraction=fraction, generator=np.random.default_rng(1))
        stay.append(np.mean(made.matrix()[cortex.matrix() > 0] == cortex.weight))
    assert stay[0] == 1
    assert 0.9 <= stay[1] < 0.96
    assert stay[3] < 0.1 < stay[2] < 0.7


def evenly(counts: Counter, kinds: int) -> bool:
    """Whether all kinds occur, as often as each other: a chi-square that even draws exceed once in 10,000."""
    expected = counts.total() / kinds
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = kinds - 1
    return len(counts) == kinds and chi_square < freedom + 3.7 * np.sqrt(2 * freedom) + 8


def test_degree_preserving_draws_evenly_from_all_graphs_with_these_degrees():
    """One output and one input each, none to itself: the 9 derangements of four nodes."""
    ring = graph(4, [(0, 1), (1, 2), (2, 3), (3, 0)])
    generator = np.random.default_rng(1)
    counts = Counter(
        tuple(rewire_connectome(ring, "degree_preserving", generator=generator).target) for _ in range(1800)
    )
    assert set(counts) == {order for order in permutations(range(4)) if all(i != j for i, j in enumerate(order))}
    assert evenly(counts, 9)


def test_degree_preserving_gives_each_target_of_a_node_each_of_its_weights_evenly():
    dense = graph(4, [(i, j) for i in range(4) for j in range(4) if i != j and (i, j) not in ((0, 1), (1, 0), (2, 3))])
    generator = np.random.default_rng(1)
    counts: Counter = Counter()
    for _ in range(600):
        counts[tuple(rewire_connectome(dense, "degree_preserving", generator=generator).weight[-3:])] += 1
    assert evenly(counts, 6)  # the last node connects to all others


@pytest.mark.parametrize("null", ["erdos_renyi", "edges_shuffled"])
def test_random_graphs_draw_evenly_from_all_pairs(null):
    pair = graph(3, [(0, 1), (1, 2)])
    generator = np.random.default_rng(1)
    counts: Counter = Counter()
    for _ in range(3000):
        made = rewire_connectome(pair, null, generator=generator)
        counts[tuple(made.matrix().ravel())] += 1
    assert evenly(counts, 6 * 5)  # ordered, since the two weights differ


def test_erdos_renyi_makes_self_connections_only_where_there_are_some():
    with_loop = graph(3, [(0, 0), (1, 2)])
    made = [
        rewire_connectome(with_loop, "erdos_renyi", generator=np.random.default_rng(seed)).matrix()
        for seed in range(50)
    ]
    assert {int(np.count_nonzero(np.diag(matrix))) for matrix in made} == {0, 1, 2}


@pytest.mark.parametrize(
    "edges",
    [
        pytest.param([(i, j) for i in range(5) for j in range(5) if i != j], id="complete"),
        pytest.param([(0, j) for j in range(1, 6)], id="star"),
        pytest.param([(i, j) for i in range(6) for j in range(i + 1, 6)], id="every node to all later ones"),
        pytest.param([(0, 1)], id="one edge"),
        pytest.param([(0, 1), (1, 0)], id="a pair"),
    ],
)
def test_degrees_that_fix_the_graph(edges):
    with pytest.raises(UserError, match=r"no two of the .* edges that may move can be swapped"):
        rewire_connectome(graph(6, edges), "degree_preserving", generator=np.random.default_rng(1))


def test_one_swap_in_an_almost_complete_graph_is_found():
    edges = [(i, j) for i in range(12) for j in range(12) if i != j and (i, j) not in ((0, 1), (2, 3))]
    generator = np.random.default_rng(1)
    free = Counter()
    for _ in range(40):
        matrix = rewire_connectome(graph(12, edges), "degree_preserving", generator=generator).matrix()
        free[tuple(np.argwhere((matrix == 0) & ~np.eye(12, dtype=bool)).ravel())] += 1
    assert set(free) == {(0, 1, 2, 3), (0, 3, 2, 1)}


@pytest.mark.parametrize("published", ["marmoset", "mouse_gamanut", "human"], indirect=True)
def test_degree_preserving_mixes_the_published_connectomes_however_dense(published):
    """After the usual number of trades no more edges are where they were than after ten times as many."""
    generator = np.random.default_rng(1)
    once, more = [], []
    for _ in range(10):
        made = rewire_connectome(published, "degree_preserving", generator=generator)
        once.append(np.mean(made.matrix()[published.source, published.target] > 0))
        for _ in range(9):
            made = rewire_connectome(made, "degree_preserving", generator=generator)
        more.append(np.mean(made.matrix()[published.source, published.target] > 0))
    assert np.mean(once) == pytest.approx(np.mean(more), abs=0.02)


def test_names_and_fractions_that_will_not_do():
    pair = graph(3, [(0, 1), (1, 2)])
    with pytest.raises(UserError, match="unknown null 'degrees_preserving'; did you mean 'degree_preserving'"):
        rewire_connectome(pair, "degrees_preserving", generator=np.random.default_rng(1))
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="fraction"):
            rewire_connectome(pair, "weights_shuffled", fraction=fraction, generator=np.random.default_rng(1))


@every_null
def test_every_null_says_what_it_keeps(null):
    assert NULLS[null].keeps
