"""How often intervals of the ratio hold, at the confidence that a study uses and with log ratios that aren't normal.

    biotune validate intervals

Three intervals, on log ratios alone (`biotune validate simulate` has whole studies): the paired t interval that gives
the verdict, the bootstrap-t interval beside it, and the interval of the sign-flip test.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biotune import statistics
from biotune.seeds import stream
from biotune.validate.shapes import SHAPES, Shape, scatter

PAIRS = (8, 16)

ARMS = (1, 3)
"""Numbers of arms besides the reference: each interval is one of 95 % and of 98.33 %."""

SPREAD = 0.25

INTERVALS = ("t", "bootstrap-t", "sign flips")


@dataclass(frozen=True)
class Coverage:
    """How often one interval holds.

    Attributes:
        low: share of the studies in which it lies wholly below the true ratio: a false *faster* if that is 1.
        high: share in which it lies wholly above.
        width: median over studies of log(high / low).
    """

    interval: str
    shape: Shape
    pairs: int
    confidence: float
    studies: int
    low: float
    high: float
    width: float


def coverages(studies: int, seed: int) -> Iterator[Coverage]:
    """Coverage of each interval for each shape, number of pairs and confidence."""
    for shape in SHAPES:
        for pairs in PAIRS:
            random = stream(seed, "simulation", "intervals", shape, pairs)
            differences = [np.subtract(*scatter(shape, 1, SPREAD, pairs, random))[0] for _ in range(studies)]
            for arms in ARMS:
                confidence = statistics.bonferroni(arms)
                ends = np.array([_ends(d, confidence, random) for d in differences])
                for place, interval in enumerate(INTERVALS):
                    low, high = ends[:, place].T
                    yield Coverage(
                        interval=interval,
                        shape=shape,
                        pairs=pairs,
                        confidence=confidence,
                        studies=studies,
                        low=float(np.mean(high < 0)),
                        high=float(np.mean(low > 0)),
                        width=float(np.median(high - low)),
                    )


def _ends(
    differences: NDArray[np.float64], confidence: float, random: np.random.Generator
) -> list[tuple[float, float]]:
    """Ends of each interval, as log ratios."""
    t = statistics.geometric_ratio(differences, confidence)
    resampled = statistics.bootstrap_t(differences, confidence, random)
    with np.errstate(divide="ignore"):  # an interval without an end reaches down to a ratio of 0
        ends = [(float(np.log(ratio.low)), float(np.log(ratio.high))) for ratio in (t, resampled)]
    return [*ends, statistics.sign_flip_interval(differences, confidence, random)]
