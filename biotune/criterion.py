"""Convergence speed: updates to criterion, an absolute level of validation loss that is met and held.

The level is never relative to a run's own minimum: a network that hardly learns reaches "99 % of its own range" fast.
"""

import math

import numpy as np
from numpy.typing import NDArray


def updates_to_criterion(
    updates: NDArray[np.integer],
    losses: NDArray[np.floating],
    level: float,
    sustain: int,
    budget: float,
) -> tuple[float, bool]:
    """Optimiser steps until the validation loss first falls to `level` and stays there for `sustain` evaluations.

    Between the last evaluation above the level (u0, l0) and the first at or below it (u1, l1) the crossing is
    interpolated in log loss: T = u0 + (u1 - u0) * log(l0 / level) / log(l0 / l1).

    Args:
        updates: [evaluations], ascending: optimiser steps done at each evaluation; the first is 0, before training.
        losses: [evaluations], validation loss; NaN and infinity never meet the level.
        level: absolute loss, above 0.
        sustain: number of evaluations in a row, including the crossing one, at or below the level. Evaluations past the
            budget count here, so that a crossing at the very end can be seen to hold.
        budget: updates at which the replicate is censored.

    Returns:
        (T, True), or (budget, False) if no crossing within the budget held.

    Raises:
        ValueError: the level is not above 0, or `sustain` is below 1.
    """
    if level <= 0 or sustain < 1:
        raise ValueError(f"level must be above 0 and sustain at least 1, found {level} and {sustain}")
    met = np.asarray(losses) <= level
    if len(met) < sustain:
        return float(budget), False
    held = np.lib.stride_tricks.sliding_window_view(met, sustain).all(axis=1)
    if not held.any():
        return float(budget), False
    first = int(held.argmax())
    reached = float(updates[first])
    if first > 0 and np.isfinite(losses[first - 1]):
        before, after = float(losses[first - 1]), float(losses[first])
        start = float(updates[first - 1])
        # a loss of exactly 0 lies infinitely far below the level in log loss: the crossing is then at the start
        # (math's logarithm, not NumPy's, whose last bit depends on the processor's vector instructions)
        share = 0.0 if after <= 0 else math.log(before / level) / math.log(before / after)
        reached = start + (reached - start) * share
    return (reached, True) if reached <= budget else (float(budget), False)
