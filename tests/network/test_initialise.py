import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.network import INITIALISATIONS, recurrent_values, remap_by_rank, uniform_bound
from biotune.topology import Topology, spectral_radius


def ring(size: int, seed: int = 0) -> Topology:
    """A ring with chords: strongly connected, with distinct weights."""
    source = np.concatenate([np.arange(size), np.arange(size)])
    target = np.concatenate([(np.arange(size) + 1) % size, (np.arange(size) + 2) % size])
    order = np.lexsort((source, target))
    weight = np.random.default_rng(seed).random(2 * size)
    return Topology(size, target[order], source[order], weight, np.zeros(size, np.int64))


def draw(
    topology: Topology,
    initialisation: str = "default",
    remap: str | None = "signed",
    radius: float | None = None,
    norm: float | None = None,
    signs: np.ndarray | None = None,
) -> np.ndarray:
    return recurrent_values(
        topology,
        initialisation=initialisation,
        remap=remap,
        radius=radius,
        norm=norm,
        signs=signs,
        values=np.random.default_rng(1),
        ties=np.random.default_rng(2),
    )


@given(weight=st.lists(st.floats(0, 1), min_size=1, max_size=50), seed=st.integers(0, 99))
def test_remapping_keeps_the_values_and_takes_the_weights_order(weight: list[float], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=len(weight))
    remapped = remap_by_rank(values, np.array(weight), np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(remapped), np.sort(values))
    order = np.argsort(weight, kind="stable")
    ordered_weights, ordered_values = np.array(weight)[order], remapped[order]
    rises = np.diff(ordered_weights) > 0
    assert (np.diff(ordered_values)[rises] >= 0).all()


def test_equal_weights_are_ordered_at_random_not_by_their_place() -> None:
    values = np.arange(200.0)
    remapped = remap_by_rank(values, np.ones(200), np.random.default_rng(0))
    assert abs(np.corrcoef(remapped, np.arange(200))[0, 1]) < 0.3


@pytest.mark.parametrize("radius", [0.25, 0.9, 2.0])
def test_the_spectral_radius_is_what_was_asked_for(radius: float) -> None:
    topology = ring(40)
    values = draw(topology, radius=radius)
    dense = np.zeros((40, 40))
    dense[topology.target, topology.source] = values
    assert np.abs(np.linalg.eigvals(dense)).max() == pytest.approx(radius, rel=1e-6)


@given(
    norm=st.floats(0.01, 100),
    initialisation=st.sampled_from(INITIALISATIONS),
    remap=st.sampled_from(["signed", "magnitude", None]),
    size=st.integers(3, 30),
)
def test_the_frobenius_norm_is_what_was_asked_for(
    norm: float, initialisation: str, remap: str | None, size: int
) -> None:
    topology = ring(size)
    scaled, as_it_comes = (draw(topology, initialisation, remap, norm=asked) for asked in (norm, None))
    assert np.linalg.norm(scaled) == pytest.approx(norm)
    np.testing.assert_allclose(scaled, as_it_comes * norm / np.linalg.norm(as_it_comes))


def test_a_graph_without_a_cycle_has_a_norm_to_scale() -> None:
    chain = Topology(3, np.array([1, 2]), np.array([0, 1]), np.ones(2), np.zeros(3, np.int64))
    assert np.linalg.norm(draw(chain, norm=2.0)) == pytest.approx(2)
    with pytest.raises(UserError, match=r"values are 0, so topology\.frobenius_norm cannot be set"):
        draw(chain, remap=None, norm=2.0, signs=np.zeros(2))
    with pytest.raises(ValueError, match=r"radius 0\.9 and norm 2\.0 are given"):
        draw(chain, radius=0.9, norm=2.0)


def test_as_it_comes_leaves_the_radius_alone() -> None:
    topology = ring(40)
    as_it_comes, scaled = draw(topology), draw(topology, radius=0.9)
    found = spectral_radius(40, topology.target, topology.source, as_it_comes)
    np.testing.assert_allclose(scaled, as_it_comes * 0.9 / found)


def test_a_graph_without_a_cycle_has_no_radius_to_scale() -> None:
    chain = Topology(3, np.array([1, 2]), np.array([0, 1]), np.ones(2), np.zeros(3, np.int64))
    with pytest.raises(UserError, match="no cycle"):
        draw(chain, radius=0.9)


def test_the_bounds_are_those_of_their_papers() -> None:
    assert uniform_bound("default", 3, 5, 100) == pytest.approx(0.1)
    assert uniform_bound("xavier", 3, 5, 100) == pytest.approx((6 / 8) ** 0.5)
    assert uniform_bound("he", 3, 5, 100) == pytest.approx(2**0.5)
    with pytest.raises(ValueError, match="lecun"):
        uniform_bound("lecun", 3, 5, 100)


def test_by_magnitude_the_strongest_links_get_the_largest_values_of_either_sign() -> None:
    values = np.random.default_rng(0).normal(size=100)
    weight = np.random.default_rng(1).random(100)
    remapped = remap_by_rank(values, weight, np.random.default_rng(2), by="magnitude")
    assert (np.diff(np.abs(remapped[np.argsort(weight)])) >= 0).all()
    np.testing.assert_array_equal(np.sort(remapped), np.sort(values))


def test_without_remapping_the_values_do_not_follow_the_weights() -> None:
    topology = ring(200)
    assert abs(np.corrcoef(draw(topology, remap=None), topology.weight)[0, 1]) < 0.2
    assert np.corrcoef(draw(topology), topology.weight)[0, 1] > 0.9


def test_on_a_full_pattern_orthogonal_is_orthogonal() -> None:
    target, source = (index.ravel() for index in np.mgrid[:12, :12])
    full = Topology(12, target, source, np.ones(144), np.zeros(12, np.int64))
    matrix = draw(full, initialisation="orthogonal", remap=None).reshape(12, 12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(12), atol=1e-12)
