"""Which neurons excite and which inhibit, and Dale's law: a neuron's outgoing weights have one sign."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biotune.errors import UserError
from biotune.topology import Topology


def edge_signs(
    topology: Topology, signs: str | float, dale: bool, generator: np.random.Generator
) -> NDArray[np.float64] | None:
    """The sign of each edge, 1 or -1 `[edges]`, or None if `signs` is "none".

    Args:
        topology: whose edges.
        signs: "none"; "data", the sign of each edge's weight; or the share of neurons that inhibit: all their
            outgoing edges are negative.
        dale: whether each neuron must have one sign.
        generator: draws the inhibitory neurons; the draw depends on the number of neurons alone, so arms of the same
            size that share the generator have the same inhibitory neurons.

    Raises:
        UserError: `signs` is "data" and no weight is negative; a share rounds to no neuron or to all; or `dale` is set
            and neurons of the data have outgoing weights of both signs.
    """
    if signs == "none":
        return None
    if signs == "data":
        sign = np.sign(topology.weight)
        if not (sign < 0).any():
            raise UserError("network.signs: data, but the connectome has no negative weight; give none, or a share")
        excites, inhibits = np.zeros((2, topology.size), bool)
        excites[topology.source[sign > 0]] = True
        inhibits[topology.source[sign < 0]] = True
        mixed = int((excites & inhibits).sum())
        if dale and mixed:
            raise UserError(
                f"network.dale: {mixed} of {topology.size} neurons have outgoing weights of both signs; give dale: "
                "false, signs as a share, or a null that leaves the signs with their neurons"
            )
        return sign
    count = round(float(signs) * topology.size)
    if not 0 < count < topology.size:
        raise UserError(
            f"network.signs: {signs} of {topology.size} neurons comes to {count} that inhibit; give another"
        )
    inhibitory = generator.permutation(topology.size)[:count]
    neuron = np.ones(topology.size)
    neuron[inhibitory] = -1
    return neuron[topology.source]


@torch.no_grad()
def keep_signs(values: Tensor, sign: Tensor) -> None:
    """Sets weights that have crossed zero to zero, in place: `w <- s max(s w, 0)`.

    This is a projection after the optimiser's step. Song, Yang & Wang (2016, PLoS Comput Biol 12:e1004792) instead
    rectify weights in the forward pass; there a weight below zero has no gradient and stays at zero for good. A weight
    that isn't finite is left as it is, so that divergence is noticed.

    Args:
        values: [population, edges], the recurrent weights.
        sign: [population, edges], 1 or -1.
    """
    values.masked_fill_(values.isfinite() & (values * sign < 0), 0.0)
