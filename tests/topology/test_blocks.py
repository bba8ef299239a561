"""The matrix in blocks of regions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.topology import Topology, region_blocks


def random_topology(neurons: list[int], edges: int, seed: int) -> Topology:
    generator = np.random.default_rng(seed)
    size = sum(neurons)
    place = np.sort(generator.choice(size * size, min(edges, size * size), replace=False))
    target, source = np.divmod(place, size)
    return Topology(
        size, target, source, generator.normal(size=len(place)), np.repeat(np.arange(len(neurons)), neurons)
    )


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9), st.integers(0, 60), st.integers(1, 12), st.integers(0, 99))
def test_are_the_sums_over_the_dense_matrix(neurons, edges, most_bins, seed):
    topology = random_topology(neurons, edges, seed)
    blocks = region_blocks(topology, most_bins)
    bins = min(len(neurons), most_bins)
    bin_of = topology.region * bins // len(neurons)
    member = bin_of == np.arange(bins)[:, None]
    dense, pattern = np.zeros((2, topology.size, topology.size))
    dense[topology.target, topology.source] = np.abs(topology.weight)
    pattern[topology.target, topology.source] = 1
    for name, whole in (("weight", dense), ("edges", pattern), ("pairs", np.ones_like(dense))):
        expected = member @ whole @ member.T
        found = np.zeros((bins, bins))
        found[blocks["target"], blocks["source"]] = blocks[name]
        held = (member @ pattern @ member.T) > 0
        assert found[held] == pytest.approx(expected[held])
        assert not found[~held].any()
    assert set(blocks["bins"]) <= {bins}
    assert set(blocks["regions"]) <= {len(neurons)}


def test_a_large_connectome_of_neurons_takes_few_rows():
    blocks = region_blocks(random_topology([1] * 3000, 200_000, 1))
    assert len(blocks["edges"]) <= 200 * 200
    assert blocks["edges"].sum() == 200_000
