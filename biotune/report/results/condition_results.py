"""What is found of the arms under every condition, and over the conditions."""

from dataclasses import dataclass
from typing import Any

from biotune.report.results.arm_results import Comparison
from biotune.statistics import Direction, Ratio


@dataclass(frozen=True)
class Specification:
    """One arm compared with the reference under one condition.

    Attributes:
        axis: what the condition varies: the keys that it sets; empty for the primary. changes: `section.key` -> value.
        added: whether the condition was added after the study was started.
        status: "compared"; "to come"; "not run" in a finished study; "not applicable" if the arm's networks are those
            of the reference under this condition, by construction.
        comparison: with an interval at the arm's own level.
        together: the ratio with an interval that holds together with those of all arms and conditions.
        to_primary: the ratio divided by that under the primary condition, over the replicates that both have.
        updates: of the arm and the reference: geometric mean, censored at the budget.
        met: of both, the replicates that met the criterion, and how many there are.
    """

    arm: str
    condition: str
    axis: str
    changes: dict[str, Any]
    added: bool
    status: str
    comparison: Comparison | None
    together: Ratio | None
    to_primary: Ratio | None
    updates: dict[str, float | None]
    met: dict[str, tuple[int, int]]

    @property
    def direction(self) -> Direction | None:
        """Whether the arm is faster or slower under this condition; None if neither is shown."""
        return self.comparison.verdict.direction if self.comparison and self.comparison.verdict else None

    @property
    def counts(self) -> bool:
        """Whether its pairs are evidence on the direction: with censored replicates, only if the verdict has one."""
        whole = all(met == planned for met, planned in self.met.values())
        return self.comparison is not None and (whole or self.direction is not None)


@dataclass(frozen=True)
class Axis:
    """Whether what the primary condition shows of an arm holds along an axis.

    Attributes:
        axis: the keys that its conditions set.
        word: "holds" if the intervals of all its conditions and of the primary lie on one side of 1; "reverses" if one
            lies wholly on the other side than the primary's; "not shown" if one holds 1 or can't be compared; "not
            applicable" if the arm is the reference there; "to come".
    """

    arm: str
    axis: str
    word: str
    conditions: list[str]


@dataclass(frozen=True)
class Over:
    """What holds of an arm over all conditions in which it differs from the reference.

    Attributes:
        conditions: their number, the primary counted.
        everywhere: the direction that every one of them shows, each at the arm's own level (Berger 1982, Technometrics
            24:295); None if there is none.
        at_least: direction -> the largest u for which it is shown that at least u of them have it, see
            `biotune.statistics.least_number`.
        exceptions: conditions with another direction than the primary's, by intervals that hold together.
    """

    arm: str
    conditions: int
    everywhere: Direction | None
    at_least: dict[str, int]
    exceptions: list[str]


@dataclass(frozen=True)
class GainPoint:
    """An arm at one scale of its initial recurrent matrix and one learning rate, and else at the setting of its pair.

    Attributes:
        against: of the reference, the arm of the pair; else empty.
        updates: geometric mean, censored at the budget. met: replicates that met the criterion, and how many there are.
        comparison: with the reference there.
    """

    arm: str
    against: str
    scale: float
    learning_rate: float
    updates: float
    met: tuple[int, int]
    comparison: Comparison | None


@dataclass(frozen=True)
class BestGain:
    """An arm at its own best point of the gain sweep, compared with the reference at its own.

    The points were chosen on the seeds of the search, by restricted mean updates to criterion, and are compared on
    those of the confirmation.

    Attributes:
        at, reference_at: the points of the arm and of the reference: scale and learning rate.
        at_end: those of the two whose scale is the sweep's first or last.
    """

    arm: str
    at: tuple[float, float]
    reference: str
    reference_at: tuple[float, float]
    at_end: list[str]
    comparison: Comparison


@dataclass(frozen=True)
class Conditions:
    """What was found under the conditions of a study.

    Attributes:
        specifications: each arm under each condition, the gain sweep aside. axes, over: what holds along them, and over
            all. gain: the sweep. best_gain: each arm at its own best point of it; empty before all
            of them have been confirmed.
    """

    specifications: list[Specification]
    axes: list[Axis]
    over: list[Over]
    gain: list[GainPoint]
    best_gain: list[BestGain]
