"""How often what is said over several conditions is wrong, in simulated studies whose truth is known.

    biotune validate conditions

Log ratios of an arm are N(θ_c, spread²) under condition c, and correlate over the conditions, since these share their
pairs; θ is 0 but for the conditions that have an effect, where it is log(ratio).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biotune import statistics
from biotune.seeds import stream

ARMS, PAIRS, SPREAD = 3, 16, 0.25

CONDITIONS = (6, 12)

SHARED = (0.0, 0.5, 0.9)
"""Correlations of the log ratios of one pair under two conditions."""

RATIO = 0.7
"""Where there is an effect; 16 pairs hardly miss it."""


@dataclass(frozen=True)
class Family:
    """What was said over the conditions of simulated studies of one kind.

    Attributes:
        conditions: number of them. shared: correlation over them. effects: number of conditions with an effect.
        left_out: share of studies in which any of the intervals that hold together leaves out the true ratio.
        width: median of the width of these intervals on the log scale, as a share of Bonferroni's.
        everywhere: share in which an arm is said to be faster, or slower, under every condition.
        too_many: share in which an arm is said to be faster, or slower, under more conditions than it is.
        alone: share in which any condition's own interval leaves out its true ratio; nothing is claimed from this.
    """

    conditions: int
    shared: float
    effects: int
    studies: int
    left_out: float
    width: float
    everywhere: float
    too_many: float
    alone: float


def families(studies: int, seed: int) -> Iterator[Family]:
    """Simulates studies without an effect, with one under half of the conditions, and under all but one."""
    for conditions, shared in itertools.product(CONDITIONS, SHARED):
        for effects in (0, conditions // 2, conditions - 1):
            random = stream(seed, "simulation", "conditions", conditions, int(100 * shared), effects)
            said = np.array([_study(conditions, shared, effects, random) for _ in range(studies)])
            left_out, width, everywhere, too_many, alone = said.T
            yield Family(
                conditions=conditions,
                shared=shared,
                effects=effects,
                studies=studies,
                left_out=float(left_out.mean()),
                width=float(np.median(width)),
                everywhere=float(everywhere.mean()),
                too_many=float(too_many.mean()),
                alone=float(alone.mean()),
            )


def _study(conditions: int, shared: float, effects: int, random: np.random.Generator) -> tuple[float, ...]:
    """What is said in one study, in the order of `Family`'s attributes."""
    truth = np.where(np.arange(conditions) < effects, math.log(RATIO), 0.0)
    common = math.sqrt(shared) * random.normal(0, SPREAD, (ARMS, 1, PAIRS))
    own = math.sqrt(1 - shared) * random.normal(0, SPREAD, (ARMS, conditions, PAIRS))
    differences = truth[None, :, None] + common + own
    confidence, rows = statistics.bonferroni(ARMS), differences.reshape(-1, PAIRS)
    together = _ends(statistics.simultaneous_ratios(rows, random))
    bonferroni = _ends([statistics.geometric_ratio(d, statistics.bonferroni(len(rows))) for d in rows])
    alone = _ends([statistics.geometric_ratio(d, confidence) for d in rows])
    everywhere = too_many = False
    for arm, ends in enumerate(alone.reshape(ARMS, conditions, 2)):
        everywhere |= bool((ends[:, 1] < 0).all() or (ends[:, 0] > 0).all())
        for side in (-1, 1):
            p = [statistics.one_sided_p(d, side) for d in differences[arm]]
            at_least = statistics.least_number(p, (1 - confidence) / 2)
            too_many |= at_least > (effects if side == -1 else 0)
    truths = np.tile(truth, ARMS)
    return (
        _leaves_out(together, truths),
        float(np.median(np.diff(together) / np.diff(bonferroni))),
        everywhere,
        too_many,
        _leaves_out(alone, truths),
    )


def _ends(ratios: Sequence[statistics.Ratio | None]) -> NDArray[np.float64]:
    """[comparisons, 2], as log ratios."""
    return np.log([(ratio.low, ratio.high) for ratio in ratios if ratio])


def _leaves_out(ends: NDArray[np.float64], truths: NDArray[np.float64]) -> bool:
    return bool(((ends[:, 0] > truths) | (ends[:, 1] < truths)).any())
