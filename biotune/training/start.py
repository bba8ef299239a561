"""Networks that start from trained ones: their topology, recurrent and input weights are kept, the readout is new."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from biotune.digests import difference
from biotune.errors import UserError
from biotune.network import DamagedCheckpoint, Population
from biotune.storage import Place
from biotune.training.networks import Networks, load_networks

if TYPE_CHECKING:
    from biotune.training.trial import TrialPlan

_TAKEN_UP = ("values", "weight_ih", "bias")


@dataclass(frozen=True)
class Start:
    """Trained networks, one a replicate.

    Attributes:
        plan: what they were trained by; its replicates are those that are started from.
        networks: for each replicate the checkpoint, and the network's place in it.
    """

    plan: "TrialPlan"
    networks: tuple[tuple[Place, int], ...]

    def load(self) -> Networks:
        """The networks.

        Raises:
            UserError: a checkpoint is missing or damaged, or its networks were trained by another plan.
        """
        held: dict[Place, Networks] = {}
        for (file, place), replicate in zip(self.networks, self.plan.replicates, strict=True):
            if file not in held:
                held[file] = self._read(file)
            found = held[file].plan["replicates"][place]
            if found != replicate:
                raise UserError(f"{file}: its network {place} is of replicate {found}, not of {replicate}")
        return Networks.of([(held[file], place) for file, place in self.networks])

    def _read(self, file: Place) -> Networks:
        if not file.is_file():
            raise UserError(f"{file}: the trained networks are not there; the study that has them is not complete")
        try:
            networks = load_networks(file)
        except DamagedCheckpoint as error:  # as such it would be taken for the one that this training goes on from
            raise UserError(f"{error}; put back a copy of it, or run the study that has it again") from None
        if differs := difference(_common(networks.plan), _common(self.plan.identity())):
            raise UserError(f"{file}: its networks were not trained by the study that is started from ({differs})")
        return networks


def _common(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What networks must have in common with a plan; from which they started themselves is in their edges."""
    return {key: value for key, value in plan.items() if key not in ("replicates", "start")}


@torch.no_grad()
def take_up(population: Population, trained: Networks) -> None:
    """Copies everything but the readout from trained networks into a population on their topologies, in place.

    Raises:
        UserError: they have another number of inputs, or do not keep Dale's law where it is asked for.
    """
    for name in _TAKEN_UP:
        own, taken = getattr(population, name), getattr(trained, name)
        if own.shape != taken.shape:
            raise UserError(
                f"the trained networks' {name} has the shape {tuple(taken.shape)}, here {tuple(own.shape)} is needed"
            )
        own.copy_(taken)
    if population.sign is not None:
        if trained.sign is None:
            raise UserError(
                "the trained networks were not trained under Dale's law; give network.dale: false, or ones that were"
            )
        population.sign.copy_(trained.sign)
