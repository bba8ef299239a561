"""Networks that start from trained ones: their topology, recurrent and input weights are kept, the readout is new."""

import torch

from biotune.errors import UserError
from biotune.network import Population
from biotune.training.networks import Networks

_TAKEN_UP = ("values", "weight_ih", "bias")


@torch.no_grad()
def take_up(population: Population, trained: Networks) -> None:
    """Copies everything but the readout from trained networks into a population on their topologies, in place.

    Raises:
        UserError: they have another number of inputs, or do not keep Dale's law although it is asked for.
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
