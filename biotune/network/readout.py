"""Which neurons the readout sees: all, or a share drawn at random."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biotune.errors import UserError


def read_neurons(size: int, share: float, generator: np.random.Generator) -> NDArray[np.int64] | None:
    """The neurons that the readout sees, `[round(share * size)]` in ascending order, or None if it sees all.

    Args:
        size: number of neurons.
        share: of them, in (0, 1].
        generator: draws them; the draw depends on the number of neurons alone, so arms of the same size that share the
            generator read the same neurons, and a larger share reads those of a smaller one too.

    Raises:
        UserError: the share rounds to no neuron.
    """
    if share == 1:
        return None
    count = round(share * size)
    if count == 0:
        raise UserError(f"network.readout: {share} of {size} neurons comes to none; give a larger share")
    return np.sort(generator.permutation(size)[:count])


def states_of(neurons: Tensor, states: Tensor) -> Tensor:
    """The states of those neurons that each network's readout sees.

    Args:
        neurons: int64 [population, read].
        states: [steps, population, neurons, trials].

    Returns:
        [steps, population, read, trials].
    """
    first = torch.arange(len(neurons), device=neurons.device)[:, None] * states.shape[2]
    return states.flatten(1, 2).index_select(1, (first + neurons).flatten()).unflatten(1, neurons.shape)
