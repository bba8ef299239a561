"""Neuron density of each region, as published for some connectomes of the catalogue."""

from dataclasses import replace

from biotune.connectome.catalogue import BIO2ART
from biotune.connectome.connectome import Connectome
from biotune.connectome.readers.matrices import read_npy
from biotune.errors import UserError
from biotune.io.published import DataFile, obtain


def _bio2art(stem: str, sha256: str) -> DataFile:
    return DataFile(f"bio2art/ND_{stem}.npy", sha256, f"{BIO2ART}/ND_{stem}.npy")


NEURON_DENSITIES = {
    "macaque": _bio2art("Macaque_Normalized", "2e493d1ea930a99b0fd1515c69554b1526e944a276b7cd6b9793a1b8ebf78dbe"),
    "marmoset": _bio2art("Marmoset_Normalized", "0fb00b6bd4a3da049bd5208b869913d9f48058a8a78d48736e9d42472a0dc5ab"),
}
"""Name of a connectome -> the file of its regions' densities, in the connectome's order."""


def with_neuron_density(connectome: Connectome) -> Connectome:
    """The connectome with the neuron density of each region, neurons per mm³; NaN if it was not measured.

    Raises:
        UserError: no densities are known for it, or their file can't be obtained.
    """
    if connectome.name not in NEURON_DENSITIES:
        raise UserError(
            f"neurons_per_region: no neuron densities are known for {connectome.name}; known for "
            f"{', '.join(NEURON_DENSITIES)}; give one number, or a list with one per region"
        )
    found = obtain(NEURON_DENSITIES[connectome.name])
    return replace(connectome, neuron_density=read_npy(found.content, found.path))
