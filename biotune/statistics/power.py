"""Power: which ratios a given number of pairs can detect."""

import math

from scipy import integrate, optimize, stats

from biotune.statistics.ratios import ratio_of


def detectable_ratio(spread: float, pairs: int, confidence: float, margin: float, power: float = 0.8) -> float:
    """The least true ratio that gets the verdict *slower* with the given power; for *faster*, its inverse.

    With a margin of 0 it is the least that gets a direction: *slower*, *slower, size open* or *slightly slower*.

    P(*slower* | log ratio δ) = P(t'_{n-1, λ} > t) with λ = (δ - log(1 + margin)) √n / spread, t' noncentral t
    (Johnson & Welch 1940, Biometrika 31:362).

    Args:
        spread: standard deviation of the log ratio over pairs. pairs: at least 2. margin: at least 0.
    """
    quantile = float(stats.t.ppf((1 + confidence) / 2, pairs - 1))

    def shortfall(noncentrality: float) -> float:
        return float(stats.nct.sf(quantile, pairs - 1, noncentrality)) - power

    needed = float(optimize.brentq(shortfall, 0.0, 10 * quantile + 10))
    return (1 + margin) * ratio_of(needed * spread / math.sqrt(pairs))


def equivalence_power(spread: float, pairs: int, confidence: float, margin: float) -> float:
    """Probability of an interval within the margin if the true ratio is 1: of the verdict *equivalent*, or *slightly
    faster* or *slightly slower* in 1 - confidence of the studies at most.

    P(|d| + t s / √n ≤ log(1 + margin)) = ∫ [2Φ((log(1 + margin) - t s / √n) √n / spread) - 1]₊ over s,
    (n - 1) s² / spread² being chi-squared with n - 1 degrees of freedom.

    Args:
        spread: standard deviation of the log ratio over pairs. pairs: at least 2.
    """
    bound = math.log1p(margin)
    if spread == 0:
        return 1.0
    n = pairs
    quantile = float(stats.t.ppf((1 + confidence) / 2, n - 1))
    widest = bound * math.sqrt(n) / (quantile * spread)  # the s / spread above which no mean is equivalent
    scale = (1 - (n - 1) / 2) * math.log(2) - math.lgamma((n - 1) / 2)  # of the chi density with n - 1 degrees

    def density(scaled: float) -> float:
        room = bound * math.sqrt(n) / spread - quantile * scaled
        chi = scaled * math.sqrt(n - 1)
        return math.erf(room / math.sqrt(2)) * math.exp(scale + (n - 2) * math.log(chi) - chi**2 / 2)

    # the chi distribution has next to no mass from 10 standard deviations above its mean on
    end = min(widest, 1 + 10 / math.sqrt(n - 1))
    return float(integrate.quad(density, 0, end)[0] * math.sqrt(n - 1))
