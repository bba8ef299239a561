"""Which property of the wiring is associated with speed: doses of a null first, then the measures."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from biotune import statistics
from biotune.report.formatting import several
from biotune.report.results.arm_results import Association, Trend
from biotune.report.results.comparisons import Analysis, by_arm, is_null
from biotune.statistics import LEAST_DOSES, dose_trend, rank_correlation, rank_correlation_within


def find_trends(analysis: Analysis, confirmed: pd.DataFrame, topologies: pd.DataFrame) -> list[Trend]:
    """The trend over doses of each null that arms apply to three or more shares of the edges, 0 among them.

    Args:
        confirmed: the confirmed replicates, each arm at its own best. topologies: what their nulls changed.
    """
    groups: dict[str, dict[str, float]] = {}
    for arm, content in analysis.arms.items():
        if is_null(content):
            groups.setdefault(_but_for_the_dose(content), {})[arm] = float(content["null"].get("fraction", 1.0))
    dosed = []
    for key, fractions in groups.items():
        null, elsewise = json.loads(key)
        untouched = {
            arm: 0.0
            for arm, content in analysis.arms.items()
            if not is_null(content) and _but_for_the_dose(content) == _key(None, elsewise)
        }
        fractions = dict(sorted({**untouched, **fractions}.items(), key=lambda item: item[1]))
        if len(set(fractions.values())) >= LEAST_DOSES:
            dosed.append((f"{null['name'].replace('_', ' ')} null of the {null.get('level', 'region')}s", fractions))
    confidence = statistics.look_confidence(analysis.looks, max(analysis.pairs.values()), len(dosed))
    return [_trend(confirmed, topologies, null, fractions, confidence) for null, fractions in dosed]


def _key(null: Mapping[str, Any] | None, elsewise: Mapping[str, Any]) -> str:
    return json.dumps([null, elsewise], sort_keys=True)


def _but_for_the_dose(arm: Mapping[str, Any] | None) -> str:
    content = dict(arm or {})
    null = content.pop("null", None)
    elsewise = {section: keys for section, keys in content.items() if keys}
    return _key({key: value for key, value in null.items() if key != "fraction"} if null else None, elsewise)


def _trend(
    confirmed: pd.DataFrame, topologies: pd.DataFrame, null: str, fractions: dict[str, float], confidence: float
) -> Trend:
    rows = {arm: table.set_index("replicate") for arm, table in by_arm(confirmed, fractions)}
    doses = _entries_changed(topologies, fractions)
    short = [
        arm for arm in fractions if arm not in rows or rows[arm]["converged"].mean() < statistics.LEAST_SHARE_CONVERGED
    ]
    if short:
        percent = f"{100 * statistics.LEAST_SHARE_CONVERGED:.0f} %"
        reason = f"fewer than {percent} of the replicates of {several(short)} met the criterion"
        return Trend(null, fractions, doses, None, reason)
    replicates = sorted(set.intersection(*(set(table.index) for table in rows.values())))
    if len(replicates) < 2:
        return Trend(null, fractions, doses, None, "fewer than two replicates have all doses")
    if len(set(doses.values())) < 2:
        known = (
            "the null changed as much in all arms" if doses else "the results don't have the share of entries changed"
        )
        return Trend(null, fractions, doses, None, known)
    updates = np.column_stack([rows[arm].loc[replicates, "updates"] for arm in fractions])
    slope = dose_trend(np.array(list(doses.values())), np.log(np.maximum(updates, 1)), confidence)
    return Trend(null, fractions, doses, slope, "")


def _entries_changed(topologies: pd.DataFrame, arms: Iterable[str]) -> dict[str, float]:
    """The mean share over each arm's replicates; empty if it isn't known of all arms."""
    if "entries_changed" not in topologies:
        return {}
    means = {arm: float(rows["entries_changed"].mean()) for arm, rows in by_arm(topologies, arms)}
    known = [arm for arm in arms if math.isfinite(means.get(arm, math.nan))]
    return means if len(known) == len(list(arms)) else {}


def find_associations(arms: Iterable[str], confirmed: pd.DataFrame, topologies: pd.DataFrame) -> list[Association]:
    """Rank correlations with updates to criterion of every measure that varies, the strongest within arms first.

    Args:
        confirmed: the confirmed replicates, each arm at its own best. topologies: their measures.
    """
    if confirmed.empty or topologies.empty:
        return []
    numbers = {arm: number for number, arm in enumerate(arms)}
    known = confirmed[confirmed["arm"].isin(list(numbers))]
    both = known[["arm", "replicate", "updates"]].merge(topologies, on=["arm", "replicate"])
    found = []
    for measure in measure_names(topologies):
        rows = both[both[measure].notna()]
        if rows.empty:
            continue
        both_ranked = rows[measure].to_numpy(dtype=np.float64), rows["updates"].to_numpy(dtype=np.float64)
        groups = rows["arm"].map(numbers).to_numpy(dtype=np.int64), rows["replicate"].to_numpy(dtype=np.int64)
        across = rank_correlation(*both_ranked)
        within = rank_correlation_within(*both_ranked, *groups, statistics.FAMILY_CONFIDENCE)
        if across is not None:
            found.append(Association(measure, len(rows), rows["arm"].nunique(), within, across))
    return sorted(found, key=lambda a: (a.within is None, -abs(a.within.value) if a.within else -abs(a.across)))


def measure_names(topologies: pd.DataFrame) -> list[str]:
    """The columns of `topologies.parquet` that are measures."""
    numbers = topologies.select_dtypes("number").columns
    return [name for name in numbers if name != "replicate"]


def measure_ranges(topologies: pd.DataFrame, arms: Iterable[str]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """measure -> arm -> minimum, mean and maximum over its replicates."""
    return {
        name: {
            arm: (float(rows[name].min()), float(rows[name].mean()), float(rows[name].max()))
            for arm, rows in by_arm(topologies, arms)
        }
        for name in (measure_names(topologies) if len(topologies) else [])
    }
