"""How log updates of simulated networks scatter: shapes with a known geometric mean ratio."""

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Shape = Literal["normal", "lognormal", "stragglers"]

SHAPES: tuple[Shape, ...] = get_args(Shape)

SIGMA = 0.5514
"""Of the lognormal whose skewness is 2: (exp(σ²) + 2) √(exp(σ²) - 1)."""

STRAGGLERS = 0.1
"""Share of the networks that take longer."""


def scatter(
    shape: Shape, arms: int, spread: float, pairs: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The part of log updates that a pair doesn't share; the mean of every pair's log ratio is 0.

    - normal: N(0, spread² / 2) in every network.
    - lognormal: spread · z in the arm's networks, z lognormal with mean 0, standard deviation 1 and skewness 2, and
      nothing in the reference's: log ratios are skewed, since only the arm has networks that take long.
    - stragglers: as normal, and one network in ten of every arm takes 3^|N(0, 1)| times as long.

    Args:
        arms: number of arms besides the reference, which they share.
        spread: standard deviation of a pair's log ratio, without stragglers.

    Returns:
        [arms, pairs] of the arms, [pairs] of the reference
    """
    if shape == "lognormal":
        z = np.exp(SIGMA * random.normal(size=(arms, pairs)) - SIGMA**2 / 2) - 1
        return spread * z / math.sqrt(math.expm1(SIGMA**2)), np.zeros(pairs)
    drawn = random.normal(0, spread / math.sqrt(2), (arms + 1, pairs))
    if shape == "stragglers":
        straggles = random.random(drawn.shape) < STRAGGLERS
        drawn += straggles * np.abs(random.normal(size=drawn.shape)) * math.log(3)
    return drawn[1:], drawn[0]
