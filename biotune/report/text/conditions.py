"""What holds over the conditions of a study, in words."""

from collections.abc import Sequence

from biotune.report import formatting
from biotune.report.formatting import several
from biotune.report.results.summary import Axis, BestGain, Conditions, Over, Specification
from biotune.report.text.answer import interval, spoken


def changes_of(spec: Specification) -> str:
    """remap magnitude · frobenius_norm 5.9"""
    return ", ".join(f"{key.partition('.')[2]} {formatting.value(value)}" for key, value in spec.changes.items())


def status_of(spec: Specification) -> str:
    """What is known of an arm under a condition: its ratio with the interval, or why there is none."""
    if spec.status == "not applicable":
        return "not applicable: the same networks as the reference"
    if spec.status != "compared" or spec.comparison is None or spec.comparison.verdict is None:
        return spec.status
    if not spec.comparison.comparable:
        met = " and ".join(f"{arm} {count} of {planned}" for arm, (count, planned) in spec.met.items())
        return f"not comparable: met by {met}"
    return f"{interval(spec.comparison)}, {spec.comparison.verdict.name}"


def shift_of(spec: Specification) -> str:
    """The ratio of a condition's ratio to the primary's, with its interval; a dash if there is none."""
    shift = spec.to_primary if spec.comparison and spec.comparison.comparable else None
    if shift is None:
        return formatting.NOTHING
    return f"{formatting.ratio(shift.estimate)} [{formatting.ratio(shift.low)}, {formatting.ratio(shift.high)}]"


def conditions_sentences(conditions: Conditions, reference: str) -> list[str]:
    """A sentence for each arm that has been compared under all conditions, and one on the gain sweep."""
    sentences = [_sentence(over, conditions, reference) for over in conditions.over]
    return [*sentences, *([best_gain_sentence(conditions.best_gain)] if conditions.best_gain else [])]


def best_gain_sentence(best: Sequence[BestGain]) -> str:
    """Each arm at its own best gain and learning rate."""
    compared = [
        f"{one.arm} ({_point(one.at)}) {spoken(one.comparison.verdict)} {interval(one.comparison)} to {one.reference} "
        f"({_point(one.reference_at)})"
        for one in best
    ]
    ends = list(dict.fromkeys(arm for one in best for arm in one.at_end))
    beyond = ""
    if ends:
        beyond = f" The best scale of {several(ends)} is an end of the sweep, so a better one may lie beyond it."
    return (
        f"With each arm at its own best gain and learning rate, chosen on other seeds: {'; '.join(compared)}.{beyond}"
    )


def _point(at: tuple[float, float]) -> str:
    return f"scale {at[0]:g}, rate {formatting.number(at[1])}"


def _sentence(over: Over, conditions: Conditions, reference: str) -> str:
    own = [spec for spec in conditions.specifications if spec.arm == over.arm]
    axes = [axis for axis in conditions.axes if axis.arm == over.arm]
    primary = own[0]
    if over.everywhere:
        return f"{over.arm} learns {over.everywhere} than {reference} under each of {over.conditions} conditions."
    if primary.direction is None:
        shown = [f"{d} under at least {u} of {over.conditions}" for d, u in over.at_least.items() if u]
        begin = f"Under the primary condition no direction is shown for {over.arm}"
        middle = f"; over all conditions it is {several(shown)}" if shown else ", nor in any number of the conditions"
        return f"{begin}{middle}{_exceptions(over)}."
    u = over.at_least[primary.direction]
    begin = f"{over.arm} is {primary.direction} under the primary condition, " + (
        f"and shown to be so under at least {u} of {over.conditions}"
        if u
        else f"but not shown to be so under any number of the {over.conditions}"
    )
    return f"{begin}: {'; '.join(_along(axes))}{_exceptions(over)}."


def _along(axes: Sequence[Axis]) -> list[str]:
    """`it holds along network.remap`, a part for each word."""
    parts = []
    for word, text in (
        ("holds", "it holds along"),
        ("not shown", "is not shown along"),
        ("reverses", "reverses along"),
    ):
        some = [axis.axis for axis in axes if axis.word == word]
        if some:
            parts.append(f"{text} {several(some)}")
    return parts


def _exceptions(over: Over) -> str:
    """Conditions that may be named alone, since the intervals of all of them hold together."""
    if not over.exceptions:
        return ""
    plural = "exceptions are" if len(over.exceptions) > 1 else "exception is"
    return f"; the {plural} {several(over.exceptions)}, by intervals that hold together over all conditions"
