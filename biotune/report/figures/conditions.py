"""The figures of the conditions: the specification curve, and the curves of the gain sweep."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes as Panel
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from biotune.report.figures.drawing import (
    INK,
    PAPER,
    WIDTH,
    Figure,
    arm_colour,
    arm_line_style,
    finish,
    grid,
    label_grid,
    legend,
    log_axis,
    ratio_axis,
)
from biotune.report.formatting import number, several
from biotune.report.results.condition_results import Conditions, Specification
from biotune.report.results.summary import Summary
from biotune.report.text.answer import confidence_under
from biotune.report.text.conditions import changes_of, status_of

_LONGEST_LABEL = 38


def draw_specifications(summary: Summary, conditions: Conditions) -> Figure:
    """The specification curve: each arm's ratio under each condition, grouped by what is varied."""
    arms = list(dict.fromkeys(spec.arm for spec in conditions.specifications))
    rows = {arm: _in_order([s for s in conditions.specifications if s.arm == arm]) for arm in arms}
    heights = [len(rows[arm]) + 1.6 for arm in arms]
    canvas = Canvas(figsize=(WIDTH, 0.17 * sum(heights) + 0.75), dpi=200, layout="constrained")
    panels = canvas.subplots(len(arms), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    low, high = 1 / (1 + summary.margin), 1 + summary.margin
    ends = [low, high]
    for arm, axes in zip(arms, panels, strict=True):
        axes.axvspan(low, high, color=INK, alpha=0.1, lw=0)
        axes.axvline(1, color=INK, lw=0.6)
        for place, spec in enumerate(rows[arm]):
            ends += _draw_row(axes, spec, -place, arm_colour(summary, arm))
            if place and spec.axis != rows[arm][place - 1].axis:
                axes.axhline(0.5 - place, color=INK, lw=0.3, alpha=0.4)
        axes.set_yticks(range(0, -len(rows[arm]), -1), [_label(spec) for spec in rows[arm]], fontsize=6.5)
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(-len(rows[arm]) + 0.4, 0.6)
        axes.set_title(f"{arm}", loc="left", fontsize=8.5, color=arm_colour(summary, arm), pad=2)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    for axes in panels:
        ratio_axis(axes, max(min(ends), 1 / 50), min(max(ends), 50))
        axes.xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel(f"updates to criterion, ratio to {summary.reference} (log scale)\n← faster · slower →")
    spoken = "; ".join(f"{spec.arm} under {spec.condition}: {status_of(spec)}" for arm in arms for spec in rows[arm])
    compared = [spec for spec in conditions.specifications if spec.comparison]
    arrows = any(_bound(spec) for spec in compared)
    return finish(
        canvas,
        "specification_curve",
        "What the answer depends on",
        f"Ratio of updates to criterion to {summary.reference} under each condition. The first, in bold, is the "
        "primary; the others are varied one at a time around it, and grouped by what they set. Bold lines: the "
        f"{confidence_under(conditions, 1)} interval of an arm; thin ones: intervals that hold together with 95 % over "
        "all arms and conditions. On the right: pairs, and how many networks of the arm and of the reference met the "
        "criterion."
        + (
            " Arrows: some networks of the slower side did not, so the difference is at least as large."
            if arrows
            else ""
        ),
        f"Ratios of updates to criterion to {summary.reference}, by condition: {spoken}.",
    )


def _in_order(specs: list[Specification]) -> list[Specification]:
    """The primary first; the others by axis, in the study's order, and inside by their ratio."""
    primary, *others = specs
    places = {axis: place for place, axis in enumerate(dict.fromkeys(spec.axis for spec in others))}
    return [primary, *sorted(others, key=lambda spec: (places[spec.axis], _estimate(spec)))]


def _estimate(spec: Specification) -> float:
    ratio = spec.comparison.ratio if spec.comparison else None
    return ratio.estimate if ratio else math.inf


def _label(spec: Specification) -> str:
    label = f"{spec.condition} · {changes_of(spec)}" if spec.changes else spec.condition
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _bound(spec: Specification) -> bool:
    return bool(spec.comparison and spec.comparison.verdict and spec.comparison.verdict.bound)


def _draw_row(axes: Panel, spec: Specification, y: float, colour: str) -> list[float]:
    """Draws one ratio; returns what the axis must reach."""
    comparison, ratio = spec.comparison, spec.comparison.ratio if spec.comparison else None
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 6.5, "color": INK}
    if comparison is None or ratio is None or not comparison.comparable:
        axes.text(0.5, y, status_of(spec), ha="center", style="italic", **beside)
        return []
    for held, width in ((spec.together, 0.7), (ratio, 2.2)):
        if held is not None and math.isfinite(held.high):
            axes.plot([held.low, held.high], [y, y], color=colour, lw=width, solid_capstyle="butt")
    marker = "o" if not _bound(spec) else "<" if ratio.estimate < 1 else ">"
    face = colour if not spec.changes else PAPER
    axes.plot(ratio.estimate, y, marker, color=colour, mfc=face, ms=5 if not spec.changes else 4, mew=1)
    met = ", ".join(f"{count}/{planned}" for count, planned in spec.met.values())
    axes.text(1.01, y, f"{ratio.pairs} · {met}", ha="left", **beside)
    # intervals over all arms and conditions may reach far beyond, where there are few pairs
    return [end for end in (ratio.estimate, ratio.low, ratio.high) if 0 < end < math.inf]


def draw_gain(summary: Summary, conditions: Conditions) -> Figure:
    """Updates to criterion of each arm against the scale of its initial matrix, a panel per learning rate."""
    rates = list(dict.fromkeys(point.learning_rate for point in conditions.gain))
    canvas, panels = grid([f"{rate:g}" for rate in rates], 1.9)
    reached = [point.updates for point in conditions.gain]
    scales = [point.scale for point in conditions.gain]
    for rate, axes in zip(rates, panels, strict=True):
        at_rate = [point for point in conditions.gain if point.learning_rate == rate]
        named: set[str] = set()
        for arm, against in dict.fromkeys((point.arm, point.against) for point in at_rate):
            own = [point for point in at_rate if (point.arm, point.against) == (arm, against)]
            x, y = [p.scale for p in own], [p.updates for p in own]
            look: dict[str, Any] = {"color": arm_colour(summary, arm), "ls": arm_line_style(summary, arm)}
            axes.plot(x, y, lw=1.4, label=arm if rate == rates[0] and arm not in named else None, **look)
            named.add(arm)
            for met, face in ((True, look["color"]), (False, PAPER)):
                some = [(p.scale, p.updates) for p in own if (p.met[0] == p.met[1]) == met]
                if some:
                    axes.plot(*np.transpose(some), "o" if met else "^", color=look["color"], mfc=face, ms=4, mew=0.9)
        axes.set_title(f"learning rate {number(rate)}", fontsize=8.5, loc="left")
        axes.axhline(summary.budget, color=INK, lw=0.6, ls=":")
        log_axis(axes, "x", min(scales) / 1.1, max(scales) * 1.1)
        log_axis(axes, "y", min(reached) * 0.85, max(*reached, summary.budget) * 1.1)
    label_grid(canvas, panels, "scale of the initial recurrent matrix", "updates to criterion")
    legend(canvas, len(summary.arms))
    met_all = all(point.met[0] == point.met[1] for point in conditions.gain)
    return finish(
        canvas,
        "gain",
        "Gain is a curve",
        "Updates to criterion (geometric mean) of each arm, its initial recurrent matrix scaled by the same factors. "
        "Equal radius compares the arms at scale 1; equal norm, and each arm at its own best, compare other points of "
        "the same curves."
        + (
            "" if met_all else " Open triangles: not all networks met the criterion within the budget, the dotted line."
        ),
        "; ".join(
            f"{arm} at learning rate {number(rate)}: "
            + several(
                f"{number(p.updates)} at {p.scale:g}"
                for p in conditions.gain
                if p.arm == arm and p.learning_rate == rate
            )
            for arm in summary.arms
            for rate in rates
        )
        + ".",
    )
