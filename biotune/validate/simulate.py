"""Simulates studies whose true ratio is known, and counts how often the report's intervals and verdicts are right.

    biotune validate simulate
    biotune validate simulate --space search_spaces/nback_mem.yaml --spread 0.35 --ratios 1,1.5 --studies 2000
    biotune validate simulate --shape stragglers

A simulated study goes through the report's own analysis: crossings interpolated in log loss, censoring at the budget,
pairs, intervals for as many arms as the study compares, verdicts. The study's YAML gives the arms, the number of pairs,
budget, criterion and margin; only its primary condition is simulated. All arms have the same true ratio, and share the
reference, as in a study: an error counts if any of them makes it.

In replicate r an arm of true ratio ρ (1 for the reference) needs

    T = typical · ρ · exp(c_r + e),    c_r ~ N(0, between²) shared by the pair,    e of each network,

updates, where the e of a pair give its log ratio the standard deviation `spread` and a shape, see `scatter`; its loss
after u updates is

    null loss · fraction^((u / T)^1.5) · exp(ε),    ε ~ N(0, noise²) at each evaluation.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from biotune.criterion import updates_to_criterion
from biotune.errors import UserError
from biotune.report.results.arm_results import Comparison
from biotune.report.results.comparisons import Analysis
from biotune.seeds import stream
from biotune.statistics import Verdict, VerdictName
from biotune.study import Study, load_study
from biotune.validate.shapes import Shape, scatter

RATIOS = (1.0, 1.05, 1.2, 2.0)

BENDING = 1.5
"""Exponent of the loss curve; above 1, log loss falls slowly at first."""


@dataclass(frozen=True)
class Model:
    """The parameters of simulated studies.

    Attributes:
        typical: updates to criterion of the reference, as a share of the budget.
        between, spread, noise: standard deviations: of log updates between replicates, shared by the arms; of a pair's
            log ratio; of the log loss of one evaluation.
        shape: of the log ratios' distribution.
    """

    typical: float = 0.25
    between: float = 0.3
    spread: float = 0.25
    noise: float = 0.05
    shape: Shape = "normal"


@dataclass(frozen=True)
class Found:
    """What the report says about simulated studies with one true ratio.

    Attributes:
        arms: number of arms besides the reference, all of this true ratio.
        covered: share of the intervals that contain the true ratio, of the arms that are comparable, None if none is;
            error: its Monte Carlo standard error. A bound's interval has one end.
        verdicts: verdict -> share of the arms. false: of these, the verdicts that are wrong for the true ratio.
        bounds: share of the arms whose verdict is a bound.
        wrong_direction: share of the studies in which any arm has a direction that is wrong, by whatever size.
        wrong_beyond: share of the studies in which any arm is wrongly *faster* or *slower* by more than the margin.
        wrong_within: share of the studies in which any arm is wrongly *equivalent* or *slightly* faster or slower.
        censored: share of the replicates that didn't meet the criterion within the budget.
    """

    ratio: float
    studies: int
    arms: int
    pairs: int
    confidence: float
    covered: float | None
    error: float
    verdicts: dict[str, float]
    false: dict[str, float]
    bounds: float
    wrong_direction: float
    wrong_beyond: float
    wrong_within: float
    censored: float


class Simulator:
    """Simulates studies of one design: the reference and all arms that the study compares with it."""

    def __init__(self, study: Study) -> None:
        config = study.config
        self.reference = config.reference_arm
        self.arms = [name for name in config.arms if name != self.reference]
        self.pairs, self.margin = config.confirm.replicates, config.equivalence_margin
        self.sustain = config.criterion.sustain
        self.null_loss, self.level = study.task.null_loss, study.level(study.primary)
        per_epoch = study.updates_per_epoch(study.primary)
        self.budget = per_epoch * config.confirm.max_epochs
        self.updates = per_epoch * np.arange(config.confirm.max_epochs + self.sustain)
        self.analysis = Analysis(
            arms=study.resolved()["arms"],
            reference=self.reference,
            margin=self.margin,
            pairs=dict.fromkeys(config.arms, self.pairs),
            looks=config.confirm.planned,
            finished=True,
            seed=config.seed,
        )

    def compare(self, ratio: float, model: Model, random: np.random.Generator) -> tuple[list[Comparison], int]:
        """The report's comparisons of one simulated study, and the number of its networks that were censored."""
        shared = random.normal(0, model.between, self.pairs)
        own, reference = scatter(model.shape, len(self.arms), model.spread, self.pairs, random)
        typical = model.typical * self.budget
        needed = {self.reference: typical * np.exp(shared + reference)}
        needed |= {arm: typical * ratio * np.exp(shared + one) for arm, one in zip(self.arms, own, strict=True)}
        rows = []
        for arm, updates in needed.items():
            for replicate, each in enumerate(updates):
                fallen = (self.level / self.null_loss) ** ((self.updates / each) ** BENDING)
                losses = self.null_loss * fallen * np.exp(random.normal(0, model.noise, len(fallen)))
                reached, converged = updates_to_criterion(self.updates, losses, self.level, self.sustain, self.budget)
                named = {"arm": arm, "against": "", "replicate": replicate}
                rows.append(named | {"updates": reached, "converged": converged})
        comparisons = self.analysis.compare_all(pd.DataFrame(rows), bootstrap=False)
        return comparisons, sum(not row["converged"] for row in rows)

    def simulate(self, ratio: float, model: Model, studies: int, seed: int) -> Found:
        """Simulates many studies of one true ratio, each with its own draw."""
        random = stream(seed, "simulation", round(1e6 * ratio))
        wrong = wrong_verdicts(ratio, self.margin)
        verdicts: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        covered = shown = bounds = censored = 0
        for _ in range(studies):
            comparisons, missed = self.compare(ratio, model, random)
            censored += missed
            found = [c.verdict for c in comparisons if c.verdict]
            verdicts.update(verdict.name for verdict in found)
            bounds += sum(verdict.bound for verdict in found)
            shown += sum(c.comparable for c in comparisons)
            covered += sum(c.comparable and _covers(c, ratio) for c in comparisons)
            errors["direction"] += any(is_wrong_direction(v, ratio) for v in found)
            errors["beyond"] += any(v.name in wrong & {"faster", "slower"} for v in found)
            errors["within"] += any(v.name in wrong and (v.slight or v.name == "equivalent") for v in found)
        arms, confidence = len(self.arms), self.analysis.confidence(self.reference)
        shares = {name: count / (arms * studies) for name, count in verdicts.most_common()}
        return Found(
            ratio=ratio,
            studies=studies,
            arms=arms,
            pairs=self.pairs,
            confidence=confidence,
            covered=covered / shown if shown else None,
            error=math.sqrt(confidence * (1 - confidence) / max(shown, 1)),
            verdicts=shares,
            false={name: share for name, share in shares.items() if name in wrong},
            bounds=bounds / (arms * studies),
            wrong_direction=errors["direction"] / studies,
            wrong_beyond=errors["beyond"] / studies,
            wrong_within=errors["within"] / studies,
            censored=censored / ((arms + 1) * self.pairs * studies),
        )


def _covers(comparison: Comparison, ratio: float) -> bool:
    found, verdict = comparison.ratio, comparison.verdict
    assert found is not None
    assert verdict is not None
    faster, slower = (verdict.bound and verdict.direction == direction for direction in ("faster", "slower"))
    return (faster or found.low <= ratio) and (slower or ratio <= found.high)


def is_wrong_direction(verdict: Verdict, ratio: float) -> bool:
    """Whether a verdict has a direction that is not that of the true ratio; of a ratio of 1 each is wrong."""
    return verdict.direction is not None and not ((ratio < 1) if verdict.direction == "faster" else (ratio > 1))


def wrong_verdicts(ratio: float, margin: float) -> set[VerdictName]:
    """The verdicts that are wrong for this true ratio.

    Of a ratio of 1 every direction is wrong. *Faster* and *slower* say that it lies beyond the margin, *equivalent* and
    *slightly …* that it lies within; at the edge both are wrong. With an open size only the direction can be wrong.
    """
    edge, beyond = math.log1p(margin), abs(math.log(ratio))
    at_edge = math.isclose(beyond, edge, abs_tol=1e-9)
    wrong: set[VerdictName] = set()
    if ratio >= 1:
        wrong |= {"faster", "faster, size open", "slightly faster"}
    if ratio <= 1:
        wrong |= {"slower", "slower, size open", "slightly slower"}
    if beyond < edge or at_edge:
        wrong |= {"faster", "slower"}
    if beyond > edge or at_edge:
        wrong |= {"equivalent", "slightly faster", "slightly slower"}
    return wrong


def simulate(
    space: Path,
    *,
    ratios: Sequence[float] = RATIOS,
    studies: int = 500,
    model: Model | None = None,
    seed: int = 1,
    overrides: Sequence[str] = (),
) -> Iterator[Found]:
    """Simulates studies with the design of a YAML file, at each true ratio.

    Raises:
        UserError: the file is not a study, or has one arm only.
    """
    study = load_study(space, overrides=overrides)
    if len(study.config.arms) == 1:
        raise UserError(f"{space}: has one arm, so there is no ratio to simulate; name a study with two or more")
    simulator = Simulator(study)
    for ratio in ratios:
        yield simulator.simulate(ratio, model or Model(), studies, seed)
