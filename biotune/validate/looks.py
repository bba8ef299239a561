"""Simulates studies that look at their pairs more than once, and counts how often what they say is wrong.

    biotune validate looks
    biotune validate looks --looks 16,32,64 --studies 5000 --arms 1

A simulated study goes on from look to look as `biotune extend` does: an arm stops at the look that decides it,
the others go on, up to the last planned look. In replicate r an arm of true ratio ρ (1 for the reference) needs

    T = typical · ρ · exp(c_r + e) of the budget,    c_r ~ N(0, between²) shared by the pair,    e of each network,

and counts with min(T, budget), see `biotune.validate.shapes.scatter` for e. All arms have the same true ratio. Each has
one ratio, as where the setting of its pair is both arms' own best.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biotune import statistics
from biotune.seeds import stream
from biotune.statistics import Verdict
from biotune.validate.shapes import Shape, scatter
from biotune.validate.simulate import is_wrong_direction, wrong_verdicts

RATIOS = (1.0, 1.05, 1.2, 1.35, 2.0)
LOOKS = (16, 32, 64)


@dataclass(frozen=True)
class Model:
    """The parameters of simulated studies.

    Attributes:
        arms: number of arms besides the reference.
        typical: updates to criterion of the reference, as a share of the budget.
        between, spread: standard deviations of log updates between replicates, and of a pair's log ratio.
        shape: of the log ratios' distribution. margin: of equivalence.
    """

    arms: int = 3
    typical: float = 0.1
    between: float = 0.3
    spread: float = 0.25
    shape: Shape = "normal"
    margin: float = 0.2


MODELS = {
    "normal": Model(),
    "lognormal": Model(shape="lognormal"),
    "stragglers": Model(shape="stragglers"),
    "censored": Model(typical=0.6),
}
"""Name -> model: log ratios that are normal, skewed, with stragglers; and with many networks beyond the budget."""


@dataclass(frozen=True)
class Found:
    """What studies say whose arms have one true ratio.

    Attributes:
        model: its name, and the true ratio. looks: of the plan.
        covered: share of the arms of which every interval up to the look where it stopped holds the true ratio; a
            bound's has one end. None if no arm is comparable.
        wrong_direction: share of the studies in which any arm has a direction that is wrong, of whatever size, at any
            look that it has part in.
        wrong_beyond: share in which any is wrongly *faster* or *slower* by more than the margin.
        wrong_within: share in which any is wrongly *equivalent*, or *slightly* faster or slower.
        decided: look -> share of the arms that are decided at it or before.
        pairs: mean number of pairs of an arm where it stops.
        estimate: median over arms that stop before the last look with a direction, of the estimate by the true ratio,
            each turned so that above 1 exaggerates; None if there are none.
        verdicts: verdict at the end -> share of the arms.
    """

    model: str
    ratio: float
    studies: int
    looks: list[int]
    covered: float | None
    wrong_direction: float
    wrong_beyond: float
    wrong_within: float
    decided: dict[int, float]
    pairs: float
    estimate: float | None
    verdicts: dict[str, float]


def simulate(
    models: Sequence[str],
    ratios: Sequence[float],
    looks: Sequence[int],
    studies: int,
    seed: int,
    arms: int | None = None,
) -> Iterator[Found]:
    """Simulates many studies of each model and true ratio.

    Args:
        models: names of `MODELS`. looks: planned numbers of pairs.
        arms: in place of those of the models.
    """
    for name in models:
        model = MODELS[name] if arms is None else replace(MODELS[name], arms=arms)
        for ratio in ratios:
            random = stream(seed, "simulation", "looks", name, round(1e6 * ratio))
            yield _simulate(name, model, ratio, looks, studies, random)


@dataclass
class _Ended:
    """An arm where it stopped: its verdict, ratio and pairs, whether every interval up to there held, and whether any
    look gave it a wrong direction."""

    verdict: Verdict
    ratio: statistics.Ratio
    covered: bool
    misled: bool


def _simulate(
    name: str, model: Model, ratio: float, looks: Sequence[int], studies: int, random: np.random.Generator
) -> Found:
    wrong = wrong_verdicts(ratio, model.margin)
    verdicts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    stopped: Counter[int] = Counter()
    pairs = 0
    covered: list[bool] = []
    exaggerated: list[float] = []
    for _ in range(studies):
        ended = _study(model, ratio, looks, random)
        said = [one.verdict for one in ended]
        errors["direction"] += any(one.misled for one in ended)
        errors["beyond"] += any(verdict.name in wrong & {"faster", "slower"} for verdict in said)
        errors["within"] += any(v.name in wrong and (v.slight or v.name == "equivalent") for v in said)
        for one in ended:
            verdicts[one.verdict.name] += 1
            pairs += one.ratio.pairs
            if one.verdict.name != "not comparable":
                covered.append(one.covered)
            if one.verdict.decided:
                stopped[one.ratio.pairs] += 1
                if one.verdict.direction and one.ratio.pairs < looks[-1] and ratio != 1:
                    exaggerated.append((one.ratio.estimate / ratio) ** (1 if ratio > 1 else -1))
    all_arms = model.arms * studies
    return Found(
        model=name,
        ratio=ratio,
        studies=studies,
        looks=list(looks),
        covered=float(np.mean(covered)) if covered else None,
        wrong_direction=errors["direction"] / studies,
        wrong_beyond=errors["beyond"] / studies,
        wrong_within=errors["within"] / studies,
        decided={look: sum(stopped[one] for one in looks if one <= look) / all_arms for look in looks},
        pairs=pairs / all_arms,
        estimate=float(np.median(exaggerated)) if exaggerated else None,
        verdicts={verdict: count / all_arms for verdict, count in verdicts.most_common()},
    )


def _study(model: Model, ratio: float, looks: Sequence[int], random: np.random.Generator) -> list[_Ended]:
    """Every arm of one study where it stopped."""
    most = looks[-1]
    shared = random.normal(0, model.between, most)
    own, reference = scatter(model.shape, model.arms, model.spread, most, random)
    theirs = model.typical * np.exp(shared + reference)
    return [_arm(model.typical * ratio * np.exp(shared + one), theirs, model, ratio, looks) for one in own]


def _arm(
    mine: NDArray[np.float64], theirs: NDArray[np.float64], model: Model, ratio: float, looks: Sequence[int]
) -> _Ended:
    """An arm, look by look until one says all; `mine`, `theirs`: [pairs], updates as shares of the budget."""
    differences = np.log(np.minimum(mine, 1)) - np.log(np.minimum(theirs, 1))
    covered, misled = True, False
    for look in looks:
        seen = differences[:look]
        met = [int(np.count_nonzero(side[:look] < 1)) for side in (mine, theirs)]
        shares = [statistics.Share(count, look, 0.0, 1.0) for count in met]
        found = statistics.geometric_ratio(seen, statistics.look_confidence(looks, look, model.arms))
        verdict = statistics.verdict(found, model.margin, shares[0], shares[1], seen)
        faster, slower = (verdict.bound and verdict.direction == side for side in ("faster", "slower"))
        covered &= (faster or found.low <= ratio) and (slower or ratio <= found.high)
        misled |= is_wrong_direction(verdict, ratio)
        if verdict.decided or verdict.name == "not comparable":
            break
    return _Ended(verdict, found, covered, misled)
