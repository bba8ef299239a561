"""Each null keeps what it says, changes the rest, and draws evenly from what is left."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from biotune.connectome import Connectome, Provenance, load_connectome
from biotune.errors import UserError
from biotune.topology import (
    NULLS,
    Topology,
    entries_changed,
    expand,
    rewire_connectome,
    rewire_topology,
    rewired_share,
)
from biotune.topology.nulls.scatter import distance_bins

PROVENANCE = Provenance(kind="file", species="mouse", citation="", licence="", orientation="")


def graph(size: int, edges: list[tuple[int, int]]) -> Connectome:
    """A connectome whose weights are all different: 1, 2, 3, ..."""
    source, target = np.array(sorted(edges)).T
    positions = np.random.default_rng(size).uniform(0, 10, (size, 3))
    return Connectome("test", size, source, target, np.arange(1.0, len(edges) + 1), PROVENANCE, positions=positions)


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
OF_REGIONS = [null for null in NULLS if null != "block_preserving"]
every_null_of_regions = pytest.mark.parametrize("null", OF_REGIONS)
seeds = st.integers(0, 2**32)


@every_null_of_regions
@given(connectome=graphs(), seed=seeds, fraction=st.floats(0, 1))
def test_number_of_edges_and_weights_are_kept_and_no_self_connection_made(null, connectome, seed, fraction):
    made = rewired(connectome, null, seed, fraction)
    assert made.edges == connectome.edges
    assert sorted(made.weight) == sorted(connectome.weight)
    assert np.all(made.source != made.target)
    moved = np.count_nonzero((made.matrix() != connectome.matrix()) & (made.matrix() > 0))
    assert moved <= round(fraction * connectome.edges)


@every_null_of_regions
@given(connectome=graphs(loops=True), seed=seeds)
def test_number_of_edges_and_weights_are_kept_among_self_connections_too(null, connectome, seed):
    made = rewired(connectome, null, seed)
    assert made.edges == connectome.edges
    assert sorted(made.weight) == sorted(connectome.weight)
    if not np.any(connectome.source == connectome.target):
        assert np.all(made.source != made.target)


@every_null_of_regions
@given(connectome=graphs(loops=True), seed=seeds, fraction=st.floats(0, 1))
def test_the_shares_that_changed_are_those_of_the_matrices(null, connectome, seed, fraction):
    made = rewired(connectome, null, seed, fraction)
    before, after = connectome.matrix(), made.matrix()
    share = entries_changed(connectome, made)
    assert share == pytest.approx(np.mean((before != after)[(before != 0) | (after != 0)]))
    assert share == entries_changed(made, connectome)
    assert rewired_share(connectome, made) <= share <= 1  # an edge that has moved has changed two entries
    assert entries_changed(connectome, connectome) == 0


def test_a_null_may_change_all_weights_and_rewire_no_edge():
    before = graph(4, [(0, 1), (1, 2), (2, 3)])
    after = replace(before, weight=before.weight[[1, 2, 0]])
    assert (rewired_share(before, after), entries_changed(before, after)) == (0, 1)
    moved = replace(before, target=np.array([1, 2, 0]))  # of three edges one is elsewhere: two of four entries
    assert (rewired_share(before, moved), entries_changed(before, moved)) == (pytest.approx(1 / 3), 0.5)
    silent = Topology(2, np.array([0]), np.array([0]), np.zeros(1), np.array([0, 1]))
    assert entries_changed(silent, silent) == 0


@given(connectome=graphs(loops=True), seed=seeds, fraction=st.floats(0, 1))
def test_weights_shuffled_keeps_every_edge(connectome, seed, fraction):
    made = rewired(connectome, "weights_shuffled", seed, fraction)
    assert np.array_equal(made.matrix() > 0, connectome.matrix() > 0)


@given(connectome=graphs(), seed=seeds, fraction=st.floats(0, 1))
def test_degree_preserving_keeps_both_degrees_and_each_nodes_output_weights(connectome, seed, fraction):
    before, after = connectome.matrix(), rewired(connectome, "degree_preserving", seed, fraction).matrix()
    assert np.array_equal((before > 0).sum(axis=0), (after > 0).sum(axis=0))
    assert np.array_equal((before > 0).sum(axis=1), (after > 0).sum(axis=1))
    assert np.array_equal(np.sort(before, axis=0), np.sort(after, axis=0))


@given(connectome=graphs(loops=True), seed=seeds)
def test_edges_shuffled_leaves_self_connections_where_they_are(connectome, seed):
    before, after = connectome.matrix(), rewired(connectome, "edges_shuffled", seed).matrix()
    assert np.array_equal(np.diag(before), np.diag(after))


@every_null_of_regions
def test_a_null_changes_what_it_should(null):
    cortex = load_connectome("distance_rule:marmoset")
    before, after = cortex.matrix(), rewire_connectome(cortex, null, generator=np.random.default_rng(1)).matrix()
    assert np.mean(before[before > 0] == after[before > 0]) < 0.05
    assert np.array_equal(before > 0, after > 0) == (null == "weights_shuffled")
    if null in ("edges_shuffled", "erdos_renyi"):
        assert (after > 0).sum(axis=0).std() > 0
        assert not np.array_equal((before > 0).sum(axis=0), (after > 0).sum(axis=0))
        assert np.mean((before > 0) & (after > 0)) == pytest.approx(cortex.density**2, abs=0.05)


@every_null
def test_neurons_are_rewired_within_regions_too(null):
    generator = np.random.default_rng(1)
    cortex = load_connectome("distance_rule:macaque")
    before = expand(cortex, generator=generator)
    after = rewire_topology(before, null, positions=cortex.positions, generator=generator)
    assert isinstance(after, Topology)
    assert after.edges == before.edges
    assert np.array_equal(np.sort(after.weight), np.sort(before.weight))
    assert np.all(after.source != after.target)
    assert np.array_equal(after.region, before.region)
    within = [np.count_nonzero(made.region[made.source] == made.region[made.target]) for made in (before, after)]
    keeps_blocks = ("weights_shuffled", "direction_reversed", "block_preserving", "distance_preserving")
    assert (within[0] == within[1]) == (null in keeps_blocks)


@every_null_of_regions
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


@every_null_of_regions
def test_the_seed_fixes_the_draw(null):
    cortex = load_connectome("distance_rule:macaque")
    first, again, other = (
        rewire_connectome(cortex, null, generator=np.random.default_rng(seed)).matrix() for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (null == "direction_reversed")  # the one that draws nothing


@every_null_of_regions
def test_a_fraction_of_the_edges(null):
    """From 0, nothing, the more the fraction the less stays; of a tenth, nearly all the rest stays."""
    cortex = load_connectome("distance_rule:human")
    stay = []
    for fraction in (0.0, 0.1, 0.5, 1.0):
        made = rewire_connectome(cortex, null, fraction=fraction, generator=np.random.default_rng(1))
        stay.append(np.mean(made.matrix()[cortex.target, cortex.source] == cortex.weight))
    assert stay[0] == 1
    assert 0.9 <= stay[1] < 0.97
    assert stay[3] < 0.1 < stay[2] < 0.7


def evenly(counts: Counter, kinds: int) -> bool:
    """Whether all kinds occur, as often as each other: a chi-square that even draws exceed once in 10,000."""
    expected = counts.total() / kinds
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = kinds - 1
    return len(counts) == kinds and chi_square < freedom + 3.7 * np.sqrt(2 * freedom) + 8


@pytest.mark.slow
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
    assert set(free) == {(1, 0, 3, 2), (1, 2, 3, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("published", ["marmoset", "mouse_gamanut", "human"], indirect=True)
def test_degree_preserving_mixes_the_published_connectomes_however_dense(published):
    """After the usual number of trades no more edges are where they were than after ten times as many."""
    generator = np.random.default_rng(1)
    once, more = [], []
    for _ in range(10):
        made = rewire_connectome(published, "degree_preserving", generator=generator)
        once.append(np.mean(made.matrix()[published.target, published.source] > 0))
        for _ in range(9):
            made = rewire_connectome(made, "degree_preserving", generator=generator)
        more.append(np.mean(made.matrix()[published.target, published.source] > 0))
    assert np.mean(once) == pytest.approx(np.mean(more), abs=0.02)


def test_names_and_fractions_that_will_not_do():
    pair = graph(3, [(0, 1), (1, 2)])
    with pytest.raises(UserError, match="unknown null 'degrees_preserving'; did you mean 'degree_preserving'"):
        rewire_connectome(pair, "degrees_preserving", generator=np.random.default_rng(1))
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="fraction"):
            rewire_connectome(pair, "weights_shuffled", fraction=fraction, generator=np.random.default_rng(1))


@every_null
def test_every_null_says_what_it_keeps_and_asks(null):
    assert NULLS[null].keeps
    assert NULLS[null].asks.endswith((")", "?"))


@given(connectome=graphs(), seed=seeds, fraction=st.floats(0, 1))
def test_strength_preserving_keeps_both_degrees(connectome, seed, fraction):
    before, after = connectome.matrix(), rewired(connectome, "strength_preserving", seed, fraction).matrix()
    assert np.array_equal((before > 0).sum(axis=0), (after > 0).sum(axis=0))
    assert np.array_equal((before > 0).sum(axis=1), (after > 0).sum(axis=1))


@pytest.mark.parametrize("level", ["region", "neuron"])
def test_strength_preserving_brings_both_strengths_near_and_degree_preserving_does_not(level):
    cortex = load_connectome("distance_rule:marmoset", seed=1)
    # strengths that differ between targets, as a normalised connectome's don't
    scale = np.random.default_rng(1).lognormal(sigma=0.5, size=cortex.size)
    cortex = cortex.with_edges(cortex.source, cortex.target, cortex.weight * scale[cortex.target])
    wiring = cortex if level == "region" else expand(cortex, generator=np.random.default_rng(1))
    rewire = rewire_connectome if level == "region" else rewire_topology
    error = {}
    for null in ("strength_preserving", "degree_preserving"):
        made = rewire(wiring, null, generator=np.random.default_rng(1)).matrix()
        error[null] = [
            np.abs(made.sum(axis) - wiring.matrix().sum(axis)).sum() / wiring.weight.sum() for axis in (0, 1)
        ]
    assert max(error["strength_preserving"]) < 0.08
    assert max(error["degree_preserving"]) > 0.3


@given(connectome=graphs(loops=True), seed=seeds, fraction=st.floats(0, 1))
def test_direction_reversed_turns_edges_round_with_their_weights(connectome, seed, fraction):
    before, after = connectome.matrix(), rewired(connectome, "direction_reversed", seed, fraction).matrix()
    assert np.array_equal(before + before.T, after + after.T)
    whole = rewired(connectome, "direction_reversed", seed).matrix()
    assert np.array_equal(whole, before.T)


def test_direction_reversed_needs_directions():
    ring = graph(4, [(0, 1), (1, 2), (2, 3), (3, 0)])
    both = ring.with_edges(np.append(ring.source, ring.target), np.append(ring.target, ring.source), np.ones(8))
    with pytest.raises(UserError, match="symmetric, so reversed it is the same"):
        rewire_connectome(both, "direction_reversed", generator=np.random.default_rng(1))


def blocks(topology: Topology) -> list[tuple[int, int, float]]:
    """Source region, target region and weight of every edge, in order."""
    return sorted(zip(topology.region[topology.source], topology.region[topology.target], topology.weight, strict=True))


@given(neurons=st.lists(st.integers(1, 5), min_size=6, max_size=6), loops=st.booleans(), seed=seeds)
def test_block_preserving_keeps_every_block_and_moves_edges_within(neurons, loops, seed):
    generator = np.random.default_rng(seed)
    ring = graph(6, [(i, (i + step) % 6) for i in range(6) for step in (1, 2)])
    before = expand(ring, neurons_per_region=neurons, target_sparsity=0.5, keep_diagonal=loops, generator=generator)
    try:
        after = rewire_topology(before, "block_preserving", generator=generator)
    except UserError:
        assume(False)
        raise
    assert blocks(after) == blocks(before)
    assert not np.array_equal(after.source, before.source) or not np.array_equal(after.weight, before.weight)
    assert loops or np.all(after.source != after.target)


def test_block_preserving_draws_evenly_from_the_pairs_of_a_block():
    """Two edges over the four pairs from a region of two neurons to another, and one that fills a block of one."""
    two = Topology(5, np.array([2, 3, 4]), np.array([0, 1, 0]), np.arange(1.0, 4.0), np.array([0, 0, 1, 1, 2]))
    generator = np.random.default_rng(1)
    counts = Counter(
        tuple(rewire_topology(two, "block_preserving", generator=generator).matrix()[2:, :2].ravel())
        for _ in range(2400)
    )
    assert evenly(counts, 4 * 3 * 2)


@pytest.mark.parametrize("per_region", [1, 3])
def test_distance_preserving_keeps_the_number_of_edges_at_each_distance(per_region):
    cortex = load_connectome("distance_rule:marmoset", seed=1)
    before = expand(cortex, neurons_per_region=per_region, target_sparsity=0.5, generator=np.random.default_rng(1))
    distance = np.linalg.norm(cortex.positions[:, None] - cortex.positions, axis=2)
    bins = distance_bins(cortex.positions)
    for weights in ("carried", "shuffled"):
        after = rewire_topology(
            before,
            "distance_preserving",
            weights=weights,
            positions=cortex.positions,
            generator=np.random.default_rng(2),
        )
        of = [(made.region[made.source], made.region[made.target]) for made in (before, after)]
        binned = [
            sorted(zip(bins[pair].tolist(), made.weight, strict=True))
            for pair, made in zip(of, (before, after), strict=True)
        ]
        assert [bin for bin, _ in binned[0]] == [bin for bin, _ in binned[1]]
        assert (binned[0] == binned[1]) == (weights == "carried")
        assert distance[of[1]].sum() == pytest.approx(distance[of[0]].sum(), rel=0.01)
    random = rewire_topology(before, "erdos_renyi", generator=np.random.default_rng(2))
    assert distance[random.region[random.source], random.region[random.target]].sum() > 1.15 * distance[of[0]].sum()
    assert np.mean(after.matrix()[before.matrix() > 0] > 0) < 0.9


@every_null_of_regions
def test_weights_carried_or_shuffled(null):
    cortex = load_connectome("distance_rule:macaque", seed=1)
    if NULLS[null].deals_weights:
        with pytest.raises(UserError, match="keeps strengths, which shuffled weights would not"):
            rewire_connectome(cortex, null, weights="shuffled", generator=np.random.default_rng(1))
        return
    carried, shuffled = (
        rewire_connectome(cortex, null, weights=weights, generator=np.random.default_rng(1))
        for weights in ("carried", "shuffled")
    )
    assert np.array_equal(carried.matrix() > 0, shuffled.matrix() > 0)  # the same edges
    assert np.array_equal(np.sort(carried.weight), np.sort(shuffled.weight))
    assert np.mean(carried.weight == shuffled.weight) < 0.1


def test_what_a_connectome_cannot_have():
    generator = np.random.default_rng(1)
    cortex = load_connectome("distance_rule:macaque", seed=1)
    with pytest.raises(UserError, match="regions have no blocks to keep; give level: neuron"):
        rewire_connectome(cortex, "block_preserving", generator=generator)
    with pytest.raises(UserError, match="has no positions of its regions"):
        rewire_connectome(replace(cortex, positions=None), "distance_preserving", generator=generator)
    full = expand(cortex, target_sparsity=1.0, generator=generator)
    with pytest.raises(UserError, match=r"block_preserving: none of the .* has a free place"):
        rewire_topology(full, "block_preserving", generator=generator)
    with pytest.raises(UserError, match="unknown weights of a null 'carry'; did you mean 'carried'"):
        rewire_connectome(cortex, "erdos_renyi", weights="carry", generator=generator)


def test_scattering_over_many_neurons_takes_memory_for_the_edges_alone():
    """20,000 neurons have 4·10^8 pairs: a byte for each would be 400 MB."""
    generator = np.random.default_rng(1)
    size, count = 20_000, 100_000
    pair = np.unique(generator.integers(size**2, size=count))
    target, source = np.divmod(pair[pair // size != pair % size], size)
    topology = Topology(size, target, source, np.ones(len(target)), np.arange(size) // 1000)
    tracemalloc.start()
    for null in ("erdos_renyi", "block_preserving"):
        assert rewire_topology(topology, null, generator=generator).edges == topology.edges
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
