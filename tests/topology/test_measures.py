"""Each measure against its definition, written out in loops."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import load_connectome
from biotune.topology import MEASURES, Topology, expand, measures, rewire_topology, spectral_radius, spectrum


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


def test_what_a_topology_does_not_have_is_not_a_number():
    empty = of_matrix(np.zeros((3, 3)))
    found = measures(empty)
    assert {name for name, value in found.items() if np.isnan(value)} == {
        "reciprocity",
        "in_strength_cv",
        "out_strength_cv",
        "within_region",
        "region_contrast",
        "non_normality",
    }
    assert found["spectral_radius"] == 0


def test_non_normality_is_left_empty_where_it_is_too_dear(monkeypatch):
    monkeypatch.setattr(spectrum, "DENSE_SIZE", 4)
    assert np.isnan(MEASURES["non_normality"](RING, RING.weight))


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
