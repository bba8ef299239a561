import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import CATALOGUE, load_connectome
from biotune.connectome.generators import DECAY_RATE
from biotune.errors import UserError

CORTICES = [name for name, entry in CATALOGUE.items() if entry.species in DECAY_RATE]


@given(st.sampled_from(CORTICES), st.integers(0, 2**32))
def test_size_and_edges_are_the_species_and_inputs_sum_to_the_extrinsic_share(name, seed):
    made = load_connectome(f"distance_rule:{name}", seed=seed)
    assert (made.size, made.edges) == (CATALOGUE[name].size, CATALOGUE[name].edges)
    assert np.all(made.source != made.target)
    inputs = np.bincount(made.target, made.weight, minlength=made.size)
    assert inputs[inputs > 0] == pytest.approx(0.2)


def test_species_and_seed_fix_it():
    first, again, other = (load_connectome("distance_rule:marmoset", seed=seed).matrix() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", CORTICES)
def test_weights_and_edges_thin_out_with_distance(name):
    made = load_connectome(f"distance_rule:{name}", seed=3)
    assert made.positions is not None
    distances = np.linalg.norm(made.positions[:, None] - made.positions[None], axis=-1)
    edge_lengths = distances[made.source, made.target]
    assert edge_lengths.mean() < distances[~np.eye(made.size, dtype=bool)].mean()
    assert np.corrcoef(edge_lengths, np.log(made.weight))[0, 1] < -0.4


def test_axon_lengths_are_exponential_with_the_species_rate():
    """Over many draws, axons per mm fall as exp(-lambda d): the log of their histogram has slope -lambda."""
    lengths, axons = [], []
    for seed in range(40):
        made = load_connectome("distance_rule:macaque", seed=seed)
        assert made.positions is not None
        lengths.append(np.linalg.norm(made.positions[made.source] - made.positions[made.target], axis=1))
        smallest = np.full(made.size, np.inf)
        np.minimum.at(smallest, made.target, made.weight)
        counts = made.weight / smallest[made.target]  # one axon is the least weight of most targets
        axons.append(counts)
    histogram, edges = np.histogram(np.concatenate(lengths), bins=np.arange(8, 36, 2), weights=np.concatenate(axons))
    slope = np.polyfit((edges[:-1] + edges[1:]) / 2, np.log(histogram), 1)[0]
    assert slope == pytest.approx(-0.19, rel=0.15)


def axon_by_axon(positions: np.ndarray, edges: int, decay: float, generator: np.random.Generator) -> np.ndarray:
    """The rule as its authors run it, one axon at a time; weights `[source, target]`."""
    size = len(positions)
    source, target = np.nonzero(~np.eye(size, dtype=bool))
    distance = np.linalg.norm(positions[source] - positions[target], axis=1)
    scaled = distance / (26.57 * 35 / 36)
    chance = np.exp(-decay * distance) / (scaled**2 * (16 - 12 * scaled + scaled**3))
    axons = generator.choice(len(source), size=200_000, p=chance / chance.sum())
    first = np.unique(axons, return_index=True)[1]
    assert len(first) >= edges
    laid = np.bincount(axons[: np.sort(first)[edges - 1] + 1], minlength=len(source))
    matrix = np.zeros((size, size))
    matrix[source, target] = laid
    return 0.2 * matrix / np.maximum(matrix.sum(axis=0), 1)


def test_axons_drawn_at_once_are_as_axons_drawn_one_by_one():
    """The mean log weight, over 30 pairs of draws on the same positions, is the same but for chance."""
    difference = []
    for seed in range(30):
        made = load_connectome("distance_rule:macaque", seed=seed)
        assert made.positions is not None
        slowly = axon_by_axon(made.positions, made.edges, 0.19, np.random.default_rng(seed))
        assert np.count_nonzero(slowly) == made.edges
        difference.append(np.log(made.weight).mean() - np.log(slowly[slowly > 0]).mean())
    assert abs(np.mean(difference)) < 3.5 * np.std(difference) / np.sqrt(30)
    assert np.std(difference) / np.sqrt(30) < 0.06


def test_distances_have_the_macaques_mean():
    means = []
    for seed in range(50):
        positions = load_connectome("distance_rule:macaque", seed=seed).positions
        assert positions is not None
        distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        means.append(distances[~np.eye(len(positions), dtype=bool)].mean())
    assert np.mean(means) == pytest.approx(26.57, rel=0.03)


def test_no_rate_no_cortex():
    with pytest.raises(UserError, match=r"no decay rate is known for drosophila \(fruit fly\); known for human"):
        load_connectome("distance_rule:drosophila")


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(UserError, match="seed"):
        load_connectome("distance_rule:macaque", seed=seed)
