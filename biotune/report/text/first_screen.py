"""The first screen of the page: what came out, how sure that is, under which conditions, and what to do next.

The words of the other sections, selected and put in order; the question stands above them.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from biotune.report import formatting
from biotune.report.formatting import percent, several
from biotune.report.results.summary import Summary
from biotune.report.text.answer import claim_name, confidence, headline, trend_sentence
from biotune.report.text.conditions import in_one_line
from biotune.report.text.limits import least_shown
from biotune.report.text.looks import as_typed, more_pairs, replicate_it, stage
from biotune.report.text.report import Report
from biotune.statistics import FAMILY_CONFIDENCE, POWER

MOST_ARMS = 4
"""Arms of which the first screen says what holds over the conditions; the section on these has all."""

MOST_CLAIMS = 2
"""Different claims that a sentence can hold beside the list of the arms; with more the list says it better."""


@dataclass(frozen=True)
class FirstScreen:
    """What stands above everything else, in sentences; commands are between backticks.

    Attributes:
        found: what came out. key: how to read the ratios of the arms.
        sure: what that is based on. conditions: where it holds. steps: what to do next.
    """

    found: list[str]
    key: str
    sure: list[str]
    conditions: list[str]
    steps: list[str]


def first_screen(report: Report) -> FirstScreen:
    """Selects the words of a report that a reader needs first."""
    return FirstScreen(
        found=[*map(trend_sentence, report.trends), _headline(report)],
        key=_key(report),
        sure=[_grounds(report), *_resolution(report), *stage(report), *_control(report)],
        conditions=_conditions(report),
        steps=_steps(report, _directory(report.page)),
    )


def _directory(page: Path) -> Path:
    """The results directory of a page, which lies in a folder of it."""
    return page.parents[1]


def _headline(report: Report) -> str:
    claims = {claim_name(report, c.arm) for c in report.comparisons}
    if len(claims) <= MOST_CLAIMS:
        return headline(report)
    return f"{formatting.count(len(report.comparisons), 'arm')} compared with {report.reference}:"


def _key(report: Report) -> str:
    if not _pairs(report):
        return ""
    two = "; where there are two, at the setting of the pair, then with each arm at its own best"
    return (
        f"Updates to criterion as a ratio to {report.reference}, below 1 is faster, with intervals"
        f"{two if _two_ratios(report) else ''}."
    )


def _two_ratios(report: Report) -> bool:
    return any(map(report.has_two_ratios, report.arms))


def _pairs(report: Report) -> list[int]:
    """Numbers of pairs behind the ratios that are shown."""
    return sorted({c.ratio.pairs for c in report.comparisons if c.ratio and c.comparable})


def _grounds(report: Report) -> str:
    pairs = _pairs(report)
    if not pairs:
        return _without_ratios(report)
    compared = len(report.comparisons)
    together = f" ({percent(FAMILY_CONFIDENCE)} over the {compared} comparisons)" if compared > 1 else ""
    both = (
        " A direction is claimed only if both ratios have it." if any(map(report.has_two_ratios, report.arms)) else ""
    )
    return (
        f"Intervals of {confidence(report, 1)}{together}, over {several(map(str, pairs))} pairs of new networks with "
        f"new seeds and data.{both}"
    )


def _without_ratios(report: Report) -> str:
    if not report.comparisons:
        return report.answer[1]
    own = [result.converged for result in report.results if result.phase == "own_best"]
    met, trained = sum(share.count for share in own), sum(share.total for share in own)
    return (
        f"No ratio is given: {met} of {formatting.count(trained, 'confirmed network')} met the criterion within the "
        f"budget of {formatting.count(report.budget, 'update')}."
    )


def _resolution(summary: Summary) -> list[str]:
    """The least ratio that the study can show, of the arm with the widest spread."""
    least = [ratio for c in summary.comparisons if (ratio := least_shown(c)) is not None]
    if not least:
        return []
    return [
        f"With a power of {percent(POWER)} they show a true ratio of {formatting.ratio(max(least))} or more, or of "
        f"{formatting.ratio(1 / max(least))} or less; a smaller difference often ends as undecided."
    ]


def _control(report: Report) -> list[str]:
    return [report.control_sentence] if report.control and report.control.found is not False else []


def _conditions(report: Report) -> list[str]:
    if report.conditions is None:
        neurons = report.measures.get("neurons", {}).get(report.reference)
        size = f", with networks of {formatting.number(neurons[1])} neurons" if neurons else ""
        return [
            f"One condition alone: {formatting.task(report.task['name'])}{size}, as the methods say. "
            "Whether it holds under others was not asked."
        ]
    names = dict.fromkeys(spec.condition for spec in report.conditions.specifications)
    arms = [in_one_line(over, report.conditions) for over in report.conditions.over]
    return [f"{formatting.count(len(names), 'condition')}: {several(names)}.", *arms[:MOST_ARMS]]


def _steps(report: Report, directory: Path) -> list[str]:
    """What to do next, the most urgent first."""
    if not report.finished:
        return [f"If it does not run any more: `biotune run --resume {as_typed(directory)}` goes on with it."]
    again = [*_connectomes(report), *_in_full(report)]
    if again:
        return again
    steps = [*_not_met(report), *more_pairs(report, directory)]
    if report.conditions is None and _any_comparable(report):
        steps.append(
            "Ask under which other conditions it holds: add `conditions` to the study's YAML, then "
            f"`biotune extend {as_typed(directory)} --space FILE`."
        )
    if not report.comparisons:
        return [f"Add arms to compare {report.reference} with, in a new study."]
    return steps or [replicate_it(report, directory)]


def _any_comparable(summary: Summary) -> bool:
    return any(claim and claim.name != "not comparable" for claim in summary.claims.values())


def _connectomes(summary: Summary) -> list[str]:
    asked = dict.fromkeys(used["asked"] for used in summary.connectomes.values() if used["substituted"])
    commands = " and ".join(f"`biotune connectome fetch {shlex.quote(name)}`" for name in asked)
    return [f"Get the connectome that was asked for, {commands}, and run the study again."] if asked else []


def _in_full(summary: Summary) -> list[str]:
    if not summary.quick:
        return []
    command = str(summary.environment["command"])
    in_full = f": `{command.replace(' --quick', '')}`" if " --quick" in command else ""
    return [f"Run the study in full, without `--quick`{in_full}."]


def _not_met(report: Report) -> list[str]:
    """What to change where too few networks met the criterion."""
    short = [arm for arm, claim in report.claims.items() if claim and claim.name == "not comparable"]
    short += [found.arm for found in report.looks.forecasts if found.missed and found.arm not in short]
    if not short:
        return []
    return [
        f"Too few networks met the criterion to decide on {several(short)}: see in the learning curves why, and raise "
        "`confirm.max_epochs` or `criterion.fraction_of_null` in a new study. More pairs can't decide it."
    ]
