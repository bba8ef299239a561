"""The positive control: an arm that is made worse on purpose, and whether the study could tell."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from biotune.report.results.comparisons import Analysis
from biotune.report.results.summary import ArmResult, Comparison, Control
from biotune.results import POSITIVE_CONTROL
from biotune.statistics import LEAST_SHARE_CONVERGED


def find_control(
    study: Mapping[str, Any], analysis: Analysis, shared: pd.DataFrame, areas: pd.Series
) -> Control | None:
    """How the positive control came out; None of a study without one, and before any of it is confirmed.

    It is found if its verdict is *faster* or *slower*, at 95 % (it is no comparison of the question, and takes no
    part in its Bonferroni family), or if it fails: the reference converges often enough for a verdict, and the
    Wilson interval of the control's share lies wholly below the reference's.

    Args:
        study: content of study.yaml.
        analysis: of the question's own arms.
        shared: the confirmed replicates at the shared setting.
        areas: their loss over training.
    """
    kind = study.get("positive_control")
    rows = {arm: shared[shared["arm"] == arm] for arm in (POSITIVE_CONTROL, analysis.reference)}
    if kind is None or any(table.empty for table in rows.values()):
        return None
    alone = dataclasses.replace(analysis, arms={analysis.reference: {}, POSITIVE_CONTROL: {}})
    comparison = alone.compare(shared, POSITIVE_CONTROL)
    control, reference = (alone.result(table, arm, "shared", areas) for arm, table in rows.items())
    found = _found(comparison, control, reference)
    return Control(kind, comparison, control, reference, found)


def _found(comparison: Comparison, control: ArmResult, reference: ArmResult) -> bool | None:
    if comparison.verdict is None:
        return None
    if comparison.verdict.name == "not comparable":
        fails = control.converged.high < reference.converged.low
        return fails and reference.converged.value >= LEAST_SHARE_CONVERGED
    return comparison.verdict.name in ("faster", "slower")
