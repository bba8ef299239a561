"""How signals propagate through networks as they are drawn: forwards, backwards, and from a small disturbance on.

What a topology does to training it does by way of these: states that are saturated pass no gradient on, and
disturbances that grow or die out from step to step do so backwards in time as well (Poole et al. 2016,
https://arxiv.org/abs/1606.05340; Pascanu, Mikolov & Bengio 2013, https://arxiv.org/abs/1211.5063).
"""

import math

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from biotune.network import Population, add_halves_
from biotune.training.loop import Loop

LEAST_SLOPE = 0.1
"""A neuron is saturated at a step at which its nonlinearity has a smaller slope than this."""

LYAPUNOV_TRIALS = 8
"""Validation trials, at most, over which the Lyapunov exponent is taken."""


def measure_propagation(loop: Loop) -> list[dict[str, float | str]]:
    """How signals propagate through each network as it is now; nothing is changed, and no random number drawn.

    A network's numbers are its own, whichever networks are beside it, if the kernel backend is `independent`.

    Args:
        loop: of the networks, before its first epoch.

    Returns:
        of each network, NaN standing for what has no value:

        - `mean_activity`: mean of |h| over validation trials, steps and neurons.
        - `saturated`: share of these states at which the nonlinearity's slope f' is below 0.1: |h| > 0.949 for tanh,
          and h = 0, a silent neuron, for relu.
        - `gradient_norm`: norm of the gradient of the first batch's loss over all trained parameters, before clipping.
        - `lyapunov`: see `lyapunov_exponent`; over the first validation trials.
        - `left_empty`: the reason why each NaN has no value, `name: reason; ...`.
    """
    population = loop.population
    nonlinearity = population.nonlinearity
    assert isinstance(nonlinearity, str)  # the same of all, as in every trial
    norms = loop.gradient_norms()
    with torch.no_grad():
        states = population.states(loop.validation[0])
    activity, saturated = _activity(states, nonlinearity)
    # [population, trials, steps, neurons]: one trial after another
    first = states[..., :LYAPUNOV_TRIALS].permute(1, 3, 0, 2).cpu().double()
    slopes = _slopes(first, nonlinearity).flatten(1, 2).numpy()
    return [
        _row(
            mean_activity=float(activity[replicate]),
            saturated=float(saturated[replicate]),
            gradient_norm=float(norms[replicate]),
            lyapunov=lyapunov_exponent(_weights(population, replicate), slopes[replicate]),
        )
        for replicate in range(len(population))
    ]


def lyapunov_exponent(weights: sp.csr_array, slopes: np.ndarray) -> float:
    """The largest Lyapunov exponent of h_t = f(W h_{t-1} + ...), per step: the mean log growth of a tangent vector.

        lambda = mean_t log |D_t W u_{t-1}|,  u_t = D_t W u_{t-1} / |D_t W u_{t-1}|,  D_t = diag(f' at step t)

    A disturbance of the states grows in the long run by exp(lambda) a step; above 0 it grows, below 0 it dies out. The
    steps are gone through twice, and the mean is taken over the second time: u_0, always drawn from the same seed, has
    turned towards the direction that grows most by then. Trials that follow each other start at h_0 = 0, and u goes on
    from one to the next.

    Args:
        weights: [neurons, neurons], W.
        slopes: [steps, neurons], f' at every step.

    Returns:
        The exponent; -inf if a disturbance becomes 0.

    Source: Benettin et al. 1980, https://doi.org/10.1007/BF02128236; of recurrent networks, Engelken, Wolf & Abbott
    2023, https://doi.org/10.1103/PhysRevResearch.5.043044.
    """
    tangent = np.random.default_rng(0).standard_normal(slopes.shape[1:])
    growth = 0.0
    for _ in range(2):
        growth = 0.0
        for slope in slopes:
            tangent = slope * (weights @ tangent)
            norm = math.sqrt(np.square(tangent).sum())
            if norm == 0:
                return -math.inf
            tangent /= norm
            growth += math.log(norm)
    return growth / len(slopes)


def _slopes(states: Tensor, nonlinearity: str) -> Tensor:
    """f' at each state h = f(...), from h alone."""
    return 1 - states.square() if nonlinearity == "tanh" else (states > 0).to(states.dtype)


def _activity(states: Tensor, nonlinearity: str) -> tuple[Tensor, Tensor]:
    """Mean |h| and share of saturated states, each [population], of states [steps, population, neurons, trials]."""
    total = torch.zeros(states.shape[1], dtype=torch.float64, device=states.device)
    flat = torch.zeros_like(total)
    for step in states:
        total += add_halves_(step.abs().double().flatten(1), 1)
        flat += (_slopes(step, nonlinearity) < LEAST_SLOPE).flatten(1).sum(1)
    count = states[:, 0].numel()
    mean = total / count
    return mean, torch.where(mean.isfinite(), flat / count, torch.nan)


def _weights(population: Population, replicate: int) -> sp.csr_array:
    pattern = population.pattern
    place = pattern.target[replicate].cpu().numpy(), pattern.source[replicate].cpu().numpy()
    values = population.values[replicate].detach().cpu().double().numpy()
    return sp.csr_array((values, place), shape=(pattern.size, pattern.size))


def _row(*, mean_activity: float, saturated: float, gradient_norm: float, lyapunov: float) -> dict[str, float | str]:
    found = {
        "mean_activity": mean_activity,
        "saturated": saturated,
        "gradient_norm": gradient_norm,
        "lyapunov": lyapunov,
    }
    empty = [name for name, value in found.items() if not math.isfinite(value)]
    reasons = dict.fromkeys(empty, "not a finite number")
    if lyapunov == -math.inf and math.isfinite(mean_activity):
        reasons["lyapunov"] = "a small disturbance of the states becomes 0"
    left_empty = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return {**found, **dict.fromkeys(empty, math.nan), "left_empty": left_empty}
