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
    """The sign of each edge, 1 or -1 `[edges]`, or None where `signs` is "none".

    Args:
        topology: whose edges.
        signs: "none"; "data", the sign of each edge's weight; or the share of neurons that inhibit, each of them over
            all of its outgoing edges.
        dale: each neuron must have one sign.
        generator: draws the inhibitory neurons, from their number alone: arms of one size that share it have the same.

    Raises:
        UserError: signs are to come from data that has none, or a share comes to no neuron or to all;
            or Dale's law is to hold in data in which neurons have both.
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

    A projection after the optimiser's step, where Song, Yang & Wang (2016, PLoS Comput Biol 12:e1004792) rectify the
    weights in the forward pass: a rectified weight below zero has no gradient and never comes back, a
    projected one does.
    A weight that isn't finite stays, so that a diverged replicate is seen.

    Args:
        values: [population, edges], the recurrent weights.
        sign: [population, edges], 1 or -1.
    """
    values.masked_fill_(values.isfinite() & (values * sign < 0), 0.0)
