"""One comparison under several conditions: intervals that hold together, and in how many conditions there is an effect.

The replicates of a condition share their pairs with every other condition, so their log ratios depend on each other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from biotune.statistics.intervals import FAMILY_CONFIDENCE
from biotune.statistics.ratios import Ratio, geometric_ratio

FLIPS = 9_999
"""Random signs that a family's critical value is computed from."""


def simultaneous_ratios(
    differences: ArrayLike, generator: np.random.Generator, confidence: float = FAMILY_CONFIDENCE
) -> list[Ratio | None]:
    """Ratios with intervals that hold together over all comparisons of a family.

    exp(d̄_c ± t_{1 - p* / 2, n_c - 1} s_c / √n_c), p* the (1 - confidence) quantile of the least p over the comparisons
    when the signs of whole replicates are flipped: min_c p(t_c(σ)), t_c(σ) the t statistic of σ_r (d_cr - d̄_c), with
    one random σ_r = ±1 for a replicate in all comparisons (Westfall & Young 1993, Resampling-Based Multiple Testing,
    ch. 2). So comparisons that depend on each other cost less than Bonferroni's p* = (1 - confidence) / comparisons.

    Args:
        differences: [comparisons, replicates], log ratios; NaN where a pair is missing.
        generator: draws the signs.
        confidence: of all intervals together, in (0, 1).

    Returns:
        [comparisons]; None for one without a pair.

    Raises:
        ValueError: differences isn't [comparisons, replicates].
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"differences must be [comparisons, replicates], found {table.shape}")
    level = _critical_p(table, generator, 1 - confidence)
    return [
        geometric_ratio(row[~np.isnan(row)], 1 - level) if np.count_nonzero(~np.isnan(row)) else None for row in table
    ]


def _critical_p(table: NDArray[np.float64], generator: np.random.Generator, share: float) -> float:
    """The quantile of the least p over the comparisons, under random signs of whole replicates."""
    known = ~np.isnan(table)
    pairs, values = known.sum(axis=1), np.where(known, table, 0.0)
    mean = values.sum(axis=1) / np.maximum(pairs, 1)
    centred = np.where(known, values - mean[:, None], 0.0)
    # of equal values the mean may differ in its last bit
    largest, furthest = (np.abs(one).max(axis=1, initial=0.0) for one in (values, centred))
    varies = (pairs > 1) & (furthest > 1e-12 * largest)
    if not varies.any():
        return share
    n, rows = pairs[varies], centred[varies]
    signs = generator.choice((-1.0, 1.0), size=(FLIPS, table.shape[1]))
    means = signs @ rows.T / n
    variances = ((rows**2).sum(axis=1) - n * means**2) / (n - 1)
    with np.errstate(divide="ignore"):
        t = np.abs(means) * np.sqrt(n / np.maximum(variances, 0.0))
    # of comparisons with as many pairs, the greatest t has the least p
    least = np.min([2 * stats.t.sf(t[:, n == size].max(axis=1), size - 1) for size in np.unique(n)], axis=0)
    # Bonferroni's is always enough
    return max(float(np.quantile(least, share, method="lower")), share / len(rows))


def one_sided_p(differences: ArrayLike, side: int) -> float:
    """p of the hypothesis that the mean log ratio is 0 or on the other side, by the paired t test.

    Args:
        differences: [pairs], log ratios.
        side: -1 for below 0 (faster), 1 for above (slower).
    """
    values = side * np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n < 2:
        return 1.0
    spread = float(np.std(values, ddof=1))
    if spread == 0:
        return 0.0 if values[0] > 0 else 1.0
    return float(stats.t.sf(float(np.mean(values)) / spread * np.sqrt(n), n - 1))


def least_number(p: Sequence[float], alpha: float) -> int:
    """The largest u for which it is shown that at least u of K hypotheses are false.

    The partial-conjunction p of u is (K - u + 1) p_(u), p_(1) ≤ … ≤ p_(K) (Benjamini & Heller 2008, Biometrics
    64:1215), which holds however the hypotheses depend on each other. Counting the significant ones would not do.

    Args:
        p: [K], one per condition; 1 for one without a result. alpha: the level.

    Returns:
        0 to K; the claims for all smaller u hold with it.
    """
    ordered = sorted(p)
    shown = 0
    for u, value in enumerate(ordered, start=1):
        if (len(ordered) - u + 1) * value > alpha:
            break
        shown = u
    return shown
