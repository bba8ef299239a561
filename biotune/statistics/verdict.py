"""The rule for the verdict: where an interval lies relative to the margin."""

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
