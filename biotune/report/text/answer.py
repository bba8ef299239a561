"""The answer in words: the question, two sentences, and how the two ways of comparing disagree."""

from collections.abc import Mapping, Sequence
from typing import Any

from biotune.report import formatting
from biotune.report.formatting import count, number, percent, several
from biotune.report.results.arm_results import Comparison, Control, Trend
from biotune.report.results.comparisons import is_null
from biotune.report.results.condition_results import Conditions
from biotune.report.results.summary import Summary
from biotune.report.text.methods import CONTROLS
from biotune.results import RUNNING
from biotune.statistics import FAMILY_CONFIDENCE, LEAST_DRAWS, LEAST_SHARE_CONVERGED, Ratio, Verdict, bonferroni

DEPENDS = "depends on the setting"
"""Said of an arm in place of a verdict where only one of its two ratios has a direction."""

SETTINGS_TITLE = "The answer as a curve over the settings"
"""Of the figure that shows what depends on the setting."""


def question(study: Mapping[str, Any]) -> str:
    """The study's description or, if it has none, the question that its arms ask."""
    if study.get("description"):
        return str(study["description"])
    reference = study["reference_arm"]
    others = [name for name in study["arms"] if name != reference]
    task = formatting.task(study["task"]["name"])
    if not others:
        return f"How fast does {reference} learn {task}?"
    return f"Does {several(others, 'or')} learn {task} faster or slower than {reference}?"


def in_short(question: str) -> str:
    """The text up to its first question mark: a study's description may go on to explain."""
    asked, mark, _ = question.partition("?")
    return asked + mark


def interval(comparison: Comparison) -> str:
    """0.62 [0.50, 0.77]; a dash if there is none, or if the arm is not comparable.

    Where the verdict is a bound, one end is open: ≤ 0.62 [0, 0.77], or ≥ 1.61 [1.30, ∞].
    """
    return _with_interval(comparison.ratio if comparison.comparable else None, comparison.verdict)


def confidence(summary: Summary, digits: int = 2) -> str:
    """Of the verdicts' intervals: 98.33 %, or 98.67 to 99.8 % if arms are at different looks."""
    return _range(*summary.confidences, digits)


def confidence_under(conditions: Conditions, digits: int = 2) -> str:
    """The same, of the intervals under all conditions: planned looks are taken at the primary one."""
    ratios = [spec.comparison.ratio for spec in conditions.specifications if spec.comparison and spec.comparison.ratio]
    levels = [ratio.confidence for ratio in ratios] or [FAMILY_CONFIDENCE]
    return _range(min(levels), max(levels), digits)


def _range(low: float, high: float, digits: int) -> str:
    least, most = percent(low, digits), percent(high, digits)
    return most if least == most else f"{least.split(formatting.UNIT)[0]} to {most}"


def bootstrap_interval(comparison: Comparison) -> str:
    """The same, with the bootstrap-t interval."""
    return _with_interval(comparison.bootstrap if comparison.comparable else None, comparison.bootstrap_verdict)


def _with_interval(ratio: Ratio | None, verdict: Verdict | None) -> str:
    if ratio is None:
        return formatting.NOTHING
    estimate, low, high = map(formatting.ratio, (ratio.estimate, ratio.low, ratio.high))
    if verdict and verdict.bound:
        return f"≤ {estimate} [0, {high}]" if verdict.direction == "faster" else f"≥ {estimate} [{low}, ∞]"
    return f"{estimate} [{low}, {high}]"


def spoken(verdict: Verdict | None, to_come: str = "to come") -> str:
    """The verdict's name as it stands within a sentence: faster (size open)."""
    return verdict.name.replace(", size open", " (size open)") if verdict else to_come


def at_least(comparison: Comparison) -> str:
    """By at least a factor of 1.30; empty if the verdict is no bound."""
    ratio, verdict = comparison.ratio, comparison.verdict
    if ratio is None or verdict is None or not verdict.bound:
        return ""
    factor = 1 / ratio.high if verdict.direction == "faster" else ratio.low
    return f"by at least a factor of {formatting.ratio(factor)}"


def answer(summary: Summary) -> tuple[str, str]:
    """The answer in two sentences: what the study found, and what that is based on."""
    if not summary.comparisons:
        return _without_comparison(summary)
    return _found(summary), _grounds(summary)


def ranks_note(arms: Mapping[str, Any], comparisons: Sequence[Comparison]) -> str:
    """Why the reference's rank among the draws of nulls isn't given; empty if it is given, or if there is no null."""
    short = [c for c in comparisons if c.ratio and c.rank is None and is_null(arms[c.arm])]
    if not short:
        return ""
    draws = max(c.ratio.pairs for c in short if c.ratio)
    return (
        f"The reference's rank among the draws of a null is not given: there are {count(draws, 'draw')} of each, and "
        f"with fewer than {LEAST_DRAWS} no rank, not even the first, has a p as small as 0.05. "
        f"Set confirm.replicates to {LEAST_DRAWS} or more to get it."
    )


def rank_sentence(comparison: Comparison) -> str:
    """The reference's rank among the draws of a null, as a sentence."""
    rank = comparison.rank
    assert rank is not None
    return (
        f"{comparison.reference} is at percentile {rank.percentile:.0f} of {rank.draws} draws of {comparison.arm}, "
        f"permutation p = {formatting.probability(rank.p)}"
    )


def contrasts_key(summary: Summary) -> str:
    """How to read the ratios of every arm to every other."""
    pairs = len(summary.contrasts) // 2
    levels = {found.ratio.confidence for found in summary.contrasts if found.ratio} or {bonferroni(pairs)}
    each = several(percent(level, 2) for level in sorted(levels))
    return (
        "Updates to criterion of the arm at the left, divided by those of the arm above (below 1: the one at the left "
        "is faster), each arm at its own best setting and over the replicates that both have. Bold: the interval "
        f"leaves out 1. The intervals of the {pairs} pairs of arms hold together with {percent(FAMILY_CONFIDENCE)} "
        f"({each} each), so those to {summary.reference} are wider here than beside the verdicts. "
        f"Arms are not comparable if fewer than {percent(LEAST_SHARE_CONVERGED)} of the replicates of either "
        "met the criterion."
    )


def trend_sentence(trend: Trend) -> str:
    """The result of a dose-response, as a sentence."""
    if trend.slope is None:
        fractions = several(percent(fraction) for fraction in dict.fromkeys(trend.fractions.values()))
        return f"No trend is given over fractions of {fractions} ({trend.null}): {trend.reason}."
    doses = several(percent(dose) for dose in trend.doses.values())
    slope = trend.slope
    way = "does not show whether learning gets faster or slower"
    if slope.high < 1:
        way = "makes learning faster"
    elif slope.low > 1:
        way = "makes learning slower"
    return (
        f"Changing more entries of the matrix ({trend.null}; {doses} of them) {way}: changing all multiplies the "
        f"updates to criterion by {formatting.ratio(slope.factor)} [{formatting.ratio(slope.low)}, "
        f"{formatting.ratio(slope.high)}], on a log-linear trend within {slope.replicates} replicates, with its "
        f"{percent(slope.confidence, 1)} interval."
    )


def disagreements(summary: Summary) -> list[str]:
    """A sentence for each arm of which the setting of its pair and the own best settings say another thing."""
    sentences = []
    for first, second in both_ways(summary):
        if first.verdict is None or second.verdict is None:
            continue
        if summary.depends(first.arm):
            sentences.append(
                f"What is found of {first.arm} depends on the setting: at the setting of its pair it is "
                f"{spoken(first.verdict)} ({interval(first)}), with each arm at its own best {spoken(second.verdict)} "
                f"({interval(second)}). No direction is claimed; the figure “{SETTINGS_TITLE}” shows both arms at "
                "every setting."
            )
        elif first.verdict.name != second.verdict.name:
            same = ": the direction is the same, the size is not" if first.verdict.direction else ""
            sentences.append(
                f"{first.arm} is {spoken(first.verdict)} at the setting of its pair ({interval(first)}) but "
                f"{spoken(second.verdict)} with each arm at its own best ({interval(second)}){same}."
            )
        elif first.ratio and second.ratio and first.comparable and _apart(first.ratio, second.ratio):
            sentences.append(
                f"{first.arm} is {spoken(first.verdict)} at the setting of its pair and with each arm at its own best, "
                f"but the intervals do not overlap: {interval(first)} and {interval(second)}."
            )
    return sentences


def both_ways(summary: Summary) -> list[tuple[Comparison, Comparison]]:
    """Each arm's comparison at the setting of its pair, and with each arm at its own best."""
    own = {c.arm: c for c in summary.own_best}
    return [(c, own[c.arm]) for c in summary.comparisons if c.arm in own]


def claim_name(summary: Summary, arm: str) -> str:
    """What is claimed of an arm, in the words of a verdict; `DEPENDS` where only one way has a direction."""
    found = summary.claims.get(arm)
    return "to come" if found is None else DEPENDS if summary.depends(arm) and found.name == "undecided" else found.name


def _apart(one: Ratio, other: Ratio) -> bool:
    return one.high < other.low or other.high < one.low


def _without_comparison(summary: Summary) -> tuple[str, str]:
    alone = summary.result(summary.reference)
    if len(summary.arms) == 1 and alone is not None:
        return (
            f"{summary.reference} met the criterion in {alone.converged.count} of {alone.converged.total} "
            f"replicates, after {number(alone.updates)} updates (geometric mean; {number(summary.budget)}, the "
            "budget, if it did not).",
            "The study has one arm, so there is nothing to compare it with and no verdict.",
        )
    done = sum(n for arm in summary.search for status, n in arm.statuses.items() if status != RUNNING)
    planned = sum(arm.planned for arm in summary.search)
    return (
        "There is no verdict: no replicate has been confirmed"
        + ("." if summary.finished else " yet; only the confirmation with new seeds counts for the conclusion."),
        f"{done} of {count(planned, 'search trial')} are done.",
    )


def _found(summary: Summary) -> str:
    groups: dict[str, list[str]] = {name: [] for name in _CLAUSES}
    own = {c.arm: c for c in summary.own_best}
    for comparison in summary.comparisons:
        arm = comparison.arm
        name = claim_name(summary, arm)
        numbers = _numbers(comparison)
        if summary.has_two_ratios(arm) and arm in own:
            numbers = f"{numbers}; {_numbers(own[arm])}"
        groups[name].append(arm if name in ("not comparable", "to come") else f"{arm} ({numbers})")
    clauses = [_clause(name, arms, summary) for name, arms in groups.items() if arms]
    stand_ins = sorted({c["name"] for c in summary.connectomes.values() if c["substituted"]})
    opening = f"With {several(stand_ins)} in place of the connectome that was asked for, " if stand_ins else ""
    sentence = f"{opening}{'; '.join(clauses)}."
    # an arm's name keeps its own case
    return sentence[0].upper() + sentence[1:] if sentence.startswith("whether ") else sentence


def _numbers(comparison: Comparison) -> str:
    return ", ".join(filter(None, [at_least(comparison), interval(comparison)]))


_CLAUSES = {
    **{
        name: tuple(f"{{arms}} {learn} {text}" for learn in ("learns", "learn"))
        for direction in ("faster", "slower")
        for name, text in (
            (direction, f"{direction} than {{reference}}, by more than a factor of {{margin}}"),
            (f"{direction}, size open", f"{direction} than {{reference}}, whether by more than {{margin}} is open"),
            (
                f"slightly {direction}",
                f"slightly {direction} than {{reference}}: by less than a factor of {{margin}}, practically equivalent",
            ),
        )
    },
    "equivalent": (
        "{arms} learns as fast as {reference}, within a factor of {margin}",
        "{arms} learn as fast as {reference}, within a factor of {margin}",
    ),
    "undecided": (
        "whether {arms} learns faster or slower than {reference}, or as fast, is undecided",
        "whether {arms} learn faster or slower than {reference}, or as fast, is undecided",
    ),
    DEPENDS: (
        "whether {arms} learns faster or slower than {reference} depends on the setting",
        "whether {arms} learn faster or slower than {reference} depends on the setting",
    ),
    "not comparable": (
        "{arms} is not comparable with {reference}, since too few replicates of the faster side met the criterion",
        "{arms} are not comparable with {reference}, since too few replicates of the faster side met the criterion",
    ),
    "to come": ("{arms} is still to be confirmed", "{arms} are still to be confirmed"),
}
"""What is said of one arm with this verdict, and of several."""


def _clause(verdict: str, arms: Sequence[str], summary: Summary) -> str:
    text = _CLAUSES[verdict][len(arms) > 1]
    return text.format(arms=several(arms), reference=summary.reference, margin=number(1 + summary.margin))


def _grounds(summary: Summary) -> str:
    pairs = [c.ratio.pairs for c in summary.comparisons if c.ratio]
    fewest, most = (min(pairs), max(pairs)) if pairs else (0, 0)
    number_of_pairs = count(most, "pair") if fewest == most else f"{fewest} to {most} pairs"
    together = (
        f", {percent(FAMILY_CONFIDENCE)} over the {len(summary.comparisons)} comparisons"
        if len(summary.comparisons) > 1
        else ""
    )
    return (
        f"In brackets: updates to criterion as a ratio to {summary.reference} (below 1: faster), with the "
        f"{confidence(summary, 1)} interval{together}, over {number_of_pairs} of replicates. "
        f"{_settings(summary)}"
    )


def _settings(summary: Summary) -> str:
    """What arms were compared at, and what that means for the answer."""
    if not any(c.verdict for c in summary.own_best):
        return "They were compared at the setting chosen for each pair of arms; each arm's own best is still to come."
    if not any(map(summary.has_two_ratios, summary.arms)):
        return "Every pair was compared at one setting, which is also each arm's own best of the common settings."
    return (
        "Where there are two, the first is at the setting chosen for the pair, the second with each arm at its own "
        "best of the common settings; a direction is claimed only if both have it."
    )


def control_sentence(control: Control) -> str:
    """The result of the positive control, as a sentence."""
    what, comparison = CONTROLS[control.kind], control.comparison
    if comparison.verdict is None:
        return f"The positive control, {what}, is still to be confirmed."
    met = [f"{share.count} of {share.total}" for share in (control.result.converged, control.reference.converged)]
    of_both = f"{met[0]} of its replicates met the criterion, {met[1]} of the reference's"
    if comparison.comparable:
        p = formatting.probability(comparison.p)
        numbers = f"{spoken(comparison.verdict)}, {interval(comparison)}, p {p if p.startswith('<') else f'= {p}'}"
        numbers += f"; {of_both}" if comparison.verdict.bound else ""
    else:
        numbers = of_both
    if control.found:
        return f"The positive control, {what}, is found ({numbers})."
    return (
        f"The positive control, {what}, is not found ({numbers}): a study that does not detect a network that was "
        "changed on purpose cannot conclude that other arms do not differ from the reference."
    )
