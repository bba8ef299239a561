"""Several studies side by side: verdicts, which differences remain when gain is treated otherwise, means over tasks."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biotune import statistics
from biotune.report import formatting
from biotune.report.formatting import several
from biotune.report.inputs import Inputs
from biotune.report.results.arm_results import Comparison
from biotune.report.results.comparisons import log_ratios_of
from biotune.report.results.summary import Summary
from biotune.results import GAIN_KEYS
from biotune.statistics import LEAST_SHARE_CONVERGED, Ratio

AS_IT_COMES, SET_EQUAL, TUNED = "as it comes", "set equal", "tuned per arm"
WAYS = (AS_IT_COMES, SET_EQUAL, TUNED)
"""Ways of treating the spectral radius: a difference is credited to the wiring only if its sign is the same in all."""

NORM_EQUAL, NORM_TUNED = "norm set equal", "norm tuned per arm"
NORM_WAYS = (NORM_EQUAL, NORM_TUNED)
"""Ways of treating the Frobenius norm in place of the radius: no study need have them; if one has, they count too."""


@dataclass(frozen=True)
class Gain:
    """One arm's difference from the reference under several ways of treating the spectral radius or the Frobenius norm.

    Attributes:
        ways: way -> the comparison it is taken from: at the setting of the pair or, if radius or norm is tuned per
            arm, at each arm's own best setting.
        signs: way -> faster or slower, of whatever size; equivalent; open if no direction is shown, none if there is no
            valid ratio.
        survives: whether the sign is the same in all ways, the three of `WAYS` among them; None if that can't be told,
            or if there is no difference in any of them.
        within: labels of the studies that are compared, if there are several such sets of studies.
    """

    arm: str
    reference: str
    ways: dict[str, Comparison]
    signs: dict[str, str]
    survives: bool | None
    within: list[str]

    @property
    def missing(self) -> list[str]:
        """The ways that are asked for and that none of the studies has."""
        return [way for way in WAYS if not any(name.startswith(way) for name in self.ways)]

    @property
    def within_the_margin(self) -> bool:
        """Whether it is practically none in every way, and none at all in one of them."""
        verdicts = [comparison.verdict for comparison in self.ways.values()]
        slight = all(verdict and (verdict.name == "equivalent" or verdict.slight) for verdict in verdicts)
        return slight and "equivalent" in self.signs.values()

    @property
    def with_norm(self) -> bool:
        """Whether one of the ways is of treating the Frobenius norm."""
        return any(name.startswith(NORM_WAYS) for name in self.ways)


@dataclass(frozen=True)
class OverTasks:
    """One arm's ratio to the reference, as the interquartile mean over tasks.

    Attributes:
        studies: one per task. ratio: None if there is none; `reason` says why.
    """

    arm: str
    reference: str
    studies: list[str]
    ratio: Ratio | None
    reason: str


@dataclass(frozen=True)
class Combined:
    """Studies side by side, in numbers.

    Attributes:
        studies: label -> summary, in the order given.
        arms: all arms that are compared in any of them.
        page: path of the page.
    """

    studies: Mapping[str, Summary]
    arms: list[str]
    gain: list[Gain]
    over_tasks: list[OverTasks]
    page: Path

    def comparison(self, label: str, arm: str) -> Comparison | None:
        """The comparison of an arm in a study, at the setting of the pair; None if the study has none."""
        return next((c for c in self.studies[label].comparisons if c.arm == arm), None)

    def at_own_best(self, label: str, arm: str) -> Comparison | None:
        """The same with each arm at its own best setting."""
        return next((c for c in self.studies[label].own_best if c.arm == arm), None)

    @property
    def ways(self) -> list[str]:
        """All ways of treating spectral radius and norm in which any arm was compared."""
        return list(dict.fromkeys(way for found in self.gain for way in found.ways))

    def link(self, label: str) -> str | None:
        """The path of a study's own page, relative to this one; None if it has none."""
        page = self.studies[label].page
        return Path(os.path.relpath(page, self.page.parent)).as_posix() if page.is_file() else None


@dataclass(frozen=True)
class _Study:
    label: str
    content: Mapping[str, Any]
    summary: Summary
    convergence: pd.DataFrame


def combine(inputs: Mapping[str, Inputs], summaries: Mapping[str, Summary], page: Path) -> Combined:
    """Sets studies side by side.

    Args:
        inputs, summaries: by label. page: path that the page will have.
    """
    studies = [
        _Study(label, inputs[label].study, summary, inputs[label].tables.convergence)
        for label, summary in summaries.items()
    ]
    arms = list(dict.fromkeys(c.arm for study in studies for c in study.summary.comparisons))
    return Combined(summaries, arms, _gain(studies), _over_tasks(studies), page)


def is_tuned(way: str) -> bool:
    """Whether what a way treats is tuned per arm, so that arms are compared at their own best settings."""
    return way.startswith((TUNED, NORM_TUNED))


def _way(study: _Study) -> str:
    topology, tune = study.content["topology"], study.content["tune"]
    if "frobenius_norm" in tune:
        return NORM_TUNED
    if "spectral_radius" in tune:
        return TUNED
    if topology.get("frobenius_norm") is not None:
        return NORM_EQUAL
    return AS_IT_COMES if topology.get("spectral_radius") is None else SET_EQUAL


def _but_for_gain(study: _Study) -> str:
    """All that must be equal for two studies to differ only in how they treat spectral radius and Frobenius norm."""
    same = {key: study.content.get(key) for key in ("task", "connectome", "network", "arms", "reference_arm")}
    same |= {key: study.content.get(key) for key in ("criterion", "equivalence_margin")}
    for section in ("topology", "tune"):
        same[section] = {key: value for key, value in study.content[section].items() if key not in GAIN_KEYS}
    return json.dumps(same, sort_keys=True)


def _gain(studies: Sequence[_Study]) -> list[Gain]:
    groups: dict[str, list[_Study]] = {}
    for study in studies:
        arms = study.content["arms"].values()
        if not any(key in ((arm or {}).get("topology") or {}) for arm in arms for key in GAIN_KEYS):
            groups.setdefault(_but_for_gain(study), []).append(study)
    sets = [group for group in groups.values() if len({_way(study) for study in group}) > 1]
    found = []
    for group in sets:
        within = [study.label for study in group] if len(sets) > 1 else []
        for arm in group[0].summary.arms:
            if arm != group[0].summary.reference:
                found.append(_gain_of(group, arm, within))
    return found


def _gain_of(group: Sequence[_Study], arm: str, within: list[str]) -> Gain:
    reference = group[0].summary.reference
    ways: dict[str, Comparison] = {}
    for study in sorted(group, key=lambda study: (*WAYS, *NORM_WAYS).index(_way(study))):
        way, name = _way(study), _way(study)
        read = study.summary.own_best if is_tuned(way) else study.summary.comparisons
        if way in (SET_EQUAL, NORM_EQUAL):
            key = "spectral_radius" if way == SET_EQUAL else "frobenius_norm"
            name = f"{way} to {formatting.number(study.content['topology'][key])}"
        if name in ways:  # two studies treat it in the same way: add the label
            name = f"{name} ({study.label})"
        if (comparison := next((c for c in read if c.arm == arm), None)) is not None:
            ways[name] = comparison
    signs = {name: _sign(c) for name, c in ways.items()}
    found = set(signs.values())
    gain = Gain(arm, reference, ways, signs, None, within)
    if gain.within_the_margin:
        return gain
    if len(found & {"faster", "slower", "equivalent"}) > 1:
        return replace(gain, survives=False)
    return replace(gain, survives=True) if found in ({"faster"}, {"slower"}) and not gain.missing else gain


def _sign(comparison: Comparison) -> str:
    """The verdict's direction; equivalent if that is the verdict."""
    verdict = comparison.verdict
    if comparison.ratio is None or verdict is None or not comparison.comparable:
        return "none"
    return verdict.direction or ("equivalent" if verdict.name == "equivalent" else "open")


def _over_tasks(studies: Sequence[_Study]) -> list[OverTasks]:
    groups: dict[str, list[_Study]] = {}
    for study in studies:
        same = [study.content.get(key) for key in ("connectome", "topology", "network", "arms", "reference_arm")]
        groups.setdefault(json.dumps(same, sort_keys=True), []).append(study)
    found = []
    for group in groups.values():
        tasks = [json.dumps(_task_itself(study), sort_keys=True) for study in group]
        if len(set(tasks)) > 1:
            arms = [arm for arm in group[0].summary.arms if arm != group[0].summary.reference]
            found += [_over_tasks_of(group, arm) for arm in arms]
    return found


def _mostly_converged(study: _Study, arm: str) -> bool:
    """Whether too few replicates of either arm are censored for a mean over tasks, which can be no bound."""
    results = [study.summary.result(name) for name in (arm, study.summary.reference)]
    return all(result and result.converged.value >= LEAST_SHARE_CONVERGED for result in results)


def _task_itself(study: _Study) -> dict[str, Any]:
    """The task's name and options, without its amount of data."""
    return {key: value for key, value in study.content["task"].items() if key not in ("trials", "train_share", "batch")}


def _over_tasks_of(group: Sequence[_Study], arm: str) -> OverTasks:
    reference, labels = group[0].summary.reference, [study.label for study in group]
    by_task: dict[str, list[str]] = {}
    for study in group:
        by_task.setdefault(json.dumps(_task_itself(study), sort_keys=True), []).append(study.label)
    for same in by_task.values():
        if len(same) > 1:
            return OverTasks(arm, reference, labels, None, f"{several(same)} have the same task; name one of them")
    comparisons = [next((c for c in study.summary.comparisons if c.arm == arm), None) for study in group]
    short = [
        label
        for study, label, c in zip(group, labels, comparisons, strict=True)
        if c is None or c.ratio is None or c.verdict is None or not _mostly_converged(study, arm)
    ]
    if short:
        return OverTasks(
            arm, reference, labels, None, f"not finished, or too few replicates met the criterion, in {several(short)}"
        )
    pairs = min(c.look for c in comparisons if c)  # a study may have gone on, or have a replication
    plans = {tuple(study.summary.looks.planned) for study in group}
    if len(plans) > 1:  # no plan that they share: the pairs that all had before anything was seen
        pairs = min(pairs, *(plan[0] for plan in plans))
    ratios = [log_ratios_of(study.convergence, "pair", arm, reference) for study in group]
    series = [one[one.index < pairs] for one in ratios]
    both = pd.concat(series, axis=1, join="inner")  # replicates that every task has
    looks = [pairs] if len(plans) > 1 else group[0].summary.looks.planned
    confidence = statistics.look_confidence(looks, pairs, len(group[0].summary.arms) - 1)
    ratio = statistics.pooled_ratio(both.to_numpy(dtype=np.float64).T, confidence)
    return OverTasks(arm, reference, labels, ratio, "")
