"""What is found of the arms: how each learnt, how it compares, and what goes with its wiring."""

from dataclasses import dataclass
from typing import Any

from biotune.statistics import Correlation, NullRank, Ratio, Share, Slope, Verdict


@dataclass(frozen=True)
class ArmResult:
    """The results of one arm's confirmed replicates.

    Attributes:
        against: of the reference at the setting of a pair, the other arm; else empty.
        planned: number of replicates that the study asks for. replicates: number of those that were confirmed.
        converged: share of `planned`; in a finished study a missing replicate counts as one that did not converge.
        at_once: number of replicates that met the criterion within their first update, which counts as one update.
        updates: geometric mean of updates to criterion, censored at the budget.
        median_updates: Kaplan–Meier median; infinite if fewer than half converge.
        final_loss, test_loss: lower quartile, median, upper quartile at the budget.
        loss_area: median over replicates of the geometric mean validation loss up to the budget.
    """

    arm: str
    phase: str
    against: str
    setting: dict[str, Any]
    planned: int
    replicates: int
    converged: Share
    diverged: int
    at_once: int
    updates: float
    median_updates: float
    final_loss: tuple[float, float, float]
    test_loss: tuple[float, float, float]
    loss_area: float


@dataclass(frozen=True)
class Comparison:
    """One arm compared with the reference.

    Attributes:
        look: number of pairs that the arm has at the planned look, or is to have.
        ratio: None if there is no pair.
        missed_ahead: number of replicates of the faster side that did not meet the criterion.
        verdict: None while replicates are still to come.
        p: two-sided sign-flip p, not adjusted; exact if p_exact, else Monte Carlo.
        bootstrap, bootstrap_verdict: the ratio with a bootstrap-t interval, and what the rule says of that one.
        rank: the reference's rank among the draws, if the arm is a null with at least 19.
        detectable: the least true ratio that as many pairs, with the same spread, show as slower with a power of 80 %.
        equivalence_power: the probability that they show arms as equivalent whose true ratio is 1.
    """

    arm: str
    reference: str
    look: int
    ratio: Ratio | None
    missed_ahead: int
    verdict: Verdict | None
    p: float | None
    p_exact: bool
    bootstrap: Ratio | None
    bootstrap_verdict: Verdict | None
    rank: NullRank | None
    detectable: float | None
    equivalence_power: float | None

    @property
    def comparable(self) -> bool:
        """Whether the ratio means anything; if not, it isn't shown on the page, but stays in the tables."""
        return self.verdict is None or self.verdict.name != "not comparable"


@dataclass(frozen=True)
class Contrast:
    """One arm compared with any other, each at its own best setting.

    Attributes:
        ratio: updates of `arm` divided by those of `to`, over the replicates that both have, with an interval that
            holds together with those of all other pairs of arms; None if they have no replicate in common.
        comparable: whether at least 80 % of the replicates of both met the criterion; if not, the ratio isn't shown on
            the page. True while replicates are still to come.
        differs: whether they are comparable and the interval leaves out 1.
    """

    arm: str
    to: str
    ratio: Ratio | None
    comparable: bool
    differs: bool


@dataclass(frozen=True)
class Control:
    """The positive control: the reference arm, changed on purpose.

    Attributes:
        kind: the study's key.
        comparison: with the reference, at 95 %. result, reference: the replicates' results of both.
        found: whether the study detects its difference from the reference; None while replicates are still to come.
    """

    kind: str
    comparison: Comparison
    result: ArmResult
    reference: ArmResult
    found: bool | None


@dataclass(frozen=True)
class Level:
    """The comparisons at another criterion level."""

    level: float
    of_null: float
    comparisons: list[Comparison]


@dataclass(frozen=True)
class Trend:
    """A dose-response: arms in which the same null may move different shares of the edges.

    Attributes:
        null: the null, in words.
        fractions: arm -> share of its edges that the null may move, as the study asks; 0 for an arm that is otherwise
            the same and has no null.
        doses: arm -> share of the matrix's entries that the null did change, the mean over its replicates; empty if the
            results don't have it of all arms.
        slope: None if there is none; `reason` says why.
    """

    null: str
    fractions: dict[str, float]
    doses: dict[str, float]
    slope: Slope | None
    reason: str


@dataclass(frozen=True)
class Association:
    """Rank correlation of a measure with updates to criterion, each arm at its own best setting.

    Attributes:
        networks, arms: numbers of those in which the measure has a value.
        within: within arms, with its interval; None if nothing varies there.
        across: over the networks of all arms, which has no interval.
    """

    measure: str
    networks: int
    arms: int
    within: Correlation | None
    across: float
