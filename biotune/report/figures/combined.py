"""The figures of several studies side by side."""

from biotune.report.figures.drawing import ARM_COLOURS, INK, WIDTH, Canvas, Figure, finish, ratio_axis, style
from biotune.report.formatting import count, percent
from biotune.report.formatting import ratio as as_ratio
from biotune.report.results.combined import Combined
from biotune.statistics import Ratio

Found = list[tuple[str, str, Ratio]]
"""(arm, study, ratio) of the comparisons that are comparable."""


def draw_combined(combined: Combined) -> list[Figure]:
    """All figures that the studies' results allow."""
    with style():
        found = [
            (arm, label, comparison.ratio)
            for arm in combined.arms
            for label in combined.studies
            if (comparison := combined.comparison(label, arm)) and comparison.ratio and comparison.comparable
        ]
        return [_ratios(combined, found)] if found else []


def _ratios(combined: Combined, found: Found) -> Figure:
    """Each arm's ratio in each study, arm by arm."""
    arms = [arm for arm in combined.arms if any(arm == one for one, _, _ in found)]
    rows = {arm: [(label, ratio) for one, label, ratio in found if one == arm] for arm in arms}
    heights = [len(rows[arm]) + 0.9 for arm in arms]
    canvas = Canvas(figsize=(WIDTH, 0.22 * sum(heights) + 0.6), dpi=200, layout="constrained")
    panels = canvas.subplots(len(arms), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    margins = {summary.margin for summary in combined.studies.values()}
    ends = [1 / (1 + max(margins)), 1 + max(margins)]
    ends += [end for _, _, ratio in found for end in (ratio.low, ratio.high) if 0 < end < float("inf")]
    for place, (arm, axes) in enumerate(zip(arms, panels, strict=True)):
        colour = ARM_COLOURS[place % len(ARM_COLOURS)]
        if len(margins) == 1:
            axes.axvspan(1 / (1 + max(margins)), 1 + max(margins), color=INK, alpha=0.1, lw=0)
        axes.axvline(1, color=INK, lw=0.6)
        for row, (_, ratio) in enumerate(reversed(rows[arm])):
            axes.plot([max(ratio.low, 1e-6), min(ratio.high, 1e6)], [row] * 2, color=colour, lw=2.2)
            axes.plot(ratio.estimate, row, "o", color=colour, ms=4.5)
        labels = [f"{label}, {count(ratio.pairs, 'pair')}" for label, ratio in reversed(rows[arm])]
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.set_title(arm, fontsize=8.5, loc="left")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        ratio_axis(axes, min(ends), max(ends))
    # short lines: the axis leaves room for the studies' names, and a label is centred below it
    panels[-1].set_xlabel("updates to criterion,\nratio to each study's reference (log scale)\n← faster · slower →")
    confidences = sorted({percent(ratio.confidence, 1) for _, _, ratio in found})
    band = (
        f" The grey band is the margin, {as_ratio(ends[0])} to {as_ratio(ends[1])}."
        if len(margins) == 1
        else " The studies' margins differ, so none is drawn."
    )
    return finish(
        canvas,
        "ratios",
        "The same arm in every study",
        "Geometric mean ratios at the setting of each pair, with their "
        f"{' and '.join(confidences)} intervals.{band} "
        "Check whether an arm lies on the same side of 1 in all studies.",
        "Ratios of updates to criterion: "
        + "; ".join(
            f"{arm} in {label} {as_ratio(ratio.estimate)}, interval {as_ratio(ratio.low)} to {as_ratio(ratio.high)}"
            for arm, label, ratio in found
        )
        + ".",
    )
