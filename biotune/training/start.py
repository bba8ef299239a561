"""Networks that start from trained ones: their topology, recurrent and input weights are kept, the readout is new."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from biotune.errors import UserError
from biotune.network import Population, load_checkpoint
from biotune.storage import Place

if TYPE_CHECKING:
    from biotune.training.trial import TrialPlan


@dataclass(frozen=True)
class Start:
    """Trained networks, one a replicate.

    Attributes:
        plan: what they were trained by: its seeds and replicates give their topologies again.
        networks: for each replicate the checkpoint, and the network's place in it.
    """

    plan: "TrialPlan"
    networks: tuple[tuple[Place, int], ...]


@torch.no_grad()
def take_up(population: Population, start: Start) -> None:
    """Copies everything but the readout from the trained networks, in place.

    Raises:
        UserError: a checkpoint is missing or damaged, or its networks have another shape.
    """
    for replicate, (file, place) in enumerate(start.networks):
        if not file.is_file():
            raise UserError(f"{file}: the trained networks are not there; the study that has them is not complete")
        trained = load_checkpoint(file)["loop"]["population"]
        for name in ("values", "weight_ih", "bias"):
            own = getattr(population, name)
            if trained[name].shape[1:] != own.shape[1:]:
                found, expected = tuple(trained[name].shape[1:]), tuple(own.shape[1:])
                raise UserError(f"{file}: {name} of a network has the shape {found}, here {expected} is needed")
            own[replicate] = trained[name][place]
        if population.sign is not None and (population.values[replicate] * population.sign[replicate] < 0).any():
            raise UserError(f"{file}: its networks break Dale's law; give network.dale: false, or ones trained with it")
