"""Each measure against its definition, written out in loops."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import load_connectome
from biotune.errors import UserError
from biotune.topology import (
    MEASURES,
    Topology,
    expand,
    measure_row,
    measures,
    rewire_topology,
    spectral_radius,
    spectrum,
)
from biotune.topology.measures import graph


def of_matrix(matrix: np.ndarray, region: np.ndarray | None = None) -> Topology:
    target, source = np.nonzero(matrix)
    region = np.arange(len(matrix)) if region is None else np.asarray(region)
    return Topology(len(matrix), target, source, matrix[target, source].astype(float), region)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    size = draw(st.integers(2, 7))
    entries = draw(st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=size * size, max_size=size * size))
    region = np.sort(draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)))
    return of_matrix(np.array(entries).reshape(size, size), region)


RING = of_matrix(np.roll(np.eye(5), 1, axis=0))
COMPLETE = of_matrix(np.ones((5, 5)) - np.eye(5))
CHAIN = of_matrix(np.eye(5, k=-1))


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        (
            RING,
            {
                "density": 0.25,
                "reciprocity": 0,
                "in_degree_sd": 0,
                "clustering": 0,
                "spectral_radius": 1,
                "non_normality": 0,
            },
        ),
        (
            COMPLETE,
            {
                "density": 1,
                "reciprocity": 1,
                "out_degree_sd": 0,
                "clustering": 1,
                "spectral_radius": 4,
                "non_normality": 0,
            },
        ),
        (CHAIN, {"density": 0.2, "reciprocity": 0, "in_degree_sd": 0.4, "spectral_radius": 0, "non_normality": 1}),
    ],
    ids=["ring", "complete", "chain"],
)
def test_graphs_that_one_knows(topology, expected):
    found = measures(topology)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@given(topologies())
def test_clustering_counts_directed_triangles(topology):
    pattern = (topology.matrix() > 0) & ~np.eye(topology.size, dtype=bool)
    values = []
    for i in range(topology.size):
        others = [j for j in range(topology.size) if j != i]
        triangles = possible = 0
        for j, k in permutations(others, 2):
            ways_there = int(pattern[i, j]) + int(pattern[j, i])
            ways_back = int(pattern[i, k]) + int(pattern[k, i])
            triangles += ways_there * (int(pattern[j, k]) + int(pattern[k, j])) * ways_back
            possible += 2 * ways_there * ways_back
        values.append(triangles / possible if possible else 0.0)
    assert measures(topology)["clustering"] == pytest.approx(np.mean(values))


@given(topologies())
def test_region_contrast_compares_pairs_of_neurons(topology):
    pattern = ((topology.matrix() > 0) & ~np.eye(topology.size, dtype=bool)).astype(float)
    profile = np.concatenate([pattern, pattern.T], axis=1)
    one, different = [], []
    for i, j in permutations(range(topology.size), 2):
        norm = np.linalg.norm(profile[i]) * np.linalg.norm(profile[j])
        cosine = profile[i] @ profile[j] / norm if norm else 0.0
        (one if topology.region[i] == topology.region[j] else different).append(cosine)
    expected = np.mean(one) - np.mean(different) if one and different else np.nan
    assert measures(topology)["region_contrast"] == pytest.approx(expected, nan_ok=True, abs=1e-12)


@given(topologies())
def test_degrees_strengths_reciprocity_and_spectrum(topology):
    found, matrix = measures(topology), topology.matrix()
    pattern = (matrix > 0) & ~np.eye(topology.size, dtype=bool)
    assert found["in_degree_sd"] == pytest.approx((matrix > 0).sum(axis=1).std())
    assert found["out_degree_sd"] == pytest.approx((matrix > 0).sum(axis=0).std())
    assert found["spectral_radius"] == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max(), abs=1e-6)
    assert found["frobenius_norm"] == pytest.approx(np.linalg.norm(matrix))
    if topology.size > 1:
        assert found["spectral_radius"] - found["second_modulus"] == pytest.approx(found["spectral_gap"])
    if topology.edges:
        assert found["in_strength_cv"] == pytest.approx(matrix.sum(axis=1).std() / matrix.sum(axis=1).mean())
        assert found["out_strength_cv"] == pytest.approx(matrix.sum(axis=0).std() / matrix.sum(axis=0).mean())
        assert 0 <= found["non_normality"] <= 1
    if pattern.any():
        assert found["reciprocity"] == pytest.approx((pattern & pattern.T).sum() / pattern.sum())


def test_other_values_on_the_same_pattern():
    other = measures(CHAIN, np.array([1.0, -1.0, 2.0, 0.5]))
    assert other["density"] == measures(CHAIN)["density"]
    assert other["in_strength_cv"] == pytest.approx(np.std([0, 1, 1, 2, 0.5]) / 0.9)


def test_region_blocks_are_seen_and_rewired_away():
    generator = np.random.default_rng(1)
    blocks = expand(load_connectome("distance_rule:macaque"), generator=generator)
    random = rewire_topology(blocks, "erdos_renyi", generator=generator)
    assert measures(blocks)["region_contrast"] > 0.1
    assert abs(measures(random)["region_contrast"]) < 0.02
    assert measures(blocks)["within_region"] == pytest.approx(29 * 12 / blocks.edges)


def test_what_a_topology_does_not_have_is_not_a_number_and_the_row_says_why():
    row = measure_row(of_matrix(np.zeros((3, 3))))
    reasons = dict(part.split(": ") for part in row["left_empty"].split("; "))
    assert {name for name in MEASURES if np.isnan(row[name])} == set(reasons)
    assert set(MEASURES) - set(reasons) == {
        "density",
        "in_degree_sd",
        "out_degree_sd",
        "clustering",
        "reachable",
        "efficiency",
        "frobenius_norm",
        "spectral_radius",
        "second_modulus",
        "spectral_gap",
    }
    assert reasons["reciprocity"] == "no edges between different neurons"
    assert reasons["silhouette"] == "one region, or one neuron per region"
    assert row["spectral_radius"] == 0
    assert (
        measure_row(expand(load_connectome("distance_rule:macaque"), generator=np.random.default_rng(1)))["left_empty"]
        == ""
    )


def test_what_is_too_dear_is_left_empty_and_the_row_says_so(monkeypatch):
    monkeypatch.setattr(spectrum, "DENSE_SIZE", 4)
    monkeypatch.setattr(graph, "PAIRS_SIZE", 4)
    monkeypatch.setattr(graph, "TWO_PATHS", 4)
    ring = of_matrix(np.roll(np.eye(80), 1, axis=0))
    row = measure_row(ring)
    empty = {name for name in MEASURES if np.isnan(row[name])}
    assert empty >= {"clustering", "path_length", "modularity", "homophily", "silhouette", "non_normality"}
    assert "path_length: too expensive above 4 neurons" in row["left_empty"]
    assert "clustering: more than 4 paths over two edges" in row["left_empty"]
    assert row["spectral_radius"] == pytest.approx(1)
    assert row["region_modularity"] == pytest.approx(-1 / 80)


@pytest.mark.parametrize("dense", [0.0, 1.0], ids=["by products", "by search"])
@given(topology=topologies())
def test_paths_are_the_shortest(dense, topology):
    pattern = (topology.matrix() > 0) & ~np.eye(topology.size, dtype=bool)
    hops = np.where(pattern, 1.0, np.inf)
    np.fill_diagonal(hops, 0)
    for k in range(topology.size):
        hops = np.minimum(hops, hops[:, [k]] + hops[[k], :])
    between = hops[~np.eye(topology.size, dtype=bool)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "DENSE_PATTERN", dense)
        found = measures(topology)
    assert found["reachable"] == pytest.approx(np.isfinite(between).mean())
    assert found["efficiency"] == pytest.approx(np.mean(1 / between))
    joined = between[np.isfinite(between)]
    assert found["path_length"] == pytest.approx(joined.mean() if len(joined) else np.nan, nan_ok=True)


@given(topologies())
def test_modularity_assortativity_rich_club_and_homophily(topology):
    found, size = measures(topology), topology.size
    pattern = ((topology.matrix() > 0) & ~np.eye(size, dtype=bool)).astype(float)
    inputs, outputs, count = pattern.sum(axis=1), pattern.sum(axis=0), pattern.sum()
    if not count:
        return
    same = topology.region[:, None] == topology.region
    q = np.sum((pattern - np.outer(inputs, outputs) / count) * same) / count
    assert found["region_modularity"] == pytest.approx(q)
    assert found["modularity"] >= -1e-12  # a single community has 0
    targets, sources = np.nonzero(pattern)
    if np.ptp(outputs[sources]) and np.ptp(inputs[targets]):
        expected = np.corrcoef(outputs[sources], inputs[targets])[0, 1]
        assert found["assortativity"] == pytest.approx(expected)
    hubs = np.flatnonzero(inputs + outputs >= np.sort(inputs + outputs)[-2])
    among = pattern[np.ix_(hubs, hubs)].sum() / (len(hubs) * (len(hubs) - 1))
    assert found["rich_club"] == pytest.approx(among / found["density"])
    profile = np.concatenate([pattern, pattern.T], axis=1)
    norm = np.linalg.norm(profile, axis=1)
    alike: dict[bool, list[float]] = {True: [], False: []}
    for i, j in permutations(range(size), 2):
        cosine = profile[i] @ profile[j] / (norm[i] * norm[j]) if norm[i] * norm[j] else 0.0
        alike[bool(pattern[i, j])].append(cosine)
    expected = np.mean(alike[True]) - np.mean(alike[False]) if alike[False] else np.nan
    assert found["homophily"] == pytest.approx(expected, nan_ok=True, abs=1e-6)


@given(topologies())
def test_silhouette_compares_a_neurons_own_region_with_the_nearest_other(topology):
    size, region = topology.size, topology.region
    pattern = ((topology.matrix() > 0) & ~np.eye(size, dtype=bool)).astype(float)
    profile = np.concatenate([pattern, pattern.T], axis=1)
    norm = np.linalg.norm(profile, axis=1)
    values = []
    for i in range(size):
        mean = {}
        for r in set(region.tolist()):
            others = [j for j in range(size) if j != i and region[j] == r]
            far = [1 - (profile[i] @ profile[j] / (norm[i] * norm[j]) if norm[i] * norm[j] else 0) for j in others]
            mean[r] = np.mean(far) if far else np.nan
        a = mean.pop(region[i])
        b = min(mean.values(), default=np.nan)
        values.append((b - a) / max(a, b) if np.isfinite(a + b) and max(a, b) > 1e-6 else 0.0)
    several = len(set(region.tolist())) > 1 and len(set(region.tolist())) < size
    found = measures(topology)["silhouette"]
    assert found == pytest.approx(np.mean(values) if several else np.nan, nan_ok=True, abs=1e-4)


def test_two_cliques_are_two_communities():
    cliques = np.kron(np.eye(2), np.ones((6, 6))) - np.eye(12)
    cliques[0, 6] = 1
    found = measures(of_matrix(cliques, np.repeat([0, 1], 6)))
    assert found["modularity"] == found["region_modularity"] == pytest.approx(0.483, abs=1e-3)
    shuffled = np.random.default_rng(1).permutation(12)
    assert measures(of_matrix(cliques[np.ix_(shuffled, shuffled)]))["modularity"] == pytest.approx(0.483, abs=1e-3)


def test_communities_are_found_by_iteration_as_directly(monkeypatch):
    topology = expand(load_connectome("distance_rule:marmoset"), generator=np.random.default_rng(1))
    direct = measures(topology)["modularity"]
    monkeypatch.setattr(graph, "SMALL_EIGEN", 20)
    assert measures(topology)["modularity"] == pytest.approx(direct, rel=1e-6)


def test_a_rewired_ring_is_a_small_world_and_a_random_graph_is_none():
    """Watts & Strogatz 1998."""
    size, generator = 200, np.random.default_rng(1)
    ring = of_matrix(sum(np.roll(np.eye(size), step, axis=0) for step in (-3, -2, -1, 1, 2, 3)))
    small_world = rewire_topology(ring, "erdos_renyi", fraction=0.1, generator=generator)
    random = rewire_topology(ring, "erdos_renyi", generator=generator)
    assert measures(small_world)["small_worldness"] > 3
    assert measures(random)["small_worldness"] == pytest.approx(1, abs=0.15)
    assert measures(COMPLETE)["small_worldness"] == 1


def test_hubs_that_meet_are_a_rich_club():
    matrix = np.random.default_rng(1).random((40, 40)) < 0.1
    matrix[:4, :] |= np.random.default_rng(2).random((4, 40)) < 0.5
    matrix[:4, :4] = True
    np.fill_diagonal(matrix, False)
    assert measures(of_matrix(matrix))["rich_club"] > 4


def test_second_modulus_and_spectral_gap_count_a_conjugate_pair_once():
    rotation = np.array([[0.0, -2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    topology = of_matrix(np.abs(rotation))
    target, source = topology.target, topology.source
    found = measures(topology, rotation[target, source])
    assert found["spectral_gap"] == pytest.approx(1.5)
    assert found["second_modulus"] == pytest.approx(0.5)
    assert found["frobenius_norm"] == pytest.approx(8.25**0.5)


def test_a_common_mean_of_the_weights_sets_one_eigenvalue_apart():
    values = np.random.default_rng(1).normal(1, 1, (100, 100)) / 10
    topology = of_matrix(np.ones((100, 100)))
    found = measures(topology, values[topology.target, topology.source])
    assert found["spectral_radius"] == pytest.approx(10, rel=0.05)
    assert found["second_modulus"] == pytest.approx(1, rel=0.15)  # the circle of the entries without their mean


@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_norm_and_moduli_scale_with_the_weights(factor, seed):
    complete = of_matrix(np.ones((5, 5)))
    values = np.random.default_rng(seed).normal(size=25)
    one, scaled = measures(complete, values), measures(complete, factor * values)
    for name in ("frobenius_norm", "spectral_radius", "second_modulus"):
        assert scaled[name] == pytest.approx(factor * one[name])


@pytest.mark.long
def test_a_large_topology_is_measured_but_for_what_is_too_dear():
    cortex = load_connectome("distance_rule:macaque")
    sparse = expand(
        cortex,
        neurons_per_region=100,
        target_sparsity=0.01,
        intrinsic_sparsity=0.01,
        generator=np.random.default_rng(1),
    )
    row = measure_row(sparse)
    assert row["left_empty"] == "non_normality: too expensive above 1,000 neurons"


def test_every_measure_says_what_it_is():
    assert all(measure.__doc__ for measure in MEASURES.values())


def sparse_matrix(size: int, signed: bool) -> np.ndarray:
    generator = np.random.default_rng(size)
    values = generator.normal(size=(size, size)) if signed else generator.exponential(size=(size, size))
    return np.where(generator.random((size, size)) < 0.1, values, 0)


@pytest.mark.parametrize("signed", [True, False])
def test_spectral_radius_is_the_same_by_iteration_as_by_all_eigenvalues(signed, monkeypatch):
    matrix = sparse_matrix(300, signed)
    target, source = np.nonzero(matrix)
    exact = spectral_radius(300, target, source, matrix[target, source])
    monkeypatch.setattr(spectrum, "DENSE_SIZE", 10)
    iterated = [spectral_radius(300, target, source, matrix[target, source]) for _ in range(2)]
    assert iterated[0] == iterated[1] == pytest.approx(exact, rel=1e-9)


def test_spectral_radius_scales_with_the_values_and_takes_float32():
    matrix = sparse_matrix(60, signed=True)
    target, source = np.nonzero(matrix)
    value = matrix[target, source]
    assert spectral_radius(60, target, source, 3 * value) == pytest.approx(
        3 * spectral_radius(60, target, source, value)
    )
    assert spectral_radius(60, target, source, value.astype(np.float32)) == pytest.approx(
        spectral_radius(60, target, source, value), rel=1e-5
    )


@pytest.mark.parametrize("dense_size", [10, 1000])
def test_spectral_radius_of_a_network_without_cycles_is_zero(dense_size, monkeypatch):
    monkeypatch.setattr(spectrum, "DENSE_SIZE", dense_size)
    size, generator = 200, np.random.default_rng(1)
    nothing = np.empty(0, np.int64)
    assert spectral_radius(size, nothing, nothing, np.empty(0)) == 0
    order = generator.permutation(size)
    matrix = np.tril(generator.random((size, size)), k=-1)[np.ix_(order, order)]
    target, source = np.nonzero(matrix)
    assert spectral_radius(size, target, source, matrix[target, source]) == 0
    assert spectral_radius(size, np.append(target, 3), np.append(source, 3), np.append(matrix[target, source], -2)) == 2


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [([1, 0], [0, 1], "sorted"), ([0, 0], [1, 1], "each pair once"), ([0, 3], [0, 0], "neurons 0 to 2")],
)
def test_a_topology_is_sorted_unique_and_in_range(target, source, message):
    with pytest.raises(ValueError, match=message):
        Topology(3, np.array(target), np.array(source), np.ones(2), np.zeros(3, np.int64))


def test_eigenvalues_that_are_not_found_are_an_error_not_a_dense_matrix(monkeypatch):
    monkeypatch.setattr(spectrum, "DENSE_SIZE", 10)
    monkeypatch.setattr(spectrum, "KRYLOV_VECTORS", (8,))
    monkeypatch.setattr(spectrum, "MAX_RESTARTS", 1)
    matrix = sparse_matrix(300, signed=True)
    target, source = np.nonzero(matrix)
    with pytest.raises(UserError, match="were not found with 8 Arnoldi vectors"):
        spectral_radius(300, target, source, matrix[target, source])
