"""The rule for the verdict: on which side of 1 an interval lies, and where relative to the margin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from biotune.statistics.intervals import Share
from biotune.statistics.ratios import Ratio

Direction = Literal["faster", "slower"]

VerdictName = Literal[
    "faster",
    "faster, size open",
    "slightly faster",
    "slower",
    "slower, size open",
    "slightly slower",
    "equivalent",
    "undecided",
    "not comparable",
]

_NAMES: dict[Direction, tuple[VerdictName, VerdictName, VerdictName]] = {
    "faster": ("faster", "faster, size open", "slightly faster"),
    "slower": ("slower", "slower, size open", "slightly slower"),
}
"""Direction -> its names: beyond the margin, across its edge, within it."""

LEAST_SHARE_CONVERGED = 0.8
"""Below this share on the faster side, too many replicates are censored at the budget for a verdict."""


@dataclass(frozen=True)
class Verdict:
    """What the rule says, and the numbers it is based on.

    Attributes:
        bound: whether the true difference is at least as large as the interval says, since replicates of the slower
            side are censored. It has a direction then.
    """

    name: VerdictName
    reason: str
    bound: bool = False

    @property
    def direction(self) -> Direction | None:
        """Whether the arm is faster or slower than the reference; None if neither is shown."""
        return next((direction for direction, names in _NAMES.items() if self.name in names), None)

    @property
    def decided(self) -> bool:
        """Whether it says all that more pairs could: a direction with its size, or *equivalent*."""
        return self.name == "equivalent" or (self.direction is not None and not self.name.endswith("size open"))

    @property
    def slight(self) -> bool:
        """Whether there is a difference that is practically equivalent: smaller than the margin."""
        return self.name.startswith("slightly ")


def verdict(ratio: Ratio, margin: float, arm: Share, reference: Share, differences: ArrayLike) -> Verdict:
    """The rule: first on which side of 1 the interval lies, then where relative to [1 / (1 + margin), 1 + margin].

    ==================  =======================  ===========================  ===================
    the interval is     wholly beyond the band   across an edge of the band   wholly in the band
    ==================  =======================  ===========================  ===================
    wholly below 1      *faster*                 *faster, size open*          *slightly faster*
    wholly above 1      *slower*                 *slower, size open*          *slightly slower*
    on both sides of 1                           *undecided*                  *equivalent*
    ==================  =======================  ===========================  ===================

    The same interval gives direction and size, so both hold together with its confidence. *Equivalent* and *slightly …*
    are both practically equivalent (two one-sided tests, Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657).

    A replicate that doesn't meet the criterion counts with the budget B, and needs more. min(T, B) never decreases
    with T, and log min(T, B) changes by no more than log T; so censoring brings a pair's log ratio closer to 0 or to 0,
    never to the other side. The faster side is the one of the smaller geometric mean of min(T, B).

    - Fewer than 80 % of the faster side met the criterion: *not comparable*, since two arms that both fail are not
      equal.
    - All of the faster side did, not all of the slower: the slower ones need more than was counted, so the difference
      is at least as large, and is said as a bound.
    - A few of the faster side did not: what they need is unknown, and could turn a mean round. Only the signs of the
      pairs are certain, so a direction is said if a sign test agrees with the interval at the same confidence
      (two-sided, a pair without a sign counting against it), and the size is left open.
    - *Equivalent* and *slightly …* say that a difference is small: both need every replicate of both arms.

    Args:
        ratio: arm to reference, with its interval.
        margin: of equivalence, above 0.
        arm, reference: shares of their replicates that met the criterion.
        differences: [pairs], the log ratios that the ratio is the mean of.
    """
    sides = [(arm, "its"), (reference, "the reference's")]
    # of two equal arms, both count as the faster side
    faster_side = [share for share, leads in ((arm, ratio.estimate <= 1), (reference, ratio.estimate >= 1)) if leads]
    if any(share.value < LEAST_SHARE_CONVERGED for share in faster_side):
        met = " and ".join(
            f"{share.count} of {whose} {share.total} replicates"
            for share, whose in sides
            if share.value < LEAST_SHARE_CONVERGED
        )
        return Verdict(
            "not comparable",
            f"{met} met the criterion, and {100 * LEAST_SHARE_CONVERGED:.0f} % of the faster side must; raise "
            "confirm.max_epochs or criterion.fraction_of_null",
        )
    if ratio.pairs == 1:
        return Verdict("undecided", "one pair gives no interval")
    upper = 1 + margin
    lower = 1 / upper
    digits = _digits((ratio.low, ratio.high), (lower, 1.0, upper))
    interval = f"the interval {ratio.low:.{digits}f} to {ratio.high:.{digits}f}"
    band = f"{lower:.{digits}f} to {upper:.{digits}f}"
    missed = [
        f"{share.total - share.count} of {whose} {share.total} replicates did not meet the criterion"
        for share, whose in sides
        if share.count < share.total
    ]
    within = ratio.low >= lower and ratio.high <= upper
    across = " and ".join(f"{end:.{digits}f}" for end in (lower, upper) if ratio.low <= end <= ratio.high)
    if ratio.low <= 1 <= ratio.high:
        if within and not missed:
            return Verdict("equivalent", f"{interval} contains 1 and lies wholly within {band}")
        lies = f"lies wholly within {band}" if within else f"reaches across {across}"
        raised = f", but {' and '.join(missed)}; raise confirm.max_epochs" if missed else ""
        return Verdict("undecided", f"{interval} contains 1 and {lies}{raised}")

    direction: Direction = "faster" if ratio.high < 1 else "slower"
    beyond, size_open, slight = _NAMES[direction]
    side = f"wholly {'below' if direction == 'faster' else 'above'}"
    ahead, behind = (arm, reference) if direction == "faster" else (reference, arm)
    if ahead.count < ahead.total:
        pairs = max(arm.total, reference.total)
        agree = int(np.count_nonzero(np.sign(differences) == (-1 if direction == "faster" else 1)))
        holds = 2 * float(stats.binom.sf(agree - 1, pairs, 0.5)) <= 1 - ratio.confidence
        signs = f"{interval} lies {side} 1 and {agree} of {pairs} pairs are {direction}, but {' and '.join(missed)}"
        if holds:
            return Verdict(size_open, f"{signs}, so the size is open")
        return Verdict("undecided", f"{signs}: too few pairs for a direction; raise confirm.max_epochs")
    bound = behind.count < behind.total
    least = f"; {' and '.join(missed)}, so the difference is at least as large" if bound else ""
    if not within and not across:
        edge = lower if direction == "faster" else upper
        return Verdict(beyond, f"{interval} lies {side} {edge:.{digits}f}{least}", bound)
    if within and not bound:
        return Verdict(slight, f"{interval} lies {side} 1, and wholly within {band}")
    lies = f"within {band}" if within else f"reaches across {across}"
    return Verdict(size_open, f"{interval} lies {side} 1 and {lies}{least}", bound)


def _digits(ends: Sequence[float], edges: Sequence[float]) -> int:
    """Decimals, two or more, at which rounded ends of an interval lie on the same side of 1 and the margin's edges."""
    for digits in range(2, 12):
        rounded = [(float(f"{end:.{digits}f}"), float(f"{edge:.{digits}f}")) for end in ends for edge in edges]
        exact = [(end, edge) for end in ends for edge in edges]
        if all((a < b, a > b) == (c < d, c > d) for (a, b), (c, d) in zip(exact, rounded, strict=True)):
            return digits
    return 12
