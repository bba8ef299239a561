"""Connectomes whose nodes are neurons, and weights that have signs."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import CATALOGUE, Connectome, Provenance, load_connectome
from biotune.errors import UserError
from biotune.topology import NULLS, PARTITIONS, expand, rewire_connectome, rewire_topology

ONE_EACH = {"neurons_per_region": 1, "intrinsic": False, "keep_diagonal": True}


@st.composite
def signed_connectomes(draw: st.DrawFn) -> Connectome:
    size = draw(st.integers(2, 12))
    node = st.integers(0, size - 1)
    weight = st.floats(-5, 5).filter(lambda weight: weight != 0)
    edges = draw(st.dictionaries(st.tuples(node, node), weight, min_size=1))
    source, target = np.array(list(edges)).T
    provenance = Provenance("file", "none", "nobody", "none", "as made")
    return Connectome("test", size, source, target, np.array(list(edges.values())), provenance)


@given(signed_connectomes(), st.sampled_from(sorted(PARTITIONS)), st.floats(0.01, 1))
def test_a_neuron_a_node_gives_each_edge_once_with_its_weight_and_sign(connectome, partition, target_sparsity):
    topology = expand(
        connectome,
        partition=partition,
        target_sparsity=target_sparsity,
        **ONE_EACH,
        generator=np.random.default_rng(0),
    )
    assert topology.edges == connectome.edges
    assert np.array_equal(topology.matrix(), connectome.matrix())


@given(signed_connectomes(), st.sampled_from(sorted(PARTITIONS)))
def test_the_parts_of_a_weight_have_its_sign_and_sum_to_it(connectome, partition):
    topology = expand(
        connectome,
        neurons_per_region=3,
        intrinsic=False,
        partition=partition,
        generator=np.random.default_rng(0),
    )
    total = np.zeros((connectome.size, connectome.size))
    np.add.at(total, (topology.region[topology.target], topology.region[topology.source]), topology.weight)
    assert total == pytest.approx(connectome.matrix())
    sign = np.sign(connectome.matrix())[topology.region[topology.target], topology.region[topology.source]]
    assert np.all(topology.weight * sign >= 0)


def test_connections_within_regions_are_not_made_up_where_weights_have_signs():
    connectome = load_connectome("ring_lattice", size=5, neighbours=2)
    signed = connectome.with_edges(connectome.source, connectome.target, -connectome.weight)
    with pytest.raises(UserError, match=r"inhibiting edges.*set intrinsic to false"):
        expand(signed, neurons_per_region=2, generator=np.random.default_rng(0))


@pytest.mark.parametrize("null", ["weights_shuffled", "degree_preserving", "erdos_renyi", "edges_shuffled"])
def test_nulls_keep_the_signs_with_the_weights(null):
    assert null in NULLS
    generator = np.random.default_rng(3)
    drawn = load_connectome("erdos_renyi", seed=1, size=30, edges=200)
    signed = drawn.with_edges(drawn.source, drawn.target, generator.standard_normal(200))
    rewired = rewire_connectome(signed, null, generator=generator)
    topology = rewire_topology(expand(signed, **ONE_EACH, generator=generator), null, generator=generator)
    for weight in (rewired.weight, topology.weight):
        assert np.array_equal(np.sort(weight), np.sort(signed.weight))


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.nodes != "regions"])
def test_the_published_connectomes_of_neurons_become_topologies_as_they_are(name):
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the published connectomes are needed: set BIOTUNE_DATA to a folder that has them")
    connectome = load_connectome(name)
    topology = expand(connectome, **ONE_EACH, generator=np.random.default_rng(0))
    assert (topology.size, topology.edges) == (connectome.size, connectome.edges)
    assert np.array_equal(topology.matrix(), connectome.matrix())
