"""The network: a population of Elman networks on given topologies, their initial weights, their checkpoints."""

from biotune.network.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint
from biotune.network.initialise import INITIALISATIONS, REMAPPINGS, recurrent_values, remap_by_rank, uniform_bound
from biotune.network.options import NetworkOptions
from biotune.network.population import Draws, Population
from biotune.network.signs import edge_signs

__all__ = [
    "INITIALISATIONS",
    "REMAPPINGS",
    "DamagedCheckpoint",
    "Draws",
    "NetworkOptions",
    "Population",
    "edge_signs",
    "load_checkpoint",
    "recurrent_values",
    "remap_by_rank",
    "save_checkpoint",
    "uniform_bound",
]
