"""Summaries over replicates of losses and of updates to criterion."""

import math

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from numpy.typing import ArrayLike, NDArray
from scipy import stats


def interquartile_mean(values: ArrayLike) -> NDArray[np.float64]:
    """Mean of the middle half of the replicates (Agarwal et al. 2021, NeurIPS 34:29304).

    A replicate without a finite loss ranks above all others; if one is within the middle half, the mean is infinite.

    Args:
        values: [replicates, evaluations], losses; NaN if a replicate diverged.

    Returns:
        [evaluations]
    """
    losses = np.asarray(values, dtype=np.float64)
    return np.asarray(stats.trim_mean(np.where(np.isfinite(losses), losses, np.inf), 0.25, axis=0))


def quartiles(values: ArrayLike) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; values that are not finite rank above all others.

    Args:
        values: [replicates], losses.
    """
    losses = np.asarray(values, dtype=np.float64)
    ranked = np.where(np.isfinite(losses), losses, np.inf)
    # the order statistics themselves: an interpolated quantile would be NaN beside an infinite one
    low, middle, high = np.quantile(ranked, [0.25, 0.5, 0.75], method="inverted_cdf")
    return float(low), float(middle), float(high)


def kaplan_meier(updates: ArrayLike, converged: ArrayLike) -> pd.DataFrame:
    """Share of replicates that have met the criterion after each number of updates: 1 - Π (1 - d_i / n_i).

    Kaplan & Meier 1958 (J. Am. Stat. Assoc. 53:457), with the exponential Greenwood interval (95 %) of lifelines.

    Args:
        updates: [replicates], updates to criterion; the budget if censored. converged: [replicates], bool.

    Returns:
        Columns updates, share, low, high; one row per change, the first at 0 updates.
    """
    fitted = KaplanMeierFitter(alpha=0.05).fit(np.asarray(updates), event_observed=np.asarray(converged))
    survival, band = fitted.survival_function_, fitted.confidence_interval_
    return pd.DataFrame(
        {
            "updates": survival.index.to_numpy(dtype=np.float64),
            "share": 1 - survival.iloc[:, 0].to_numpy(),
            "low": 1 - band.iloc[:, 1].to_numpy(),
            "high": 1 - band.iloc[:, 0].to_numpy(),
        }
    )


def median_updates(updates: ArrayLike, converged: ArrayLike) -> float:
    """Updates by which half of the replicates have met the criterion; infinite if fewer ever do."""
    curve = kaplan_meier(updates, converged)
    reached = curve.loc[curve["share"] >= 0.5, "updates"]
    return float(reached.iloc[0]) if len(reached) else math.inf


def log_loss_area(updates: NDArray[np.integer], losses: NDArray[np.floating], budget: float) -> float:
    """Geometric mean validation loss over training: exp of the trapezoid mean of log loss up to the budget.

    It is low if a network learns early and well, and it needs no criterion.

    Args:
        updates: [evaluations], ascending. losses: [evaluations]. budget: updates.

    Returns:
        A loss; infinite if a loss within the budget is not finite, 0 if one is 0.
    """
    within = np.asarray(updates) <= budget
    steps, inside = np.asarray(updates)[within], np.asarray(losses, dtype=np.float64)[within]
    if not np.isfinite(inside).all():
        return math.inf
    if len(steps) < 2:
        return float(inside[0]) if len(inside) else math.inf
    if (inside <= 0).any():
        return 0.0
    return float(np.exp(np.trapezoid(np.log(inside), steps) / (steps[-1] - steps[0])))
