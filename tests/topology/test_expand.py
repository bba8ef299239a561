"""The expansion against its definition: who connects to whom, how many, and how much."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import Connectome, Provenance, load_connectome
from biotune.errors import UserError
from biotune.topology import PARTITIONS, Topology, expand

PROVENANCE = Provenance(kind="file", species="mouse", citation="", licence="", orientation="")


def of_matrix(matrix: np.ndarray) -> Connectome:
    source, target = np.nonzero(matrix)
    return Connectome("test", len(matrix), source, target, matrix[source, target], PROVENANCE)


@dataclass
class Blocks:
    """What lies between each pair of regions, `[target region, source region]`."""

    edges: np.ndarray
    weight: np.ndarray


def blocks(topology: Topology, regions: int) -> Blocks:
    where = topology.region[topology.target], topology.region[topology.source]
    edges, weight = np.zeros((regions, regions), np.int64), np.zeros((regions, regions))
    np.add.at(edges, where, 1)
    np.add.at(weight, where, topology.weight)
    return Blocks(edges, weight)


@st.composite
def connectomes(draw: st.DrawFn) -> Connectome:
    size = draw(st.integers(2, 5))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    matrix = np.zeros((size, size))
    for pair in draw(st.sets(pairs, min_size=1)):
        matrix[pair] = draw(st.floats(1e-6, 1e3))
    return of_matrix(matrix)


@given(
    connectome=connectomes(),
    data=st.data(),
    target_sparsity=st.floats(0.01, 1),
    intrinsic_sparsity=st.floats(0.01, 1),
    intrinsic_weight=st.floats(0, 0.99),
    partition=st.sampled_from(list(PARTITIONS)),
    keep_diagonal=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_edges_and_weights_between_regions_and_within(
    connectome, data, target_sparsity, intrinsic_sparsity, intrinsic_weight, partition, keep_diagonal, seed
):
    size = connectome.size
    neurons = np.array(data.draw(st.lists(st.integers(1, 6), min_size=size, max_size=size)))
    topology = expand(
        connectome,
        neurons_per_region=neurons.tolist(),
        target_sparsity=target_sparsity,
        intrinsic_sparsity=intrinsic_sparsity,
        intrinsic_weight=intrinsic_weight,
        partition=partition,
        keep_diagonal=keep_diagonal,
        generator=np.random.default_rng(seed),
    )
    matrix = connectome.matrix()
    found = blocks(topology, size)
    received = matrix.sum(axis=1)
    for j in range(size):
        reach = max(1, round(target_sparsity * neurons[j]))
        for i in range(size):
            if i != j:
                assert found.edges[j, i] == (neurons[i] * reach if matrix[j, i] > 0 else 0)
                assert found.weight[j, i] == pytest.approx(matrix[j, i])
        others = neurons[j] if keep_diagonal else neurons[j] - 1
        reach = min(others, max(1, round(intrinsic_sparsity * neurons[j])))
        assert found.edges[j, j] == neurons[j] * reach
        if others:
            assert found.weight[j, j] == pytest.approx(intrinsic_weight * (received[j] + found.weight[j, j]))

    assert topology.size == neurons.sum()
    assert np.array_equal(topology.region, np.repeat(np.arange(size), neurons))
    assert np.all(topology.weight >= 0)
    if not keep_diagonal:
        assert np.all(topology.source != topology.target)
    # each source neuron reaches as many neurons of a region as every other of its region does
    reached = np.zeros((topology.size, size), np.int64)
    np.add.at(reached, (topology.source, topology.region[topology.target]), 1)
    for i in range(size):
        assert np.all(reached[topology.region == i] == reached[topology.region == i][0])


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_published_connectomes(published, partition):
    topology = expand(published, partition=partition, generator=np.random.default_rng(1))
    found, matrix = blocks(topology, published.size), published.matrix()
    outside = ~np.eye(published.size, dtype=bool)
    assert topology.size == 4 * published.size
    assert np.array_equal(found.edges[outside], np.where(matrix > 0, 4 * 3, 0)[outside])
    assert np.all(np.diag(found.edges) == 4 * 3)
    assert found.weight[outside] == pytest.approx(matrix[outside])
    assert np.diag(found.weight) / found.weight.sum(axis=1) == pytest.approx(0.8)
    if partition != "stick_breaking":
        assert topology.weight.min() > 0


def test_the_number_of_edges_does_not_depend_on_the_draw():
    """Region 2 receives nothing from outside: its own connections are there, with weight 0."""
    connectome = of_matrix(np.array([[0, 1.0, 0], [1.0, 0, 0], [1.0, 1.0, 0]]))
    for seed in range(5):
        topology = expand(connectome, generator=np.random.default_rng(seed))
        assert topology.edges == 4 * 12 + 3 * 12
        assert np.all(topology.weight[topology.region[topology.target] == 2] == 0)


def test_the_seed_fixes_the_draw():
    cortex = load_connectome("distance_rule:macaque")
    first, again, other = (expand(cortex, generator=np.random.default_rng(seed)).matrix() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first > 0, other > 0)


def test_each_source_neuron_draws_its_own_targets_uniformly():
    """500 neurons draw 3 of 10 targets: each target is drawn 150 times, give or take (sd 10)."""
    connectome = of_matrix(np.array([[0, 1.0], [0, 0]]))
    topology = expand(
        connectome,
        neurons_per_region=[500, 10],
        target_sparsity=0.3,
        intrinsic=False,
        generator=np.random.default_rng(1),
    )
    drawn = np.bincount(topology.target - 500, minlength=10)
    assert np.all(np.abs(drawn - 150) < 45)
    assert len({tuple(topology.target[topology.source == neuron]) for neuron in range(500)}) > 100


@pytest.mark.parametrize("neurons", [5, 16], ids=["many of few", "few of many"])
def test_every_set_of_targets_is_as_likely_as_every_other(neurons):
    """4,000 source neurons draw 2 targets each: every pair of targets, as often as the others."""
    topology = expand(
        of_matrix(np.array([[0, 1.0], [0, 0]])),
        neurons_per_region=[4000, neurons],
        target_sparsity=2 / neurons,
        intrinsic=False,
        generator=np.random.default_rng(1),
    )
    by_source = topology.target[np.argsort(topology.source, kind="stable")].reshape(4000, 2) - 4000
    counts = np.unique(by_source, axis=0, return_counts=True)[1]
    pairs = neurons * (neurons - 1) // 2
    chi_square = np.sum((counts - 4000 / pairs) ** 2 / (4000 / pairs))
    assert len(counts) == pairs
    assert chi_square < pairs + 4 * np.sqrt(2 * pairs)


def test_within_a_region_the_other_neurons_are_drawn_uniformly():
    connectome = of_matrix(np.array([[0, 1.0], [0, 0]]))
    drawn = np.zeros((6, 6))
    for seed in range(600):
        topology = expand(
            connectome, neurons_per_region=[1, 6], intrinsic_sparsity=0.3, generator=np.random.default_rng(seed)
        )
        drawn += topology.matrix()[1:, 1:] > 0
    assert np.all(np.diag(drawn) == 0)
    others = drawn[~np.eye(6, dtype=bool)]
    assert np.all(np.abs(others - 600 * 2 / 5) < 60)  # sd 12


def parts(partition: str, count: int) -> np.ndarray:
    """How one weight of 1 is shared out over `count` connections, from one source neuron."""
    topology = expand(
        of_matrix(np.array([[0, 1.0], [0, 0]])),
        neurons_per_region=[1, count],
        target_sparsity=1.0,
        partition=partition,
        intrinsic=False,
        generator=np.random.default_rng(3),
    )
    return topology.weight


def test_equal_parts():
    assert parts("equal", 7) == pytest.approx(np.full(7, 1 / 7))


def test_dirichlet_parts_are_exponential_with_none_at_zero():
    """Of a flat Dirichlet over many parts, part x count is exponential: mean 1, sd 1, e^-1 of them above 1."""
    scaled = parts("dirichlet", 20_000) * 20_000
    assert scaled.min() > 0
    assert scaled.std() == pytest.approx(1, rel=0.05)
    assert np.mean(scaled > 1) == pytest.approx(np.exp(-1), rel=0.05)


def test_stick_breaking_leaves_most_of_many_parts_at_next_to_nothing():
    broken = parts("stick_breaking", 2_000)
    assert broken.sum() == pytest.approx(1)
    assert np.mean(broken < 1e-12) > 0.9
    assert np.argmax(broken) not in (0, 1, 2)  # shuffled: with this seed, far from the start


def test_one_neuron_a_region_is_the_connectome_itself():
    cortex = load_connectome("distance_rule:macaque")
    topology = expand(cortex, neurons_per_region=1, generator=np.random.default_rng(1))
    assert np.array_equal(topology.matrix(), cortex.matrix())


def test_edges_from_a_region_to_itself_are_what_lies_within_it():
    connectome = of_matrix(np.array([[3.0, 1.0], [0, 0]]))
    topology = expand(connectome, target_sparsity=0.5, intrinsic=False, generator=np.random.default_rng(1))
    found = blocks(topology, 2)
    assert np.array_equal(found.edges, [[8, 0], [8, 0]])
    assert found.weight == pytest.approx(np.array([[3.0, 0], [1.0, 0]]))
    assert np.all(topology.source != topology.target)


def test_a_neuron_that_connects_to_itself():
    connectome = of_matrix(np.array([[3.0, 1.0], [0, 0]]))
    topology = expand(
        connectome, neurons_per_region=1, intrinsic=False, keep_diagonal=True, generator=np.random.default_rng(1)
    )
    assert np.array_equal(topology.matrix(), [[3.0, 0], [1.0, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons_per_region": 0}, "every region would have 0"),
        ({"neurons_per_region": [4, 0]}, "region 1 would have 0"),
        ({"neurons_per_region": [4, 4, 4]}, "3 numbers for the 2 regions"),
        ({"neurons_per_region": 2.5}, "neither a whole number nor a list"),
        ({"neurons_per_region": "four"}, "neither a whole number nor a list"),
        ({"target_sparsity": 0}, r"target_sparsity: 0 is outside \(0, 1\]"),
        ({"target_sparsity": 1.01}, "target_sparsity"),
        ({"intrinsic_sparsity": -1}, "intrinsic_sparsity"),
        ({"intrinsic_weight": 1.0}, r"intrinsic_weight: 1.0 is outside \[0, 1\)"),
        ({"intrinsic_weight": float("nan")}, "intrinsic_weight"),
        ({"partition": "dirichlett"}, "unknown partition 'dirichlett'; did you mean 'dirichlet'"),
    ],
)
def test_options_that_will_not_do(options, message):
    with pytest.raises(UserError, match=message):
        expand(of_matrix(np.array([[0, 1.0], [0, 0]])), **options, generator=np.random.default_rng(1))


def test_a_connectome_that_says_itself_what_lies_within_regions():
    own = of_matrix(np.array([[3.0, 1.0], [0, 0]]))
    with pytest.raises(UserError, match="set intrinsic to false"):
        expand(own, generator=np.random.default_rng(1))
    with pytest.raises(UserError, match="region 0 connects to itself and has one neuron"):
        expand(own, neurons_per_region=1, intrinsic=False, generator=np.random.default_rng(1))
