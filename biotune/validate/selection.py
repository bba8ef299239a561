"""Simulates searches whose truth is known, and counts what is claimed of arms that learn equally fast at their best.

    biotune validate selection
    biotune validate selection --keys 1 --curvature 6 --studies 2000
    biotune validate selection --keys 1 --seen 0.5

Arms that are equally fast at their best settings, but have these at different places, differ at nearly every setting
that both share. So what arms are compared at can make a difference out of nothing. Each simulated study searches the
common settings of every arm, chooses what to compare by the rule of a study (`biotune.statistics.choose`), confirms
that, and gives the verdicts of a report.

Arm a needs T updates at the setting x, a point in the unit cube of the tuned keys:

    log T = curvature · |x - o_a|² + k + e,    k ~ N(0, kept · spread² / 2),    e ~ N(0, (1 - kept) · spread² / 2),

o_a its optimum, k what one network keeps at all settings, e what it does not. The reference's optimum and a null's are
`distance` apart, in a random direction, both at least 0.1 from the ends of every range; nulls that agree have one
optimum, nulls that disagree one each. The common settings are a scrambled Sobol sequence, as in a study. A search trial
counts the budget where it would need more updates.

With early stopping (`seen`) every arm's trials pass ASHA's rung as those of the default study do, one after another,
and one that is stopped counts the budget. What the rung compares is log T of the searched networks with noise of such a
size that it correlates with log T over the settings as stated: 1 is a rung that knows the end, and 0 one that stops
trials whatever their setting.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from biotune import statistics
from biotune.seeds import stream
from biotune.statistics import Chosen, Verdict
from biotune.study.definition.phases import SearchConfig
from biotune.study.search.rungs import Rungs

REFERENCE = "reference"
ESTIMANDS = ("pair", "own best", "claim")

NULLS, SETTINGS = (1, 3, 5), (8, 16, 32)
"""Numbers of nulls beside the reference, and of common settings, that are simulated."""

EDGE = 0.1
"""How near an optimum may come to the end of a range."""

BUDGET = 3.0
"""Of a search trial, in units of the updates that an arm needs at its best setting; as in the default study."""

SEARCH = SearchConfig(max_epochs=27, grace=9, reduction=3)
"""Whose rungs stop trials early; those of the default study."""

LARGEST_DISTANCE = 0.6
"""Between two optima: further apart, few places are left for the two."""


@dataclass(frozen=True)
class Model:
    """The parameters of simulated searches.

    Attributes:
        keys: number of tuned keys. curvature: of log updates over the unit cube. distance: between optima.
        spread: standard deviation of a pair's log ratio at one setting. kept: share of its variance that a network has
            at all settings.
        seen: correlation of what a rung compares with the log updates, over the settings of an arm; None without early
            stopping.
        searched, pairs: replicates of a search trial, and of a confirmed cell. margin: of equivalence.
    """

    keys: int = 2
    curvature: float = 4.0
    distance: float = 0.3
    spread: float = 0.25
    kept: float = 0.5
    seen: float | None = None
    searched: int = 4
    pairs: int = 16
    margin: float = 0.2


@dataclass(frozen=True)
class Design:
    """One design of a study: numbers of nulls and of common settings, and whether the nulls have one optimum."""

    nulls: int
    agree: bool
    settings: int


@dataclass(frozen=True)
class Found:
    """What is claimed of nulls that are as fast as the reference, as shares of the studies.

    Attributes:
        faster, slower: estimand -> share in which any null has this direction, by whatever size.
        beyond: estimand -> share in which any is *faster*, and any *slower*, by more than the margin.
        changed: share in which the claim on any null is another one once a null is added, or null 0 is doubled, with
            intervals of the same confidence.
    """

    design: Design
    studies: int
    faster: dict[str, float]
    slower: dict[str, float]
    beyond: dict[str, tuple[float, float]]
    changed: float


@dataclass(frozen=True)
class _Study:
    """One simulated study: arm -> [settings] true log updates, searched ones, and [settings, pairs] confirmed ones."""

    true: dict[str, NDArray[np.float64]]
    searched: dict[str, NDArray[np.float64]]
    confirmed: dict[str, NDArray[np.float64]]

    def verdicts(self, arms: list[str], confidence: float, margin: float) -> dict[str, dict[str, Verdict]]:
        """null -> estimand -> verdict, of a study of these arms."""
        chosen = statistics.choose({arm: np.exp(self.searched[arm]) for arm in arms}, REFERENCE)
        return {arm: self._verdicts_of(arm, chosen, confidence, margin) for arm in arms if arm != REFERENCE}

    def _verdicts_of(self, arm: str, chosen: Chosen, confidence: float, margin: float) -> dict[str, Verdict]:
        pair, own = chosen.pair[arm], chosen.own_best
        at = ((pair, pair), (own[arm], own[REFERENCE]))
        found = []
        for mine, theirs in at:
            differences = self.confirmed[arm][mine] - self.confirmed[REFERENCE][theirs]
            met = statistics.Share(len(differences), len(differences), 0.0, 1.0)
            ratio = statistics.geometric_ratio(differences, confidence)
            found.append(statistics.verdict(ratio, margin, met, met, differences))
        return dict(zip(ESTIMANDS, [*found, statistics.claim(*found)], strict=True))


def designs() -> Iterator[Design]:
    """The designs that are simulated."""
    for settings, nulls, agree in itertools.product(SETTINGS, NULLS, (True, False)):
        if agree or nulls > 1:
            yield Design(nulls, agree, settings)


def simulate(design: Design, model: Model, studies: int, seed: int) -> Found:
    """Simulates many studies of one design."""
    random = stream(seed, "simulation", "selection", design.nulls, int(design.agree), design.settings)
    arms = [REFERENCE, *(f"null {number}" for number in range(design.nulls))]
    confidence = statistics.bonferroni(design.nulls)
    counts: Counter[tuple[str, str]] = Counter()
    changed = 0
    for _ in range(studies):
        study = _draw(design, model, random)
        found = study.verdicts(arms, confidence, model.margin)
        for estimand in ESTIMANDS:
            said = [verdicts[estimand] for verdicts in found.values()]
            names = {f"beyond {verdict.name}" for verdict in said} | {verdict.direction or "" for verdict in said}
            counts.update((estimand, name) for name in names)
        more = [study.verdicts([*arms, beside], confidence, model.margin) for beside in ("added", "doubled")]
        changed += any(again[arm]["claim"] != found[arm]["claim"] for again in more for arm in found)

    def of(what: str) -> dict[str, float]:
        return {estimand: counts[estimand, what] / studies for estimand in ESTIMANDS}

    faster, slower = of("beyond faster"), of("beyond slower")
    beyond = {estimand: (faster[estimand], slower[estimand]) for estimand in ESTIMANDS}
    return Found(design, studies, of("faster"), of("slower"), beyond, changed / studies)


def _draw(design: Design, model: Model, random: np.random.Generator) -> _Study:
    """A study of the design's arms, of one null that could be added, and of null 0 once more under another name."""
    settings = qmc.Sobol(model.keys, scramble=True, rng=random).random_base2((design.settings - 1).bit_length())
    settings = settings[: design.settings]
    names = [*(f"null {number}" for number in range(design.nulls)), "added"]
    reference, optima = _optima(design, model, random)
    true, searched, confirmed = {}, {}, {}
    scale = model.spread / math.sqrt(2)
    for arm, optimum in zip([REFERENCE, *names], [reference, *optima], strict=True):
        true[arm] = model.curvature * ((settings - optimum) ** 2).sum(axis=1)
        updates = true[arm] + _networks(len(settings), model.searched, scale, model, random).mean(axis=1)
        stopped = np.zeros(len(updates), bool) if model.seen is None else _stopped(updates, model.seen, random)
        searched[arm] = np.where(stopped, math.log(BUDGET), np.minimum(updates, math.log(BUDGET)))
        confirmed[arm] = true[arm][:, None] + _networks(len(settings), model.pairs, scale, model, random)
    for held in (true, searched, confirmed):
        held["doubled"] = held["null 0"]
    return _Study(true, searched, confirmed)


def _stopped(updates: NDArray[np.float64], seen: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """[settings], which trials ASHA stops, where a rung's objective correlates with their log updates as stated."""
    rungs = Rungs(SEARCH)
    stopped = np.zeros(len(updates), bool)
    standard = (updates - updates.mean()) / updates.std()
    for trial, value in enumerate(standard):
        for epoch in SEARCH.rungs:
            compared = seen * value + math.sqrt(1 - seen**2) * random.normal()
            if rungs.verdict(str(trial), epoch, compared) == "stop":
                stopped[trial] = True
                break
    return stopped


def _networks(
    settings: int, networks: int, scale: float, model: Model, random: np.random.Generator
) -> NDArray[np.float64]:
    """[settings, networks], how far each network's log updates are from what is true of its arm."""
    kept = math.sqrt(model.kept) * random.normal(0, scale, networks)
    return kept + math.sqrt(1 - model.kept) * random.normal(0, scale, (settings, networks))


def _optima(
    design: Design, model: Model, random: np.random.Generator
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """The reference's optimum, and those of the nulls and of one more."""

    def inside(point: NDArray[np.float64]) -> bool:
        return bool(np.all((point >= EDGE) & (point <= 1 - EDGE)))

    def beside(point: NDArray[np.float64]) -> NDArray[np.float64]:
        direction = random.normal(size=model.keys)
        return point + model.distance * direction / np.linalg.norm(direction)

    # both are drawn again until they fit, so that neither is nearer the ends than the other
    while True:
        reference = random.uniform(EDGE, 1 - EDGE, model.keys)
        nulls = [beside(reference)]
        if inside(nulls[0]):
            break
    while len(nulls) <= design.nulls:
        null = nulls[0] if design.agree else beside(reference)
        nulls += [null] if inside(null) else []
    return reference, nulls
