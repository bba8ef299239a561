"""The rule for the verdict: where an interval lies relative to the margin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from biotune.statistics.intervals import Share
from biotune.statistics.ratios import Ratio

VerdictName = Literal["faster", "slower", "equivalent", "undecided", "not comparable"]


LEAST_SHARE_CONVERGED = 0.8
"""Below this share, in either arm, too many replicates are censored at the budget for a verdict."""


@dataclass(frozen=True)
class Verdict:
    """What the rule says, and the numbers it is based on."""

    name: VerdictName
    reason: str


def verdict(ratio: Ratio, margin: float, arm: Share, reference: Share) -> Verdict:
    """The rule: where the interval lies relative to [1 / (1 + margin), 1 + margin].

    Wholly below it: *faster*; wholly above it: *slower*; wholly inside it: *equivalent* (two one-sided tests,
    Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657); otherwise *undecided*. It is *not comparable* if fewer than 80
    % of either arm's replicates met the criterion, since two arms that both fail are not equal.

    Args:
        ratio: arm to reference, with its interval.
        margin: of equivalence, above 0.
        arm, reference: shares of their replicates that met the criterion.
    """
    short = [
        f"{share.count} of {whose} {share.total} replicates"
        for share, whose in ((arm, "its"), (reference, "the reference's"))
        if share.value < LEAST_SHARE_CONVERGED
    ]
    if short:
        return Verdict(
            "not comparable",
            f"{' and '.join(short)} met the criterion, {100 * LEAST_SHARE_CONVERGED:.0f} % must; raise "
            "confirm.max_epochs or criterion.fraction_of_null",
        )
    upper = 1 + margin
    lower = 1 / upper
    digits = _digits((ratio.low, ratio.high), (lower, upper))
    interval = f"the interval {ratio.low:.{digits}f} to {ratio.high:.{digits}f}"
    if ratio.pairs == 1:
        return Verdict("undecided", "one pair gives no interval")
    if ratio.high < lower:
        return Verdict("faster", f"{interval} lies wholly below {lower:.{digits}f}")
    if ratio.low > upper:
        return Verdict("slower", f"{interval} lies wholly above {upper:.{digits}f}")
    if ratio.low >= lower and ratio.high <= upper:
        return Verdict("equivalent", f"{interval} lies wholly within {lower:.{digits}f} to {upper:.{digits}f}")
    crossed = " and ".join(f"{end:.{digits}f}" for end in (lower, upper) if ratio.low < end < ratio.high)
    return Verdict("undecided", f"{interval} reaches across {crossed}")


def _digits(ends: Sequence[float], edges: Sequence[float]) -> int:
    """Decimals, two or more, at which rounded ends of an interval lie on the same side of the margin's edges."""
    for digits in range(2, 12):
        rounded = [(float(f"{end:.{digits}f}"), float(f"{edge:.{digits}f}")) for end in ends for edge in edges]
        exact = [(end, edge) for end in ends for edge in edges]
        if all((a < b, a > b) == (c < d, c > d) for (a, b), (c, d) in zip(exact, rounded, strict=True)):
            return digits
    return 12
