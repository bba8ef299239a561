"""All numbers of a report, as data; the words about them are in `biotune.report.text`."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biotune.statistics import Correlation, Direction, Importances, NullRank, Ratio, Share, Slope, Verdict, disagree


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


@dataclass(frozen=True)
class Forecast:
    """What more pairs would say of an arm that is not decided.

    Attributes:
        missed: number of replicates of the faster side that did not meet the criterion: with any, more pairs can't say
            all.
        more: that would decide with a probability of 80 %; None if that many are not to be had, or missed stand in
            the way.
        alone: pairs of a replication that would decide by themselves, likewise.
        chances: later planned look -> the probability that it would decide.
    """

    arm: str
    missed: int
    more: int | None
    alone: int | None
    chances: dict[int, float]


@dataclass(frozen=True)
class Looks:
    """The planned looks of a study, and where the report is among them.

    Attributes:
        planned: numbers of pairs. taken: those that were. shown: the one that the report is of.
        decided: arm -> the look that decided it. going: arms of which more pairs could say more.
        forecasts: of the arms that go on.
        seconds: later planned look -> about how long it takes to get there. seconds_of_replicated_pair: a pair of every
            arm.
    """

    planned: list[int]
    taken: list[int]
    shown: int
    decided: dict[str, int]
    going: list[str]
    forecasts: list[Forecast]
    seconds: dict[int, float]
    seconds_of_replicated_pair: float

    @property
    def several(self) -> bool:
        """Whether more than one was planned: then what is not adjusted for them has to be named."""
        return len(self.planned) > 1


@dataclass(frozen=True)
class Replication:
    """Pairs past the plan, analysed alone.

    Attributes:
        first: number of replicates before them. pairs: number of pairs.
        comparisons, own_best, claims: as of the study.
    """

    first: int
    pairs: int
    comparisons: list[Comparison]
    own_best: list[Comparison]
    claims: dict[str, Verdict | None]


@dataclass(frozen=True)
class AtSetting:
    """What the search found of an arm at one of the common settings.

    Attributes:
        setting: tuned values. index: of the setting among them.
        met: replicates that met the criterion, and how many there are.
        diverged: whether it ended as diverged.
        updates: restricted mean updates to criterion; None if it did not train.
    """

    setting: dict[str, Any]
    index: int
    met: tuple[int, int]
    diverged: bool
    updates: float | None


@dataclass(frozen=True)
class SearchResult:
    """The search of one arm: its trials by status, and the best of them.

    Attributes:
        best_updates: of the best trial: restricted mean updates to criterion, by which it was chosen.
        best_loss: of the best trial: median over its replicates of the best validation loss, which decides between
            equal updates.
        expected_best: expected best loss of 1, 2, … of the quasi-random trials; empty for a grid.
    """

    arm: str
    planned: int
    statuses: dict[str, int]
    best_trial: str | None
    best_updates: float | None
    best_loss: float | None
    best_setting: dict[str, Any]
    expected_best: list[float]


@dataclass(frozen=True)
class Summary:
    """A study's results in numbers.

    Attributes:
        finished: False while anything of the study is still to come.
        phase: the phase that was reached. quick: whether it was cut down to a first look.
        arms: name -> the arm's section of study.yaml, in the study's order.
        comparisons: at the setting of each pair; own_best: with each arm at its own best of the common settings.
        claims: arm -> what both say, see `biotune.statistics.claim`: the answer; None while replicates are to come.
        looks: the planned looks, of which pairs is the one that is shown. replications: pairs past the plan.
        settings: arm -> what the search found of it at the common settings.
        conditions: the comparisons under all conditions; None if there is one condition.
        levels: the comparisons at other criterion levels.
        contrasts: every arm with every other, of three arms or more.
        control: the positive control, which isn't one of the arms; None if there is none.
        trends: over the doses of a null. associations: with measures, the strongest within arms first.
        importances: of the hyperparameters; None with too few trials.
        page: path of the page; not in summary.json, since the directory may be moved.
    """

    name: str
    finished: bool
    phase: str
    quick: bool
    task: dict[str, Any]
    reference: str
    arms: dict[str, dict[str, Any]]
    margin: float
    confidence: float
    pairs: int
    criterion: dict[str, float]
    budget: int
    updates_per_epoch: int
    results: list[ArmResult]
    comparisons: list[Comparison]
    own_best: list[Comparison]
    claims: dict[str, Verdict | None]
    looks: Looks
    replications: list[Replication]
    settings: dict[str, list[AtSetting]]
    conditions: Conditions | None
    levels: list[Level]
    contrasts: list[Contrast]
    control: Control | None
    trends: list[Trend]
    associations: list[Association]
    search: list[SearchResult]
    importances: Importances | None
    measures: dict[str, dict[str, tuple[float, float, float]]]
    connectomes: dict[str, dict[str, Any]]
    seconds: dict[str, float]
    environment: dict[str, Any]
    page: Path

    def result(self, arm: str, phase: str = "own_best", against: str = "") -> ArmResult | None:
        """An arm's results in a confirm phase; None if there are none yet."""
        return next((r for r in self.results if (r.arm, r.phase, r.against) == (arm, phase, against)), None)

    @property
    def confidences(self) -> tuple[float, float]:
        """The least and the greatest confidence of the verdicts' intervals: arms may be at different looks."""
        found = [c.ratio.confidence for c in (*self.comparisons, *self.own_best) if c.ratio] or [self.confidence]
        return min(found), max(found)

    def contrast(self, arm: str, to: str) -> Contrast | None:
        """An arm compared with another one; None if there is no such comparison."""
        return next((c for c in self.contrasts if (c.arm, c.to) == (arm, to)), None)

    def has_two_ratios(self, arm: str) -> bool:
        """Whether an arm is compared at one setting with each at its own best, and at another in its pair: then there
        are two ratios, else one."""
        pairs = self.result(arm, "pair"), self.result(self.reference, "pair", arm)
        own = self.result(arm), self.result(self.reference)
        return any(a is not None and b is not None and a.setting != b.setting for a, b in zip(pairs, own, strict=True))

    def depends(self, arm: str) -> bool:
        """Whether one of the two ratios has a direction that the other doesn't have."""
        found = [c.verdict for c in (*self.comparisons, *self.own_best) if c.arm == arm and c.verdict]
        return len(found) == 2 and disagree(*found)


def plain(content: Any) -> Any:
    """Content for JSON: dataclasses and mappings become objects, numbers that are not finite become null."""
    if dataclasses.is_dataclass(content):
        return {field.name: plain(getattr(content, field.name)) for field in dataclasses.fields(content)}
    if isinstance(content, Mapping):
        return {str(key): plain(item) for key, item in content.items()}
    if isinstance(content, list | tuple):
        return [plain(item) for item in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
