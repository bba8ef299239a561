"""Intervals: of a share, of any statistic of replicates, and how several hold at once."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

FAMILY_CONFIDENCE = 0.95
"""Confidence of all intervals of a study together."""


@dataclass(frozen=True)
class Share:
    """A share of replicates with its interval."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """count / total."""
        return self.count / self.total


def bonferroni(comparisons: int) -> float:
    """Confidence of each interval at which all hold together with 95 %: 1 - 0.05 / comparisons (Dunn 1961)."""
    return 1 - (1 - FAMILY_CONFIDENCE) / max(comparisons, 1)


def jackknife_interval(estimate: float, left_out: ArrayLike, confidence: float) -> tuple[float, float]:
    """Interval of a statistic of n replicates: θ ± t_{(1 + confidence) / 2, n - 1} √((n - 1) / n Σ (θ_(-i) - θ̄)²).

    Tukey 1958 (Ann. Math. Stat. 29:614); for a mean it is the t interval itself. All values of a replicate are left
    out together, so they may depend on each other in any way.

    Args:
        estimate: θ. left_out: [replicates], θ_(-i), the statistic without replicate i; at least two.
        confidence: of the interval, in (0, 1).
    """
    without = np.asarray(left_out, dtype=np.float64)
    n = len(without)
    error = math.sqrt((n - 1) / n * float(np.sum((without - without.mean()) ** 2)))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return estimate - half, estimate + half


def share(count: int, total: int, confidence: float = 0.95) -> Share:
    """A share with its score interval (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    interval = stats.binomtest(count, total).proportion_ci(confidence_level=confidence, method="wilson")
    return Share(count, total, float(interval.low), float(interval.high))
