"""Which property is associated with speed: the trend over doses of a null, and rank correlations with measures.

How much a null may move is set by the study, so a trend is an effect of the rewiring. The measures are not set: arms
differ in many measures at once, so a correlation is an association and no more. Every function states its equation, its
source and the axes of its arrays.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from biotune.statistics.intervals import jackknife_interval
from biotune.statistics.ratios import geometric_ratio

LEAST_DOSES = 3
"""Smallest number of doses for a trend; of two, the ratio already says all."""


MOST_GROUPS = 40
"""Largest number of groups of replicates that a jackknife leaves out in turn; more don't make its interval better."""


@dataclass(frozen=True)
class Slope:
    """How updates to criterion change with the dose.

    Attributes:
        factor: by which changing all entries of the matrix multiplies the updates, on a log-linear trend.
        low, high: ends of its interval.
        replicates: number of replicates, each with all doses.
        confidence: of the interval.
    """

    factor: float
    low: float
    high: float
    replicates: int
    confidence: float


@dataclass(frozen=True)
class Correlation:
    """A rank correlation; low and high are None if there is no interval."""

    value: float
    low: float | None
    high: float | None


def dose_trend(doses: NDArray[np.float64], log_updates: NDArray[np.float64], confidence: float) -> Slope:
    """Slope of log updates on the dose within each replicate, b_r = Σ (x - x̄) y_r / Σ (x - x̄)², and a t interval of it.

    Each replicate gives one slope, and the interval is over these (Matthews et al. 1990, BMJ 300:230, summary
    measures): what the networks of a replicate share cancels out, and they need not be independent.

    Args:
        doses: [doses], shares of the matrix's entries that are changed, 0 to 1, not all the same.
        log_updates: [replicates, doses], log updates to criterion.
        confidence: of the interval, in (0, 1).
    """
    x = doses - doses.mean()
    ratio = geometric_ratio(log_updates @ x / float(x @ x), confidence)
    return Slope(ratio.estimate, ratio.low, ratio.high, ratio.pairs, confidence)


def rank_correlation(measure: NDArray[np.float64], updates: NDArray[np.float64]) -> float | None:
    """Spearman's ρ of a measure and updates to criterion over all networks, Σ u v / √(Σ u² Σ v²), u and v their ranks
    less the mean rank (Spearman 1904, Am. J. Psychol. 15:72).

    It has no interval: arms are few and chosen, and differ in any measure. In simulated studies without an effect,
    whose arms differ in measure and speed by one to two standard deviations of their draws, the jackknife interval
    over replicates leaves out 0 in 31 to 70 %.

    Args:
        measure, updates: [networks].

    Returns:
        None if either doesn't vary.
    """
    return _spearman(measure, updates, np.zeros(len(measure), int))


def rank_correlation_within(
    measure: NDArray[np.float64],
    updates: NDArray[np.float64],
    arm: NDArray[np.integer],
    replicate: NDArray[np.integer],
    confidence: float,
) -> Correlation | None:
    """The same within arms: networks are ranked in each arm separately, and ranks divided by its number of networks.

    This removes all differences between arms. The interval is a jackknife over replicates of arctanh ρ (Fisher 1915,
    Biometrika 10:507). Replicate r is left out of every arm together, since its networks share data; if there are more
    than 40 replicates, several are left out at a time (Kott 2001, J. Off. Stat. 17:521). The interval is for new draws
    and data of the *same arms*: arms are chosen, not drawn, so it says nothing about other arms.

    Args:
        measure, updates: [networks].
        arm, replicate: [networks], each network's arm and replicate.
        confidence: of the interval, in (0, 1).

    Returns:
        None if either doesn't vary within any arm.
    """
    value = _spearman(measure, updates, arm)
    if value is None:
        return None
    replicates, place = np.unique(replicate, return_inverse=True)
    groups = min(len(replicates), MOST_GROUPS)
    if groups < 2:
        return Correlation(value, None, None)
    without = []
    for group in range(groups):
        kept = place % groups != group
        without.append(_spearman(measure[kept], updates[kept], arm[kept]))
    if any(v is None or abs(v) > 1 - 1e-12 for v in (value, *without)):
        return Correlation(value, None, None)  # arctanh of a perfect correlation is infinite
    low, high = jackknife_interval(math.atanh(value), np.arctanh(np.array(without, dtype=np.float64)), confidence)
    return Correlation(value, math.tanh(low), math.tanh(high))


def _spearman(measure: NDArray[np.float64], updates: NDArray[np.float64], group: NDArray[np.integer]) -> float | None:
    u, v = np.empty(len(measure)), np.empty(len(measure))
    for name in np.unique(group):
        of = group == name
        for ranks, values in ((u, measure[of]), (v, updates[of])):
            ranked = stats.rankdata(values)
            ranks[of] = (ranked - ranked.mean()) / len(values)
    size = math.sqrt(float(u @ u) * float(v @ v))
    return float(u @ v) / size if size > 1e-12 else None
