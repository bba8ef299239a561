"""The statistics of a study: one ratio, one interval, one rule for the verdict, and the checks beside them.

The quantity is the ratio of updates to criterion, arm to reference, over pairs of replicates that share their data and
their initial values. Below 1 the arm learns faster than the reference. Every function states its equation, its source
and the axes of its arrays; none draws a random number that the caller did not hand it.
"""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, optimize, stats

VerdictName = Literal["faster", "slower", "equivalent", "undecided", "not comparable"]

FAMILY_CONFIDENCE = 0.95
"""Confidence of all intervals of a study together."""

LEAST_SHARE_CONVERGED = 0.8
"""Below it, in either arm, a ratio of updates is mostly a ratio of budgets, and no verdict is given."""

EXACT_PAIRS = 20
"""Up to so many pairs all 2^n sign flips are enumerated."""

MONTE_CARLO_FLIPS = 99_999

RESAMPLES = 9_999
"""Of the bootstrap."""

LEAST_DRAWS = 19
"""Draws of a null that a place among them needs: with fewer, no p can be as small as 0.05."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of updates to criterion, arm to reference.

    Attributes:
        estimate: geometric mean over the pairs.
        low, high: ends of its interval; 0 and infinity where one pair leaves it open.
        spread: standard deviation of the log ratio over the pairs; NaN with one pair.
        pairs: number of pairs.
        confidence: of the interval.
    """

    estimate: float
    low: float
    high: float
    spread: float
    pairs: int
    confidence: float


@dataclass(frozen=True)
class Verdict:
    """What the rule says, and the numbers it says so from."""

    name: VerdictName
    reason: str


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


@dataclass(frozen=True)
class NullRank:
    """The reference's place among the draws of a null.

    Attributes:
        draws: of the null, one a pair.
        percentile: 100 times the share of draws that needed fewer updates than the reference, ties half: 0 is faster
            than all of them.
        p: of a place as far out as that, two-sided.
    """

    draws: int
    percentile: float
    p: float


def bonferroni(comparisons: int) -> float:
    """Confidence of each of so many intervals that holds for all at once: 1 - 0.05 / comparisons (Dunn 1961)."""
    return 1 - (1 - FAMILY_CONFIDENCE) / max(comparisons, 1)


def log_ratios(arm: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Log ratio of updates to criterion of each pair: d_r = log max(T_arm,r, 1) - log max(T_reference,r, 1).

    One update is the least amount of learning there is: a criterion that was met before it counts as met by it.

    Args:
        arm, reference: [pairs], updates to criterion, the budget where a replicate is censored: min(T, budget).

    Returns:
        [pairs]
    """
    first, second = np.asarray(arm, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"arm and reference must be [pairs] of equal length, found {first.shape} and {second.shape}")
    return np.log(np.maximum(first, 1)) - np.log(np.maximum(second, 1))


def geometric_ratio(differences: NDArray[np.float64], confidence: float) -> Ratio:
    """Geometric mean ratio with its paired t interval: exp(d ± t_{(1 + confidence) / 2, n - 1} s / √n).

    A percentile bootstrap of a dozen pairs covers about 90 %, not 95 % (Hesterberg 2015, Am. Stat. 69:371), hence t.

    Args:
        differences: [pairs], log ratios, at least one.
        confidence: of the interval, in (0, 1).
    """
    n = len(differences)
    if n == 0:
        raise ValueError("a ratio needs at least one pair")
    mean = float(np.mean(differences))
    if n == 1:
        return Ratio(_exp(mean), 0.0, math.inf, math.nan, 1, confidence)
    spread = float(np.std(differences, ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * spread / math.sqrt(n)
    return Ratio(_exp(mean), _exp(mean - half), _exp(mean + half), spread, n, confidence)


def bootstrap_t(differences: NDArray[np.float64], confidence: float, generator: np.random.Generator) -> Ratio:
    """The same ratio with a bootstrap-t interval: exp(d - t*_{(1 ± confidence) / 2} s / √n).

    t* = (d* - d) √n / s* over resampled pairs (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 12), so
    that skewed log ratios get the skewed interval that t can't give them. Resamples of one pair alone have s* = 0 and
    an infinite t*: with very few pairs the interval is open.

    Args:
        differences: [pairs], log ratios, at least one.
        confidence: of the interval, in (0, 1).
        generator: of the resamples.
    """
    plain = geometric_ratio(differences, confidence)
    n = len(differences)
    if n == 1 or plain.spread == 0:
        return plain
    mean, error = float(np.mean(differences)), plain.spread / math.sqrt(n)
    drawn = differences[generator.integers(n, size=(RESAMPLES, n))]
    shift, spread = drawn.mean(axis=1) - mean, drawn.std(axis=1, ddof=1)
    with np.errstate(divide="ignore"):
        t = np.where(spread > 1e-12 * plain.spread, shift * math.sqrt(n) / spread, np.copysign(np.inf, shift))
    low, high = np.quantile(t, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return dataclasses.replace(plain, low=_exp(mean - float(high) * error), high=_exp(mean - float(low) * error))


def jackknife_interval(estimate: float, left_out: ArrayLike, confidence: float) -> tuple[float, float]:
    """Interval of a statistic of n replicates: θ ± t_{(1 + confidence) / 2, n - 1} √((n - 1) / n Σ (θ_(-i) - θ̄)²).

    Tukey 1958 (Ann. Math. Stat. 29:614); of a mean it is the t interval itself. What shares a replicate is left out
    together, so it may depend on each other as it likes.

    Args:
        estimate: θ. left_out: [replicates], θ_(-i), without replicate i each, at least two.
        confidence: of the interval, in (0, 1).
    """
    without = np.asarray(left_out, dtype=np.float64)
    n = len(without)
    error = math.sqrt((n - 1) / n * float(np.sum((without - without.mean()) ** 2)))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return estimate - half, estimate + half


def null_rank(differences: NDArray[np.float64]) -> NullRank:
    """The reference's place among the draws of a null, each beside it on the same data and initial values.

    Draw r stands at d_r, the log ratio of its pair, and the reference at d_0 = 0. If the reference were one more draw,
    all n + 1 could change places: p = (1 + #{r: |d_r - d̄| ≥ |d_0 - d̄|}) / (n + 1), d̄ the mean over all n + 1
    (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39). What else varies between the networks of a pair makes p
    too large rather than too small.

    Args:
        differences: [draws], log ratios of the null to the reference.
    """
    draws = len(differences)
    centre = float(np.sum(differences)) / (draws + 1)
    rounding = 1e-9 * float(np.max(np.abs(differences), initial=0))
    as_far = int(np.count_nonzero(np.abs(differences - centre) >= abs(centre) - rounding))
    faster = np.count_nonzero(differences < 0) + 0.5 * np.count_nonzero(differences == 0)
    return NullRank(draws, 100 * float(faster) / draws, (1 + as_far) / (draws + 1))


def verdict(ratio: Ratio, margin: float, arm: Share, reference: Share) -> Verdict:
    """The one rule: where the interval lies against [1 / (1 + margin), 1 + margin].

    Wholly below it *faster*, wholly above it *slower*, wholly inside it *equivalent* (two one-sided tests, Schuirmann
    1987, J. Pharmacokinet. Biopharm. 15:657), otherwise *undecided*; *not comparable* where fewer than 80 % of either
    arm's replicates met the criterion, since two arms that both fail are not equal.
    """
    if min(arm.value, reference.value) < LEAST_SHARE_CONVERGED:
        short = arm if arm.value < LEAST_SHARE_CONVERGED else reference
        whose = "its" if short is arm else "the reference's"
        return Verdict(
            "not comparable",
            f"{short.count} of {whose} {short.total} replicates met the criterion, {100 * LEAST_SHARE_CONVERGED:.0f} "
            "% must",
        )
    upper = 1 + margin
    lower = 1 / upper
    interval = f"the interval {ratio.low:.2f} to {ratio.high:.2f}"
    if ratio.pairs == 1:
        return Verdict("undecided", "one pair gives no interval")
    if ratio.high < lower:
        return Verdict("faster", f"{interval} lies wholly below {lower:.2f}")
    if ratio.low > upper:
        return Verdict("slower", f"{interval} lies wholly above {upper:.2f}")
    if ratio.low >= lower and ratio.high <= upper:
        return Verdict("equivalent", f"{interval} lies wholly within {lower:.2f} to {upper:.2f}")
    crossed = " and ".join(f"{end:.2f}" for end in (lower, upper) if ratio.low < end < ratio.high)
    return Verdict("undecided", f"{interval} reaches across {crossed}")


def share(count: int, total: int, confidence: float = 0.95) -> Share:
    """A share with its score interval (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    interval = stats.binomtest(count, total).proportion_ci(confidence_level=confidence, method="wilson")
    return Share(count, total, float(interval.low), float(interval.high))


def sign_flip_p(differences: NDArray[np.float64], generator: np.random.Generator) -> tuple[float, bool]:
    """Two-sided p that the log ratios are symmetric about 0: the share of sign flips with |Σ ± d_r| ≥ |Σ d_r|.

    Fisher's randomisation test (1935). All 2^n flips up to 20 pairs; beyond, Monte Carlo with
    p = (1 + hits) / (1 + flips) (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).

    Args:
        differences: [pairs], log ratios.
        generator: drawn from above 20 pairs only.

    Returns:
        (p, whether it is exact)
    """
    size = np.abs(differences)
    least = abs(float(np.sum(differences))) - 1e-9 * float(np.sum(size))  # sums that differ by rounding alone are ties
    if len(differences) <= EXACT_PAIRS:
        sums = np.zeros(1)
        for d in size:
            sums = np.concatenate([sums + d, sums - d])
        return float(np.mean(np.abs(sums) >= least)), True
    hits, width = 0, -(-len(size) // 8)
    for start in range(0, MONTE_CARLO_FLIPS, 10_000):
        rows = min(10_000, MONTE_CARLO_FLIPS - start)
        bits = np.unpackbits(np.frombuffer(generator.bytes(rows * width), np.uint8).reshape(rows, width), axis=1)
        flipped = 2 * (bits[:, : len(size)] @ size) - np.sum(size)  # Σ ± d_r, the sign of d_r by its bit
        hits += int(np.count_nonzero(np.abs(flipped) >= least))
    return (1 + hits) / (1 + MONTE_CARLO_FLIPS), False


def detectable_ratio(spread: float, pairs: int, confidence: float, margin: float, power: float = 0.8) -> float:
    """The least true ratio that this many pairs call *slower* with the given power (its inverse for *faster*).

    P(*slower* | log ratio δ) = P(t'_{n-1, λ} > t) with λ = (δ - log(1 + margin)) √n / spread, t' noncentral t
    (Johnson & Welch 1940, Biometrika 31:362).

    Args:
        spread: standard deviation of the log ratio over pairs. pairs: at least 2.
    """
    quantile = float(stats.t.ppf((1 + confidence) / 2, pairs - 1))

    def shortfall(noncentrality: float) -> float:
        return float(stats.nct.sf(quantile, pairs - 1, noncentrality)) - power

    needed = float(optimize.brentq(shortfall, 0.0, 10 * quantile + 10))
    return (1 + margin) * _exp(needed * spread / math.sqrt(pairs))


def equivalence_power(spread: float, pairs: int, confidence: float, margin: float) -> float:
    """Probability that arms whose true ratio is 1 are called *equivalent*.

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
    widest = bound * math.sqrt(n) / (quantile * spread)  # s / spread, beyond which no mean is equivalent

    def density(scaled: float) -> float:
        room = bound * math.sqrt(n) / spread - quantile * scaled
        return (2 * float(stats.norm.cdf(room)) - 1) * float(stats.chi.pdf(scaled * math.sqrt(n - 1), n - 1))

    # chi's mass ends well below 10 standard units above its mean
    end = min(widest, 1 + 10 / math.sqrt(n - 1))
    return float(integrate.quad(density, 0, end)[0] * math.sqrt(n - 1))


def interquartile_mean(values: ArrayLike) -> NDArray[np.float64]:
    """Mean of the middle half of the replicates (Agarwal et al. 2021, NeurIPS 34:29304).

    A replicate without a finite loss ranks above all others; where such ones reach the middle half, the mean is
    infinite.

    Args:
        values: [replicates, evaluations], losses; NaN where a replicate diverged.

    Returns:
        [evaluations]
    """
    losses = np.asarray(values, dtype=np.float64)
    return np.asarray(stats.trim_mean(np.where(np.isfinite(losses), losses, np.inf), 0.25, axis=0))


def pooled_ratio(differences: NDArray[np.float64], confidence: float) -> Ratio:
    """Interquartile mean of the log ratios of several tasks, over all their pairs at once, as a ratio.

    The mean of the middle half (Agarwal et al. 2021, NeurIPS 34:29304), so that neither a task nor a pair far out
    decides it, with a jackknife interval over replicates: replicate r of all tasks is left out together, since with one
    seed its networks are drawn alike in all of them. The tasks are these, not a sample of all tasks.

    Args:
        differences: [tasks, replicates], log ratios.
        confidence: of the interval, in (0, 1).
    """
    replicates = differences.shape[1]
    mean = float(interquartile_mean(differences.reshape(-1, 1))[0])
    spread = float(np.std(differences, ddof=1)) if differences.size > 1 else math.nan
    if replicates == 1:
        return Ratio(_exp(mean), 0.0, math.inf, spread, 1, confidence)
    without = [
        float(interquartile_mean(np.delete(differences, r, axis=1).reshape(-1, 1))[0]) for r in range(replicates)
    ]
    low, high = jackknife_interval(mean, without, confidence)
    return Ratio(_exp(mean), _exp(low), _exp(high), spread, replicates, confidence)


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
        updates: [replicates], updates to criterion, the budget where censored. converged: [replicates], bool.

    Returns:
        Columns updates, share, low, high; a row a change, the first at 0 updates.
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
    """Updates by which half of the replicates have met the criterion; infinite where fewer ever do."""
    curve = kaplan_meier(updates, converged)
    reached = curve.loc[curve["share"] >= 0.5, "updates"]
    return float(reached.iloc[0]) if len(reached) else math.inf


def log_loss_area(updates: NDArray[np.integer], losses: NDArray[np.floating], budget: float) -> float:
    """Geometric mean validation loss over training: exp of the trapezoid mean of log loss up to the budget.

    Low for a network that learns early and well; it needs no criterion, so it stands beside the one that does.

    Args:
        updates: [evaluations], ascending. losses: [evaluations]. budget: updates.

    Returns:
        A loss; infinite where a loss within the budget is not finite, 0 where one is 0.
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


def _exp(logarithm: float) -> float:
    """Infinite where the ratio is too large for a number: the end of an interval over few pairs may be."""
    return math.exp(logarithm) if logarithm < math.log(sys.float_info.max) else math.inf
