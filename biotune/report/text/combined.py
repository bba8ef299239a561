"""A report of several studies: their numbers side by side, and the words about them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biotune.report.formatting import several
from biotune.report.results.combined import Combined, Gain
from biotune.report.results.summary import plain
from biotune.report.text.answer import DEPENDS, claim_name, in_short, interval
from biotune.report.text.report import Report

_OF_A_STUDY = (
    "name", "question", "answer", "finished", "task", "reference", "arms", "margin", "confidence", "criterion",
    "budget", "results", "comparisons", "own_best", "claims", "disagreements", "trends", "limits",
)  # fmt: skip
"""The keys of each study's summary.json that the combined one repeats."""


@dataclass(frozen=True)
class CombinedReport(Combined):
    """Studies side by side, in numbers and words.

    Attributes:
        question: the one that they share, or how many studies there are.
        answer: sentences.
    """

    studies: Mapping[str, Report]
    question: str
    answer: list[str]

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json: numbers that are not finite are null."""
        studies = {}
        for label, report in self.studies.items():
            content = report.to_json()
            studies[label] = {"directory": str(report.page.parents[1])} | {key: content[key] for key in _OF_A_STUDY}
        gain = []
        for found in self.gain:
            content = plain(found) | {"sentence": gain_sentence(found)}
            gain.append({key: content[key] for key in ("arm", "reference", "ways", "survives", "sentence")})
        return {
            "question": self.question,
            "answer": self.answer,
            "studies": studies,
            "gain": gain,
            "over_tasks": plain(self.over_tasks),
        }


def describe_combined(combined: Combined, reports: Mapping[str, Report]) -> CombinedReport:
    """Adds the words.

    Args:
        combined: the numbers. reports: each study's own, by label.
    """
    asked = list(dict.fromkeys(in_short(report.question) for report in reports.values()))
    found = [gain_sentence(gain) for gain in combined.gain]
    verdicts = " ".join(_verdicts(combined, arm) for arm in combined.arms)
    numbers = {field.name: getattr(combined, field.name) for field in dataclasses.fields(Combined)}
    return CombinedReport(
        **numbers | {"studies": reports},
        question=asked[0] if len(asked) == 1 else f"{len(reports)} studies side by side",
        answer=found or [verdicts or "There is no verdict yet in any of these studies."],
    )


def _verdicts(combined: Combined, arm: str) -> str:
    by_verdict: dict[str, list[str]] = {}
    for label in combined.studies:
        if combined.comparison(label, arm):
            name = claim_name(combined.studies[label], arm).replace(", size open", " (size open)")
            spelled = {"to come": "still to be confirmed", DEPENDS: "dependent on the setting"}.get(name, name)
            by_verdict.setdefault(spelled, []).append(label)
    return f"{arm} is {'; '.join(f'{name} in {several(labels)}' for name, labels in by_verdict.items())}."


def gain_sentence(gain: Gain) -> str:
    """Whether an arm's difference is the same for all treatments of radius and norm, or why that can't be told."""
    arm, reference, found = gain.arm, gain.reference, set(gain.signs.values())
    unclear = {"open": "direction is open", "none": "ratio is still to come, or not comparable"}
    reasons = [f"{name} its {unclear[sign]}" for name, sign in gain.signs.items() if sign in unclear]
    reasons += [f"no study has the radius {way}" for way in gain.missing]
    treated = f"the spectral radius{' or norm' if gain.with_norm else ''} is treated"
    equal = [name for name, sign in gain.signs.items() if sign == "equivalent"]
    if gain.within_the_margin and not reasons:
        text = f"{arm} learns as fast as {reference} whichever way {treated}"
    elif {"faster", "slower"} <= found:
        text = f"The sign of {arm}'s difference from {reference} does not survive: it depends on gain"
    elif equal and found & {"faster", "slower"}:
        text = f"{arm}'s difference from {reference} does not survive: it is within the margin {several(equal)}"
    elif reasons:
        text = f"Whether the sign of {arm}'s difference from {reference} survives can't be told: {several(reasons)}"
    else:
        [sign] = found
        text = f"{arm} learns {sign} than {reference} whichever way {treated}"
        slight = [way for way, comparison in gain.ways.items() if comparison.verdict and comparison.verdict.slight]
        if slight:
            text += f", though by less than the margin {several(slight)}"
    where = f" in {several(gain.within)}" if gain.within else ""
    numbers = ", ".join(f"{interval(comparison)} {name}" for name, comparison in gain.ways.items())
    return f"{text}{where} ({numbers})."
