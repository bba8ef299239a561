"""What more pairs would probably show: whether they decide a comparison, and how many that takes."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from biotune.statistics.ratios import Ratio

POWER = 0.8

MOST_TIMES = 100
"""Of the pairs that there are: no more are looked ahead for."""


def decision_probability(
    ratio: Ratio, pairs: ArrayLike, confidence: ArrayLike, margin: float, *, alone: bool = False
) -> NDArray[np.float64]:
    """The probability that an interval over more pairs decides: that it lies wholly beyond the margin, or within it.

    With d the mean log ratio of the n pairs so far and s their spread, a mean over N pairs, n of them those, is
    N(d, s² (1 / n - 1 / N)), if nothing is known of the true one beforehand; a mean over N new pairs alone is
    N(d, s² (1 / n + 1 / N)) (predictive power, Spiegelhalter, Freedman & Blackburn 1986, Control. Clin. Trials 7:8).
    It decides if it is further than t_{(1 + confidence) / 2, N - 1} s / √N from both edges of the margin, which takes
    the spread as known.

    Args:
        ratio: so far, over two pairs or more.
        pairs: [...], N; at least n unless they are alone. confidence: of the interval then, likewise.
        margin: of equivalence, above 0.
        alone: whether only the new pairs are looked at.
    """
    total, seen = np.asarray(pairs, dtype=np.float64), ratio.pairs
    mean, edge = math.log(ratio.estimate), math.log1p(margin)
    half = stats.t.ppf((1 + np.asarray(confidence)) / 2, total - 1) * ratio.spread / np.sqrt(total)
    scale = ratio.spread * np.sqrt(1 / seen + (1 / total if alone else -1 / total))
    scale = np.maximum(scale, 1e-12)  # of equal pairs, or of no new ones, the mean is certain

    def below(end: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(special.ndtr((end - mean) / scale), dtype=np.float64)

    within = np.maximum(below(edge - half) - below(half - edge), 0.0)
    return np.asarray(below(-edge - half) + 1 - below(edge + half) + within, dtype=np.float64)


def pairs_to_decide(
    ratio: Ratio, confidence: Callable[[int], float], margin: float, *, alone: bool = False, power: float = POWER
) -> int | None:
    """The least number of pairs that decide a comparison with this probability, see `decision_probability`.

    Args:
        ratio: so far, over two pairs or more.
        confidence: from a number of pairs to that of their interval.
        margin, alone: see `decision_probability`.

    Returns:
        N, of which those so far are a part unless the new ones are alone; None if `MOST_TIMES` as many don't.
    """
    least = 2 if alone else ratio.pairs + 1
    steps = np.geomspace(least, MOST_TIMES * ratio.pairs, 600)
    candidates = np.unique(np.ceil(steps - 1e-9).astype(np.int64))
    levels = [confidence(int(pairs)) for pairs in candidates]
    enough = decision_probability(ratio, candidates, levels, margin, alone=alone) >= power
    return int(candidates[np.argmax(enough)]) if enough.any() else None
