"""How long a study takes: a sum of parts, each scaled from what `timing` measures in processes like its workers.

A part is given as a range, since nobody knows beforehand how many trials ASHA stops, or how many arms do best at the
setting that they share.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from biotune.study.definition.study import Study

RAY = (0.7, 1.3)
"""Starting Ray and ending it, in times that a Python process with biotune takes to start: Ray is such processes."""
WORKER = (0.6, 1.0)
"""Starting a worker, likewise; Ray keeps processes in store that have imported Ray alone."""
TRIAL = (0.05, 0.15)
"""Seconds that a trial takes beside training: Ray's, and its first and last checkpoint."""
STOPPED = (1 / 3, 2 / 3)
"""At a rung ASHA lets `1/reduction` of the trials go on, and more as long as few have reached it. The share is taken to
lie so far along the way from that to 1."""
UNTIL_MET = (0.1, 0.8)
"""The share of the budget after which all networks of a block have met the criterion, where it ends then."""
REPORT = (0.7, 1.4)
"""How far a report's time may be from what `report` takes it to be, as a factor."""
MEASURED = (0.9, 1.15)
"""How far a time that was measured may be from the next one of the same, as a factor."""


@dataclass(frozen=True)
class Span:
    """A time between `low` and `high` seconds."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Span") -> "Span":
        return Span(self.low + other.low, self.high + other.high)

    def within(self, factors: tuple[float, float]) -> "Span":
        """The range that is left if both ends may be off by these factors."""
        return Span(self.low * factors[0], self.high * factors[1])

    @classmethod
    def about(cls, seconds: float, factors: tuple[float, float] = (1.0, 1.0)) -> "Span":
        """So many seconds, or as many as these factors make of them."""
        return cls(seconds, seconds).within(factors)

    def __str__(self) -> str:
        """`4 to 6 minutes`; `about 5 minutes` if both ends round to that."""
        unit, seconds, step = next((one for one in _UNITS if self.high < _UP_TO * one[1]), _UNITS[-1])
        low, high = (max(round(end / seconds / step) * step, 0) for end in (self.low, self.high))
        if high == 0:
            return f"less than {step} {unit}s"
        if low == high:
            return f"about {high} {unit}{'' if high == 1 else 's'}"
        return f"{low} to {high} {unit}s"


_UNITS = (("second", 1, 5), ("minute", 60, 1), ("hour", 3600, 1), ("day", 86400, 1))
_UP_TO = 150
"""Of a unit; from there on the next one is used."""


@dataclass(frozen=True)
class Costs:
    """Seconds that a trial of an arm takes in a phase, while as many others run as will.

    Attributes:
        draw: to draw its topologies, which a process does once per arm and phase. begin: to make its networks and data.
        epoch: of all its networks. measure: to measure its topologies at its end; 0 in the search.
    """

    draw: float
    begin: float
    epoch: float
    measure: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What a dry run measures, in seconds.

    Attributes:
        process: to start a Python process with all that a worker imports.
        reading: to read the connectomes, and to draw each arm's first topology.
        kernels: to choose and verify the kernels, which the machine then remembers.
        trials: phase -> arm -> of one trial.
    """

    process: float
    reading: float
    kernels: float
    trials: Mapping[str, Mapping[str, Costs]]


def estimate(study: Study, measured: Measured, concurrency: int) -> dict[str, Span]:
    """How long each part of a study takes, by name, from the command to the end of its report.

    Args:
        study: that is to run.
        measured: of it, with as many trials at once as run at once on such a machine.
        concurrency: trials at once.
    """
    process, phases = measured.process, measured.trials
    parts = {
        "starting Python and Ray": Span.about(process) + Span.about(process, RAY),
        "reading": Span.about(measured.reading),
        "drawing topologies": drawing(study, phases, concurrency),
        "kernels": Span.about(process, WORKER) + Span(0.0, measured.kernels),
        "search": search(study, phases["search"], concurrency) + Span.about(process, WORKER),
        "confirm": confirm(study, phases["confirm"], concurrency) + Span.about(process, WORKER),
        "report": report(study, process),
    }
    return {name: span.within(MEASURED) for name, span in parts.items()}


def total(spans: Iterable[Span]) -> Span:
    """Their sum."""
    return sum(spans, start=Span())


def drawing(study: Study, phases: Mapping[str, Mapping[str, Costs]], concurrency: int) -> Span:
    """To draw topologies: a trial of each arm and phase where the kernels are verified, then those that are trained.

    A worker keeps the topologies of the search, so each worker draws them once. A confirmed replicate is drawn by the
    block that trains it at the setting of its pair, and again at each other setting unless that worker still has it.
    """
    search, blocks = study.config.search, _blocks(study, study.config.confirm.replicates)
    arms = study.arms
    verified = sum(phases[phase][arm].draw for phase in phases for arm in arms)
    workers = min(concurrency, search.trials_per_arm * len(arms))
    searched = sum(phases["search"][arm].draw * min(workers, search.trials_per_arm) for arm in arms) / workers
    once = sum(phases["confirm"][arm].draw * sum(blocks) for arm in arms) / min(concurrency, len(blocks) * len(arms))
    settings = [_settings(study, arm).high for arm in arms]
    return Span(verified + searched + once, verified + searched + once * sum(settings) / len(settings))


def search(study: Study, costs: Mapping[str, Costs], concurrency: int) -> Span:
    """To train the trials of all arms; of each at least one goes on to its end. While the last ones run, places are
    empty: for half as long as a whole trial takes, on average."""
    config = study.config.search
    places = min(concurrency, config.trials_per_arm * len(costs))
    beyond = study.config.criterion.sustain - 1
    whole = max(cost.begin + cost.epoch * (config.max_epochs + beyond) for cost in costs.values())

    def summed(along: float, extra: float) -> float:
        epochs = expected_epochs(config.rungs, config.max_epochs, config.reduction, along)
        each = (cost.begin + cost.epoch * epochs + extra for cost in costs.values())
        return max(config.trials_per_arm * sum(each) / places, whole)

    return Span(summed(STOPPED[0], TRIAL[0]), summed(STOPPED[1], TRIAL[1]) + whole * (1 - 1 / places) / 2)


def expected_epochs(rungs: list[int], max_epochs: int, reduction: int, along: float) -> float:
    """Epochs that a trial is trained for, on average, if at each rung a share of the trials goes on.

    Args:
        along: the share, from 0, which is `1/reduction`, to 1, which is all of them.
    """
    epochs, before, passing = 0.0, 0, 1.0
    for rung in [*rungs, max_epochs]:
        epochs += passing * (rung - before)
        before, passing = rung, passing * (1 / reduction + along * (1 - 1 / reduction))
    return epochs


def confirm(study: Study, costs: Mapping[str, Costs], concurrency: int) -> Span:
    """To train the blocks of all arms: at the setting of each pair, at each arm's own best if that is another, and
    under the conditions, as long as their networks take to learn."""
    epochs = study.config.confirm.max_epochs + study.config.criterion.sustain - 1

    def jobs(condition: str, replicates: int, share: float, most: bool = False) -> list[float]:
        return [
            size * (cost.begin + cost.epoch * epochs * share + cost.measure) + TRIAL[1]
            for arm, cost in costs.items()
            if arm in study.arms_under(condition)
            for _ in range(round(_settings(study, arm, condition).high) if most else 1)
            for size in _blocks(study, replicates)
        ]

    primary, (least, most) = (study.primary, study.config.confirm.replicates, 1.0), UNTIL_MET
    low = [job for other in study.beside_primary for job in jobs(*other, least)]
    high = [job for other in study.beside_primary for job in jobs(*other, most, most=True)]
    settings = _settings(study, next(iter(costs))).low
    return Span(
        makespan(jobs(*primary), concurrency) * settings + makespan(low, concurrency),
        makespan(jobs(*primary, most=True), concurrency) + makespan(high, concurrency),
    )


def report(study: Study, process: float) -> Span:
    """To make the report and its figures; what they take beside Python grows with the arms and with the curves."""
    arms, config = len(study.arms), study.config
    curves = arms * (config.search.trials_per_arm * config.search.replicates + 2 * config.confirm.replicates)
    seconds = process * (0.5 + 0.02 * arms**2 + curves / 3500)
    return Span.about(seconds, REPORT)


def makespan(jobs: Iterable[float], places: int) -> float:
    """When the last job ends, if each starts as soon as one of the places is free."""
    free = [0.0] * max(places, 1)
    for job in jobs:
        heapq.heapreplace(free, free[0] + job)
    return max(free)


def _blocks(study: Study, replicates: int) -> list[float]:
    """The sizes of the blocks of a cell with so many replicates, in blocks of those that were timed."""
    timed = len(study.blocks(study.config.confirm.replicates)[0])
    return [len(block) / timed for block in study.blocks(replicates)]


def _settings(study: Study, arm: str, condition: str | None = None) -> Span:
    """Settings that an arm is confirmed at: that of its pair, and under the primary its own best if that is another.
    The reference is confirmed at those of all pairs, which may be one or as many as there are."""
    common, primary = study.config.search.shared_settings, condition in (None, study.primary)
    pairs = len(study.arms_under(condition or study.primary)) - 1 if arm == study.config.reference_arm else 1
    most = max(min(pairs + primary, common), 1)
    return Span(1 + (1 - 1 / common) * 2 / 3 if primary else 1, most - 1 / common if primary and most == 2 else most)
