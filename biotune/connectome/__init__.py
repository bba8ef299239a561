"""Wiring as data: who connects to whom, how strongly, and from which source that is known.

>>> from biotune.connectome import load_connectome
>>> cortex = load_connectome("distance_rule:marmoset", seed=1)
>>> cortex.size, cortex.edges
(55, 1862)
"""

from biotune.connectome.catalogue import CATALOGUE, Entry
from biotune.connectome.connectome import Connectome, Provenance
from biotune.connectome.densities import with_neuron_density
from biotune.connectome.generators import GENERATORS, distance_rule
from biotune.connectome.load import load_connectome
from biotune.connectome.random_graphs import RANDOM_GRAPHS
from biotune.io.published import DataFile

__all__ = [
    "CATALOGUE",
    "GENERATORS",
    "RANDOM_GRAPHS",
    "Connectome",
    "DataFile",
    "Entry",
    "Provenance",
    "distance_rule",
    "load_connectome",
    "with_neuron_density",
]
