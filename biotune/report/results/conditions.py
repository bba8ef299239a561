"""Every arm compared with the reference under every condition, and what holds over all of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from biotune import statistics
from biotune.report.results.comparisons import Analysis, log_ratios_of, rows_of_pair
from biotune.report.results.condition_results import Axis, BestGain, Conditions, GainPoint, Over, Specification
from biotune.results.documents import State
from biotune.seeds import stream

SIDES = {"faster": -1, "slower": 1}
"""Direction -> the side of 0 that the mean log ratio then lies on."""

Differences = Mapping[tuple[str, str], pd.Series]
"""(arm, condition) -> log ratios to the reference, by replicate."""


def find_conditions(
    study: Mapping[str, Any], state: State, analysis: Analysis, confirmed: pd.DataFrame
) -> Conditions | None:
    """What was found under the conditions of a study; None if it has the primary alone, or nothing is confirmed.

    Args:
        study: content of study.yaml. state: of state.json. analysis: of the study.
        confirmed: under all conditions.
    """
    if len(state.conditions) < 2 or len(analysis.arms) < 2 or confirmed.empty:
        return None
    compared = confirmed[confirmed["arm"].isin(analysis.arms)]
    pairs, searched = (compared[compared["phase"] == phase] for phase in ("pair", "gain_search"))
    primary = next(iter(state.conditions))
    under = {  # a condition that comes to the primary's plan shares its networks, of which looks may add some
        name: pairs[(pairs["condition"] == name) & (pairs["replicate"] < used.replicates)]
        if name != primary
        else pairs[pairs["condition"] == name]
        for name, used in state.conditions.items()
    }
    conditions = {**study["conditions"], **state.added_conditions}
    differences = {
        (arm, name): log_ratios_of(under[name], "pair", arm, analysis.reference)
        for arm in analysis.arms
        if arm != analysis.reference
        for name in conditions
    }
    together = _together(differences, analysis)
    specs = [
        _specification(arm, name, conditions, state, analysis, under[name], differences, together.get((arm, name)))
        for arm, name in differences
    ]
    return Conditions(
        specifications=specs,
        axes=list(_axes(specs)),
        over=list(_over(specs, differences, analysis)),
        gain=list(_gain_points(state, analysis, under)),
        best_gain=_best_gains(state, analysis, under, searched),
    )


def _together(differences: Differences, analysis: Analysis) -> dict[tuple[str, str], statistics.Ratio | None]:
    """The ratios with intervals that hold together over arms × conditions, and over the planned looks."""
    table = pd.DataFrame({key: series for key, series in differences.items() if len(series)}).T
    if table.empty:
        return {}
    confidence = statistics.look_confidence(analysis.looks, max(analysis.pairs.values()))
    ratios = statistics.simultaneous_ratios(table.to_numpy(), stream(analysis.seed, "conditions"), confidence)
    return dict(zip(table.index, ratios, strict=True))


def _specification(
    arm: str,
    name: str,
    conditions: Mapping[str, Any],
    state: State,
    analysis: Analysis,
    rows: pd.DataFrame,
    differences: Differences,
    together: statistics.Ratio | None,
) -> Specification:
    used, changes = state.conditions[name], dict(_changes(conditions[name] or {}))
    # a condition has pairs of the first look alone
    own = analysis.on(used.replicates, finished=state.phase == "finished") if changes else analysis
    rows = rows_of_pair(rows, arm, analysis.reference)
    rows = rows[rows["replicate"] < own.pairs[arm]]
    comparison = to_primary = None
    if arm in used.same:
        status = "not applicable"
    elif not len(differences[arm, name]):
        status = "not run" if own.finished else "to come"
    else:
        comparison = own.compare(rows, arm, bootstrap=False)
        status = "compared" if comparison.verdict else "to come"
        shift = (differences[arm, name] - differences[arm, next(iter(state.conditions))]).dropna()
        if changes and len(shift) > 1:
            to_primary = statistics.geometric_ratio(shift.to_numpy(), own.confidence(arm))
    return Specification(
        arm=arm,
        condition=name,
        axis=", ".join(sorted(changes)),
        changes=changes,
        added=name in state.added_conditions,
        status=status,
        comparison=comparison,
        together=together if comparison else None,
        to_primary=to_primary,
        updates={one: _geometric_mean(rows, one) for one in (arm, analysis.reference)},
        met={one: _met(rows, one, own.pairs[arm]) for one in (arm, analysis.reference)},
    )


def _changes(condition: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """`section.key` and value of what a condition sets."""
    for section in ("task", "topology", "network"):
        for key, value in (condition.get(section) or {}).items():
            yield f"{section}.{key}", value


def _axes(specs: Sequence[Specification]) -> Iterator[Axis]:
    """Of each arm and axis, whether what the primary condition shows holds along it."""
    for arm in dict.fromkeys(spec.arm for spec in specs):
        primary, *others = (spec for spec in specs if spec.arm == arm)
        for axis in dict.fromkeys(spec.axis for spec in others):
            along = [spec for spec in others if spec.axis == axis and spec.status != "not applicable"]
            directions = {spec.direction for spec in along}
            if not along:
                word = "not applicable"
            elif any(spec.status == "to come" for spec in (primary, *along)):
                word = "to come"
            elif primary.direction and directions == {primary.direction}:
                word = "holds"
            elif primary.direction and directions - {primary.direction, None}:
                word = "reverses"
            else:
                word = "not shown"
            yield Axis(arm, axis, word, [spec.condition for spec in along])


def _over(specs: Sequence[Specification], differences: Differences, analysis: Analysis) -> Iterator[Over]:
    """Of each arm that has been compared under all its conditions, what holds over them."""
    for arm in dict.fromkeys(spec.arm for spec in specs):
        own = [spec for spec in specs if spec.arm == arm and spec.status != "not applicable"]
        if any(spec.status == "to come" for spec in own):
            continue
        directions, primary = {spec.direction for spec in own}, own[0].direction
        # each p at the level of its own interval: planned looks are taken at the primary condition alone
        levels = {
            spec.condition: 1 - spec.comparison.ratio.confidence
            for spec in own
            if spec.counts and spec.comparison and spec.comparison.ratio
        }
        alpha = max(levels.values(), default=1 - analysis.confidence(arm))
        at_least = {}
        for direction, side in SIDES.items():
            p = [
                min(statistics.one_sided_p(differences[arm, name].to_numpy(), side) * alpha / level, 1.0)
                for name, level in levels.items()
            ]
            at_least[direction] = statistics.least_number(p + [1.0] * (len(own) - len(p)), alpha / 2)
        yield Over(
            arm=arm,
            conditions=len(own),
            everywhere=next(iter(directions)) if len(directions) == 1 else None,
            at_least=at_least,
            exceptions=[
                spec.condition
                for spec in own[1:]
                if spec.direction not in (None, primary) and spec.together and _leaves_out_1(spec.together)
            ],
        )


def _leaves_out_1(ratio: statistics.Ratio) -> bool:
    return ratio.high < 1 or ratio.low > 1


def _gain_points(state: State, analysis: Analysis, under: Mapping[str, pd.DataFrame]) -> Iterator[GainPoint]:
    """Each arm at each scale and learning rate of the sweep, as far as it was confirmed; the reference at those of each
    pair."""
    reference = analysis.reference
    others = [arm for arm in analysis.arms if arm != reference]
    for name, used in state.conditions.items():
        if used.gain is None:
            continue
        seen: set[tuple[str, float, tuple[int, int]]] = set()
        for arm, against in [*((reference, other) for other in others), *((other, "") for other in others)]:
            rows = rows_of_pair(under[name], against or arm, reference)
            updates, met = _geometric_mean(rows, arm), _met(rows, arm, used.replicates)
            if updates is None or (arm, updates, met) in seen:
                continue
            seen.add((arm, updates, met))  # pairs may have one setting, and with it the same networks
            compared = arm != reference and arm not in used.same
            yield GainPoint(
                arm=arm,
                against=against,
                scale=used.gain.scale,
                learning_rate=used.gain.learning_rate,
                updates=updates,
                met=met,
                comparison=analysis.on(used.replicates).compare(rows, arm, bootstrap=False) if compared else None,
            )


def _best_gains(
    state: State, analysis: Analysis, under: Mapping[str, pd.DataFrame], searched: pd.DataFrame
) -> list[BestGain]:
    """Each arm at its own best point of the sweep, chosen from what was `searched`, and compared with the reference at
    that one's; empty while some is missing."""
    points = {name: used for name, used in state.conditions.items() if used.gain}
    scales = [used.gain.scale for used in points.values() if used.gain]
    reference, found = analysis.reference, []
    for arm in analysis.arms:
        trained = [name for name, used in points.items() if arm not in used.same]
        if arm == reference or not trained:
            continue
        chosen: dict[str, str] = {}
        for one in (arm, reference):
            pair = rows_of_pair(searched, arm, reference)
            means = pair[pair["arm"] == one].groupby("condition", observed=True)["updates"].mean()
            if any(name not in means for name in trained):
                return []
            chosen[one] = min(trained, key=lambda name: means[name])
        own = [rows_of_pair(under[name], arm, reference).query("arm == @one") for one, name in chosen.items()]
        if any(rows.empty for rows in own):
            return []
        planned = min(points[name].replicates for name in chosen.values())
        at, to = ((gain.scale, gain.learning_rate) for name in chosen.values() if (gain := points[name].gain))
        found.append(
            BestGain(
                arm=arm,
                at=at,
                reference=reference,
                reference_at=to,
                at_end=[one for one, gain in ((arm, at), (reference, to)) if gain[0] in (min(scales), max(scales))],
                comparison=analysis.on(planned).compare(pd.concat(own), arm, bootstrap=False),
            )
        )
    return found


def _geometric_mean(rows: pd.DataFrame, arm: str) -> float | None:
    updates = rows.loc[rows["arm"] == arm, "updates"].to_numpy(dtype=np.float64)
    return float(np.exp(np.mean(np.log(np.maximum(updates, 1))))) if len(updates) else None


def _met(rows: pd.DataFrame, arm: str, planned: int) -> tuple[int, int]:
    own = rows[rows["arm"] == arm]
    return int(own["converged"].sum()), max(planned, len(own))
