"""All numbers of a report, as data; the words about them are in `biotune.report.text`."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biotune.report.results.arm_results import ArmResult, Association, Comparison, Contrast, Control, Level, Trend
from biotune.report.results.condition_results import Conditions
from biotune.statistics import Importances, Verdict, disagree


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
