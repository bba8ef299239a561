import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import Connectome, load_connectome
from biotune.errors import UserError

SEEDS = st.integers(0, 2**32)


def plain(made: Connectome) -> None:
    assert np.all(made.source != made.target)
    assert np.all(made.weight == 1)
    assert made.provenance.kind == "generated"


@given(st.data(), st.integers(2, 40), SEEDS)
def test_erdos_renyi_has_as_many_edges_as_asked_for(data, size, seed):
    edges = data.draw(st.integers(1, size * (size - 1)))
    made = load_connectome("erdos_renyi", seed=seed, size=size, edges=edges)
    plain(made)
    assert (made.size, made.edges) == (size, edges)


def test_erdos_renyi_draws_every_pair_alike():
    counts = sum(load_connectome("erdos_renyi", seed=seed, size=5, edges=7).matrix() for seed in range(2000))
    chance = counts[~np.eye(5, dtype=bool)] / 2000
    assert chance == pytest.approx(7 / 20, abs=0.05)  # four and a half standard deviations


@given(st.data(), st.integers(3, 40))
def test_a_ring_lattice_connects_the_nearest(data, size):
    half = data.draw(st.integers(1, (size - 1) // 2))
    made = load_connectome("ring_lattice", size=size, neighbours=2 * half)
    plain(made)
    steps = np.abs(made.source - made.target)
    assert np.minimum(steps, size - steps).max() == half
    assert np.all(np.bincount(made.source) == 2 * half)
    assert np.array_equal(made.matrix(), made.matrix().T)


@given(st.data(), st.integers(3, 30), st.floats(0, 1), SEEDS)
def test_watts_strogatz_keeps_the_number_of_outputs(data, size, rewiring, seed):
    neighbours = 2 * data.draw(st.integers(1, (size - 1) // 2))
    made = load_connectome("watts_strogatz", seed=seed, size=size, neighbours=neighbours, rewiring=rewiring)
    plain(made)
    assert np.all(np.bincount(made.source) == neighbours)


def test_watts_strogatz_moves_the_share_asked_for():
    lattice = load_connectome("ring_lattice", size=500, neighbours=10).matrix()
    for rewiring in (0.0, 0.1, 0.5, 1.0):
        made = load_connectome("watts_strogatz", seed=1, size=500, neighbours=10, rewiring=rewiring).matrix()
        assert np.sum((made == 0) & (lattice == 1)) / 5000 == pytest.approx(rewiring, abs=0.03)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.data(), SEEDS)
def test_stochastic_blocks_of_density_0_and_1_are_empty_and_full(blocks, data, seed):
    row = st.lists(st.sampled_from([0.0, 1.0]), min_size=len(blocks), max_size=len(blocks))
    densities = data.draw(st.lists(row, min_size=len(blocks), max_size=len(blocks)))
    block = np.repeat(np.arange(len(blocks)), blocks)
    expected = np.array(densities)[block][:, block] * ~np.eye(len(block), dtype=bool)
    if not expected.any():
        with pytest.raises(UserError, match="no edges"):
            load_connectome("stochastic_block", seed=seed, blocks=blocks, densities=densities)
        return
    made = load_connectome("stochastic_block", seed=seed, blocks=blocks, densities=densities)
    plain(made)
    assert np.array_equal(made.matrix(), expected.T)


def test_stochastic_blocks_have_the_densities_asked_for():
    made = load_connectome("stochastic_block", seed=2, blocks=[200, 100], densities=[[0.5, 0.1], [0.02, 0.3]]).matrix()
    off = ~np.eye(300, dtype=bool)
    parts = (slice(0, 200), slice(200, 300))
    found = [[made[b, a][off[b, a]].mean() for b in parts] for a in parts]
    assert np.array(found) == pytest.approx(np.array([[0.5, 0.1], [0.02, 0.3]]), abs=0.02)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("erdos_renyi", {"size": 30, "edges": 99}),
        ("watts_strogatz", {"size": 30, "neighbours": 4, "rewiring": 0.3}),
        ("stochastic_block", {"blocks": [10, 20], "densities": [[0.5, 0.1], [0.1, 0.2]]}),
    ],
)
def test_seed_and_options_fix_it_and_the_options_are_in_its_name(name, options):
    first, again, other = (load_connectome(name, seed=seed, **options) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert first.name.startswith(f"{name}(")
    assert all(f"{key}={value}" in first.name for key, value in options.items())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("erdos_renyi", {"size": 5}, "connectome.edges is missing: erdos_renyi needs size, edges"),
        ("erdos_renyi", {"size": 5, "edges": 3, "rewiring": 1.0}, "connectome.rewiring means nothing for erdos_renyi"),
        ("erdos_renyi", {"size": 5, "edges": 21}, "edges: 21 is out of range; 1 to 20"),
        ("erdos_renyi", {"size": 1, "edges": 1}, "size: 1 is out of range; at least 2"),
        ("ring_lattice", {"size": 6, "neighbours": 3}, "3 is odd"),
        ("ring_lattice", {"size": 6, "neighbours": 6}, "2 to 5"),
        ("watts_strogatz", {"size": 6, "neighbours": 2, "rewiring": 1.5}, r"rewiring: 1.5 is outside \[0, 1\]"),
        ("stochastic_block", {"blocks": [2, 0], "densities": [[1, 1], [1, 1]]}, "blocks: 0 is out of range"),
        ("stochastic_block", {"blocks": [2, 2], "densities": [[1, 1]]}, "must be 2 × 2 numbers"),
        ("stochastic_block", {"blocks": [2], "densities": [[1.2]]}, "outside"),
        ("marmoset", {"size": 5}, "connectome.size means nothing for marmoset"),
        ("distance_rule:marmoset", {"keep": "V1"}, "connectome.keep means nothing"),
        ("wats_strogatz", {"size": 5}, "did you mean 'watts_strogatz'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        load_connectome(name, **options)
