"""The positive control: the reference arm, changed on purpose, and whether the study detects it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from biotune.report.results.arm_results import ArmResult, Comparison, Control
from biotune.report.results.comparisons import Analysis, rows_of_pair
from biotune.results import POSITIVE_CONTROL
from biotune.statistics import LEAST_SHARE_CONVERGED


def find_control(study: Mapping[str, Any], analysis: Analysis, pairs: pd.DataFrame, areas: pd.Series) -> Control | None:
    """The result of the positive control; None if the study has none, or before any of it is confirmed.

    The control is found if its verdict has a direction and is not *slightly faster* or *slightly slower*: a study in
    which a network changed on purpose is practically equivalent has too wide a margin. Its interval has 95 %, since it
    is not one of the arms over which confidence is adjusted. It is also found if it fails to converge: the reference
    converges often enough for a verdict, and the Wilson interval of the control's share that converged lies wholly
    below the reference's.

    Args:
        study: content of study.yaml.
        analysis: what the comparisons of the study's arms share.
        pairs: the confirmed replicates at the setting of each pair, the control with the reference among them.
        areas: their mean loss over training.
    """
    kind = study.get("positive_control")
    pair = rows_of_pair(pairs, POSITIVE_CONTROL, analysis.reference)
    rows = {arm: pair[pair["arm"] == arm] for arm in (POSITIVE_CONTROL, analysis.reference)}
    if kind is None or any(table.empty for table in rows.values()):
        return None
    pairs_of = dict.fromkeys((analysis.reference, POSITIVE_CONTROL), analysis.looks[0])
    looks = analysis.looks[:1]  # it has no part in later ones
    alone = dataclasses.replace(analysis, arms={arm: {} for arm in pairs_of}, pairs=pairs_of, looks=looks)
    comparison = alone.compare(pair, POSITIVE_CONTROL)
    control, reference = (alone.result(table, arm, "pair", areas) for arm, table in rows.items())
    found = _found(comparison, control, reference)
    return Control(kind, comparison, control, reference, found)


def _found(comparison: Comparison, control: ArmResult, reference: ArmResult) -> bool | None:
    if comparison.verdict is None:
        return None
    fails = control.converged.high < reference.converged.low
    if fails and reference.converged.value >= LEAST_SHARE_CONVERGED:
        return True
    return comparison.verdict.direction is not None and not comparison.verdict.slight
