"""A population of Elman networks on given topologies, their initial weights and their checkpoints."""

from biotune.network.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint
from biotune.network.initialise import INITIALISATIONS, REMAPPINGS, recurrent_values, remap_by_rank, uniform_bound
from biotune.network.options import NetworkOptions
from biotune.network.population import Draws, Population
from biotune.network.readout import read_neurons
from biotune.network.signs import edge_signs
from biotune.network.sums import add_halves_, fixed_order_sum, norms

__all__ = [
    "INITIALISATIONS",
    "REMAPPINGS",
    "DamagedCheckpoint",
    "Draws",
    "NetworkOptions",
    "Population",
    "add_halves_",
    "edge_signs",
    "fixed_order_sum",
    "load_checkpoint",
    "norms",
    "read_neurons",
    "recurrent_values",
    "remap_by_rank",
    "save_checkpoint",
    "uniform_bound",
]
