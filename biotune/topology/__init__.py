"""From a connectome to neurons: its expansion, its null models, and the measures of both.

>>> import numpy as np
>>> from biotune.connectome import load_connectome
>>> from biotune.topology import expand, rewire_topology
>>> generator = np.random.default_rng(1)
>>> topology = expand(load_connectome("distance_rule:marmoset"), neurons_per_region=4, generator=generator)
>>> topology.size, topology.edges
(220, 23004)
>>> rewire_topology(topology, "degree_preserving", generator=generator).edges
23004
"""

from biotune.topology.blocks import region_blocks
from biotune.topology.expand import PARTITIONS, expand
from biotune.topology.measures.catalogue import MEASURES, measure_row, measures
from biotune.topology.neurons import DENSITY_SCALES, neuron_counts, rounding_of
from biotune.topology.nulls.catalogue import NULLS, Null
from biotune.topology.nulls.rewire import entries_changed, rewire_connectome, rewire_topology, rewired_share
from biotune.topology.spectrum import frobenius_norm, spectral_radius
from biotune.topology.topology import Topology

__all__ = [
    "DENSITY_SCALES",
    "MEASURES",
    "NULLS",
    "PARTITIONS",
    "Null",
    "Topology",
    "entries_changed",
    "expand",
    "frobenius_norm",
    "measure_row",
    "measures",
    "neuron_counts",
    "region_blocks",
    "rewire_connectome",
    "rewire_topology",
    "rewired_share",
    "rounding_of",
    "spectral_radius",
]
