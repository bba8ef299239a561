"""What holds over the conditions of a study, in words."""

from collections.abc import Sequence

from biotune.report import formatting
from biotune.report.formatting import several
from biotune.report.results.condition_results import Axis, BestGain, Conditions, Over, Specification
from biotune.report.text.answer import interval, spoken


def changes_of(spec: Specification) -> str:
    """remap magnitude, frobenius_norm 5.9; and whether it was added later"""
    changes = [f"{key.partition('.')[2]} {formatting.value(value)}" for key, value in spec.changes.items()]
    return ", ".join([*changes, *(["added later"] if spec.added else [])])


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
    primary = own[0].direction
    if over.everywhere:
        return f"{over.arm} learns {over.everywhere} than {reference} under each of {over.conditions} conditions."
    parts = [
        f"{primary} under the primary condition" if primary else "no direction is shown under the primary condition"
    ]
    if primary:
        parts += _along(axes)
    parts += _exceptions(over, own)
    shown = [f"{direction} under at least {u}" for direction, u in over.at_least.items() if u]
    parts.append(
        f"of all {over.conditions} conditions, {several(shown) if shown else 'no direction is shown for any number'}"
    )
    return f"{over.arm}: {'; '.join(parts)}."


def _along(axes: Sequence[Axis]) -> list[str]:
    """`this holds along network.remap`, a part for each word."""
    parts = []
    for word in ("holds", "is not shown", "reverses"):
        if some := [axis.axis for axis in axes if axis.word == word.removeprefix("is ")]:
            parts.append(f"this {word} along {several(some)}")
    return parts


def _exceptions(over: Over, own: Sequence[Specification]) -> list[str]:
    """Conditions that may be named alone, since the intervals of all of them hold together."""
    named = [
        f"{spec.direction} under {spec.condition} ({interval(spec.comparison)})"
        for spec in own
        if spec.comparison and spec.condition in over.exceptions
    ]
    return [f"{several(named)}, as the intervals over all arms and conditions say too"] if named else []
