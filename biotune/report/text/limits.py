"""What limits an answer: everything in the results that a reader must know before believing it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from biotune.report import formatting
from biotune.report.formatting import count, percent, several
from biotune.report.results.summary import Summary
from biotune.report.text.answer import control_sentence
from biotune.report.text.settings import chosen_settings
from biotune.results.documents import State
from biotune.statistics import detectable_ratio

LARGEST_NORM_RATIO = 1.3
"""Up to this factor, either way, arms at one spectral radius count as having initial weights of one size."""

_ONE_RADIUS = 1e-3
"""Spectral radii that differ by no more than this share are one: they are scaled in float64 and kept in float32."""


@dataclass(frozen=True)
class Limit:
    """Something that a reader must know before believing the answer; a banner is shown above it, a note below."""

    kind: Literal["banner", "note"]
    text: str


def find_limits(summary: Summary, study: Mapping[str, Any], state: State, trials: pd.DataFrame) -> list[Limit]:
    """The limits of a study, banners first.

    Args:
        study: content of study.yaml. state: of the study. trials: the table of search trials.
    """
    banners = [Limit("banner", text) for text in _warnings(summary)]
    notes = [
        *_same(state),
        *_replicates(summary),
        *_power(summary),
        *_norms(summary),
        *chosen_settings(summary, study, state.selection),
        *_trials(trials),
        *_set_aside(state),
        *_reading(summary),
        *_working_tree(summary.environment),
    ]
    return banners + [Limit("note", text) for text in notes]


def _warnings(summary: Summary) -> list[str]:
    quick = "A first look (--quick), with few trials and replicates: no result, whatever the verdicts say."
    return [*_unfinished(summary), *([quick] if summary.quick else []), *_substitutes(summary), *_control(summary)]


def _same(state: State) -> list[str]:
    """Arms that cannot differ from the reference under the primary condition."""
    return [
        f"{arm}: its networks are those of the reference, by construction; that its ratio is 1 says nothing."
        for arm in state.primary.same
    ]


def _unfinished(summary: Summary) -> list[str]:
    if summary.finished:
        return []
    if summary.looks.taken:
        return [
            "Unfinished: an extension is under way. The report shows the last look that was taken, at "
            f"{summary.looks.shown} pairs."
        ]
    reached = {"search": "the search", "confirm": "the confirmation"}.get(summary.phase, summary.phase)
    return [f"Unfinished: the study had reached {reached} when this was written. The report shows the results so far."]


def _substitutes(summary: Summary) -> list[str]:
    replaced: dict[tuple[str, str, str], list[str]] = {}
    for arm, used in summary.connectomes.items():
        if used["substituted"]:
            key = (used["asked"], used["name"], used["reason"] or "no reason was recorded")
            replaced.setdefault(key, []).append(arm)
    return [
        f"Not the connectome asked for: {used} stands in for {asked} in {several(arms)}, because {asked} could not be "
        f"obtained ({reason.rstrip('.')}). Nothing here is a finding about {asked}."
        for (asked, used, reason), arms in replaced.items()
    ]


def _control(summary: Summary) -> list[str]:
    return [control_sentence(summary.control)] if summary.control and summary.control.found is False else []


def _reading(summary: Summary) -> list[str]:
    """What was left out, or added, when a connectome was read."""
    texts = [f"{used['name']}: {note}." for used in summary.connectomes.values() for note in used["notes"]]
    return list(dict.fromkeys(texts))


def _replicates(summary: Summary) -> list[str]:
    texts = []
    told: list[tuple[str, dict[str, Any]]] = []
    for result in sorted(summary.results, key=lambda result: result.phase != "own_best"):
        if (result.arm, result.setting) in told:
            continue  # the same networks
        told.append((result.arm, result.setting))
        pair = f"its pair with {result.against}" if result.against else "its pair"
        where = "at its own best setting" if result.phase == "own_best" else f"at the setting of {pair}"
        if result.replicates < result.planned:
            counted = "; the missing ones count as not converged" if summary.finished else ""
            texts.append(
                f"{result.arm}: {result.replicates} of {result.planned} replicates confirmed {where}{counted}."
            )
        if result.diverged:
            texts.append(
                f"{result.arm}: {count(result.diverged, 'confirmed replicate')} diverged {where} (a loss that is not "
                "finite) and counted as not converged."
            )
        censored = result.replicates - result.converged.count
        if 0 < censored < result.replicates:
            texts.append(
                f"{result.arm}: {count(censored, 'confirmed replicate')} did not meet the criterion {where} within "
                "the budget and counted with the whole budget, so the arm's updates are underestimated."
            )
        if result.at_once:
            texts.append(
                f"{result.arm}: {count(result.at_once, 'replicate')} met the criterion {where} before the first "
                "update was done and counted as one update; the criterion may be too easy."
            )
    for comparison in summary.comparisons:
        ratio = comparison.ratio
        if ratio and ratio.pairs > 1 and ratio.spread < 1e-12 and comparison.comparable:
            texts.append(
                f"{comparison.arm}: every pair has the same ratio, so its interval has no width; are its networks the "
                "same as the reference's?"
            )
    return texts


def _power(summary: Summary) -> list[str]:
    texts = []
    for c in summary.comparisons:
        if c.ratio is None or c.detectable is None or c.equivalence_power is None or not c.comparable:
            continue
        beyond = formatting.ratio(c.detectable)
        either = formatting.ratio(detectable_ratio(c.ratio.spread, c.ratio.pairs, c.ratio.confidence, margin=0))
        texts.append(
            f"{c.arm}: with a power of 80 %, {c.ratio.pairs} pairs with this spread show that an arm of true ratio "
            f"{either} is slower, and of {beyond} that it is slower by more than the margin (faster: 1 divided by "
            f"these); they show equal arms as practically equivalent {percent(c.equivalence_power)} of the time."
        )
    if any(c.ratio and c.ratio.pairs == 1 for c in summary.comparisons):
        texts.append("One pair of replicates gives no interval and so no verdict; raise confirm.replicates.")
    return texts


def _norms(summary: Summary) -> list[str]:
    """Arms whose initial weights are of another size than the reference's, though the spectral radius is the same."""

    def means(measure: str) -> dict[str, float]:
        return {arm: mean for arm, (_, mean, _) in summary.measures.get(measure, {}).items()}

    norms, radii, reference = means("frobenius_norm"), means("spectral_radius"), summary.reference
    texts = []
    for arm in norms:
        if not norms.get(reference) or not math.isclose(radii[arm], radii[reference], rel_tol=_ONE_RADIUS):
            continue
        if max(norms[arm], norms[reference]) > LARGEST_NORM_RATIO * min(norms[arm], norms[reference]):
            texts.append(
                f"{arm}: at the same spectral radius as {reference}, {formatting.number(radii[arm])}, its initial "
                f"recurrent matrix has {formatting.ratio(norms[arm] / norms[reference])} times the Frobenius norm "
                f"({formatting.number(norms[arm])} against {formatting.number(norms[reference])}), so a difference may "
                "be one of the weights' size; set topology.frobenius_norm to see whether it stays at one norm."
            )
    return texts


def _trials(trials: pd.DataFrame) -> list[str]:
    texts = []
    for status, what in (("diverged", "diverged"), ("failed", "failed")):
        rows = trials[trials["status"] == status]
        if len(rows):
            by_arm = ", ".join(f"{arm} {n}" for arm, n in rows["arm"].value_counts(sort=False).items())
            errors = [line for text in rows["error"] if text for line in str(text).splitlines()[-1:]]
            first = f" First error: {errors[0]}" if errors else ""
            texts.append(f"{len(rows)} of {count(len(trials), 'search trial')} {what} ({by_arm}).{first}")
    return texts


def _set_aside(state: State) -> list[str]:
    damaged = list(state.set_aside)
    if not damaged:
        return []
    return [
        f"{count(len(damaged), 'checkpoint')} could not be read and {'was' if len(damaged) == 1 else 'were'} set aside "
        f"({several(damaged)}); the networks were trained again from the start, which gives the same result."
    ]


def _working_tree(environment: Mapping[str, Any]) -> list[str]:
    git = environment["git"]
    return ["The code had changes that are not in the git commit."] if git and git["dirty"] else []
