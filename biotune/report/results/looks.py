"""The planned looks of a study: which was taken, which arms go on, and what more pairs would take and show."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from biotune.errors import UserError
from biotune.report.results.arm_results import Comparison
from biotune.report.results.comparisons import Analysis
from biotune.report.results.summary import Forecast, Looks, Replication
from biotune.results.documents import Cell, Look, State
from biotune.statistics import Ratio, Verdict, claim, decision_probability, look_confidence, pairs_to_decide


def planned_looks(study: Mapping[str, Any]) -> list[int]:
    """The planned numbers of pairs of a study; one if it has planned no others.

    Args:
        study: content of study.yaml.
    """
    return list(study["confirm"].get("looks") or [study["confirm"]["replicates"]])


def shown_look(study: Mapping[str, Any], state: State, asked: int | None) -> int:
    """The number of pairs of the look that a report shows: the last that was taken; if none was, that under way.

    Args:
        asked: an earlier one; None: the last.

    Raises:
        UserError: the one that is asked for was not taken.
    """
    taken = [look.pairs for look in state.looks]
    if asked is not None and asked not in taken:
        there = f"those that were are at {', '.join(map(str, taken))} pairs" if taken else "none was yet"
        raise UserError(f"--look {asked}: no such look was taken; {there}")
    return asked or (taken[-1] if taken else planned_looks(study)[0])


def pairs_at(
    arms: Iterable[str], reference: str, planned: Sequence[int], taken: Sequence[Look], shown: int
) -> dict[str, int]:
    """arm -> pairs that it has at a look; one that was decided before has those of the look that decided it."""
    pairs = dict.fromkeys(arms, planned[0])
    for look in taken:
        later = next((one for one in planned if one > look.pairs), None)
        if later is not None and later <= shown:
            pairs |= {arm: later for arm in look.going if arm in pairs}
    return pairs | {reference: max(pairs.values())}


def find_looks(
    study: Mapping[str, Any],
    state: State,
    analysis: Analysis,
    comparisons: Sequence[Comparison],
    own_best: Sequence[Comparison],
    curves: pd.DataFrame,
) -> Looks:
    """What the looks up to the one that is shown led to, and what later ones would probably show.

    Args:
        study: content of study.yaml. state: of state.json. analysis: at the look that is shown.
        comparisons, own_best: at that look, in the pair and with each arm at its own best.
        curves: of all that was confirmed.
    """
    shown = max(analysis.pairs.values())
    taken = [look for look in state.looks if look.pairs <= shown]
    going = [arm for arm in analysis.arms if taken and arm in taken[-1].going]
    own = {c.arm: c for c in own_best}
    ways = [(c, own[c.arm]) for c in comparisons if c.arm in going and c.arm in own]
    later = [look for look in analysis.looks if look > shown]
    second = _seconds_per_epoch(state, curves) * _epochs(study)
    per_pair = second * _cells(state, going, analysis.reference)
    return Looks(
        planned=list(analysis.looks),
        taken=[look.pairs for look in state.looks],
        shown=shown,
        decided={arm: look.pairs for look in taken for arm in look.decided},
        going=going,
        # one pair has no spread to tell anything from
        forecasts=[_forecast(both, analysis, later) for both in ways if both[0].look > 1],
        seconds={look: (look - shown) * per_pair for look in later},
        seconds_of_replicated_pair=second * _cells(state, list(analysis.arms), analysis.reference),
    )


def _forecast(both: Sequence[Comparison], analysis: Analysis, later: Sequence[int]) -> Forecast:
    """What more pairs would say of an arm: enough for both of its ratios, so far as these are open."""
    arm, shown, margin = both[0].arm, both[0].look, analysis.margin
    open_ones = [c for c in both if c.verdict and not c.verdict.decided and c.comparable]
    ratios = [c.ratio for c in open_ones if c.ratio and c.ratio.pairs > 1]
    missed = max((c.missed_ahead for c in open_ones), default=0)
    if missed or len(ratios) < len(open_ones):
        return Forecast(arm, missed, None, None, {})
    family = len(analysis.arms) - 1

    def planned(pairs: int) -> float:
        return look_confidence(analysis.looks, min(pairs, analysis.looks[-1]), family)

    def alone(pairs: int) -> float:
        return look_confidence([pairs], pairs, family)

    def most(found: Iterable[int | None]) -> int | None:
        known = list(found)
        return None if None in known else max(one for one in known if one is not None)

    def chance(ratio: Ratio, look: int) -> float:
        return float(decision_probability(ratio, look, planned(look), margin))

    needed = most(pairs_to_decide(ratio, planned, margin) for ratio in ratios)
    return Forecast(
        arm=arm,
        missed=0,
        more=None if needed is None else needed - shown,
        alone=most(pairs_to_decide(ratio, alone, margin, alone=True) for ratio in ratios),
        chances={look: min(chance(ratio, look) for ratio in ratios) for look in later},
    )


def _epochs(study: Mapping[str, Any]) -> int:
    """Of a network under the primary condition."""
    return int(study["confirm"]["max_epochs"] + study["criterion"]["sustain"] - 1)


def _seconds_per_epoch(state: State, curves: pd.DataFrame) -> float:
    """Of one network, on the whole machine: what the confirmation took, by the epochs of all of its networks."""
    epochs = curves.groupby(["condition", "phase", "arm", "against", "replicate"], observed=True)["epoch"].max()
    by_reading = epochs.groupby(level=[0, 1, 2, 3]).sum().to_dict()
    cells = state.selection.cells if state.selection else []
    trained = sum(int(by_reading.get(_first_reading(cell), 0)) for cell in cells)
    return state.seconds.get("confirm", 0.0) / trained if trained else 0.0


def _first_reading(cell: Cell) -> tuple[str, str, str, str]:
    reading = cell.readings[0]
    return reading.condition, reading.phase, cell.arm, reading.against


def _cells(state: State, arms: Sequence[str], reference: str) -> int:
    """Number of cells under the primary condition that more pairs of these arms and of the reference are trained in."""
    primary = next(iter(state.conditions))
    return sum(
        any(
            reading.condition == primary and (reading.against or cell.arm) in {*arms, reference}
            for reading in cell.readings
        )
        for cell in (state.selection.cells if state.selection else [])
    )


def find_replications(state: State, analysis: Analysis, confirmed: pd.DataFrame) -> Iterator[Replication]:
    """The pairs past the plan, each replication alone: one look, with intervals of its own family.

    Args:
        confirmed: all replicates under the primary condition.
    """
    first = analysis.looks[-1]
    for end in sorted({one.replicates for one in state.extensions if one.replicates is not None}):
        here = (confirmed["replicate"] >= first) & (confirmed["replicate"] < end)
        rows = confirmed[here].assign(replicate=confirmed["replicate"][here] - first)
        alone = analysis.on(end - first, looks=[end - first], finished=state.phase == "finished")
        pair, own = (alone.compare_all(rows[rows["phase"] == phase]) for phase in ("pair", "own_best"))
        yield Replication(first=first, pairs=end - first, comparisons=pair, own_best=own, claims=claims_of(pair, own))
        first = end


def claims_of(pairs: Sequence[Comparison], own_best: Sequence[Comparison]) -> dict[str, Verdict | None]:
    """arm -> what both comparisons say; None until both have a verdict."""
    own = {c.arm: c.verdict for c in own_best}
    return {c.arm: claim(c.verdict, verdict) if c.verdict and (verdict := own.get(c.arm)) else None for c in pairs}
