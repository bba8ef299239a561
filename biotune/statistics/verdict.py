"""The one rule for the verdict: where an interval lies against the margin."""

from dataclasses import dataclass
from typing import Literal

from biotune.statistics.intervals import Share
from biotune.statistics.ratios import Ratio

VerdictName = Literal["faster", "slower", "equivalent", "undecided", "not comparable"]


LEAST_SHARE_CONVERGED = 0.8
"""Below it, in either arm, a ratio of updates is mostly a ratio of budgets, and no verdict is given."""


@dataclass(frozen=True)
class Verdict:
    """What the rule says, and the numbers it says so from."""

    name: VerdictName
    reason: str


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
