"""The figures of the wiring: speed against the dose of a null, each arm's matrix, speed against measures."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from biotune.connectome.names import MOST_NAMED, shown
from biotune.report.figures.drawing import (
    INK,
    MARKERS,
    PAPER,
    REFERENCE_COLOUR,
    WIDTH,
    Figure,
    arm_colour,
    finish,
    grid,
    legend,
    log_axis,
    panel,
)
from biotune.report.formatting import count, percent, several
from biotune.report.formatting import ratio as as_ratio
from biotune.report.results.arm_results import Association, Trend
from biotune.report.results.summary import Summary
from biotune.statistics import FAMILY_CONFIDENCE, geometric_ratio

SCATTERS = 6
"""Number of measures that are drawn network by network."""

MOST_DOTS_AS_VECTORS = 1000
"""More dots than this are drawn as pixels; as vectors they would make a page of megabytes."""

LONGEST_TICK = 14
"""Characters of a region's name beside its row."""

COLOURS_OF_WEIGHTS = "cividis"  # readable for the colour-blind, and in grey


def draw_dose(summary: Summary, trend: Trend, own: pd.DataFrame, name: str) -> Figure:
    """Updates to criterion against the share of the entries that are changed, as ratios to the least dose."""
    assert trend.slope is not None
    wide = own.pivot_table(index="replicate", columns="arm", values="updates")[list(trend.doses)].dropna()
    log_updates = np.log(np.maximum(wide.to_numpy(), 1))
    doses = np.array(list(trend.doses.values()))
    ratios = log_updates - log_updates[:, :1]
    canvas, axes = panel(2.8)
    drawn = [float(np.exp(ratios.min())), float(np.exp(ratios.max()))]
    for row in ratios:
        axes.plot(doses, np.exp(row), color=INK, lw=0.4, alpha=0.3)
    for place, arm in enumerate(trend.doses):
        found = geometric_ratio(ratios[:, place], FAMILY_CONFIDENCE)
        colour = arm_colour(summary, arm)
        if place:
            drawn += [found.low, found.high]
            axes.plot([doses[place]] * 2, [found.low, found.high], color=colour, lw=2.2)
        axes.plot(doses[place], found.estimate, "o", color=colour, ms=5)
    ends = np.array([doses.min(), doses.max()])
    middle = float(ratios.mean()) + np.log(trend.slope.factor) * (ends - doses.mean())
    axes.plot(ends, np.exp(middle), color=INK, lw=1.2, ls="--")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: percent(tick)))
    axes.set_xlim(-0.03, 1.03)
    finite = [end for end in drawn if 0 < end < np.inf]
    log_axis(axes, "y", min(finite) / 1.05, max(finite) * 1.05)
    axes.set_xlabel("share of the matrix's entries that the null changed")
    axes.set_ylabel(f"updates to criterion, ratio\nto {percent(doses[0])} changed (log scale), n = {len(wide)}")
    first, *others = trend.doses
    return finish(
        canvas,
        name,
        "Dose and response",
        f"Each thin line is a replicate, at every dose of the {trend.null}; dots and bars are geometric means with "
        f"95 % intervals, each as a ratio to {first}. Dashed: the log-linear trend, whose slope is taken within each "
        "replicate. A dose is the share of the matrix's entries (pairs of neurons, or of regions at that level) that "
        "the null did change, the mean over an arm's draws: not the fraction of edges that it might move "
        f"({several(percent(fraction) for fraction in trend.fractions.values())}), nor the share of edges rewired, "
        "which leaves out edges that only change their weight. The study set the fractions, so a trend is an effect of "
        "the rewiring itself.",
        f"Ratio of updates to criterion to {first} by share of entries changed: "
        + "; ".join(
            f"{percent(trend.doses[arm])} {as_ratio(float(np.exp(ratios[:, place].mean())))}"
            for place, arm in enumerate(others, start=1)
        )
        + ".",
    )


def draw_matrices(summary: Summary, matrices: pd.DataFrame) -> Figure:
    """Each arm's matrix, ordered by region."""
    arms = [arm for arm in summary.arms if (matrices["arm"] == arm).any()]
    canvas, panels = grid(arms, 2.25)
    _draw_blocks(canvas, dict(zip(arms, panels, strict=True)), matrices)
    for axes in panels:
        axes.tick_params(labelbottom=True, labelleft=True)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    binned = (matrices["bins"] < matrices["regions"]).any()
    in_bins = " There are more regions than can be shown, so consecutive ones share a pixel." if binned else ""
    return finish(
        canvas,
        "matrices",
        "What each arm's wiring looks like",
        "The matrix of replicate 0 of each arm before training, rows targets and columns sources, ordered by region: a "
        "pixel is the mean weight between the neurons of two regions, in units of the connectome; blank if there is "
        f"no edge, or if edges have the weight 0.{in_bins} Look at what an arm has kept of the reference's pattern, "
        "and what it has lost.",
        "Matrices ordered by region, one replicate each: "
        + "; ".join(
            f"{arm} has edges in {percent(len(rows) / int(rows['bins'].iloc[0]) ** 2)} of its blocks"
            for arm in arms
            if len(rows := matrices[matrices["arm"] == arm])
        )
        + ".",
    )


def named_regions(summary: Summary, matrices: pd.DataFrame) -> dict[str, list[str]]:
    """One arm of each connectome whose regions have names, and are few enough for these to be read, and the names."""
    found: dict[str, list[str]] = {}
    shown_already = set()
    for arm in sorted(summary.arms, key=lambda arm: arm != summary.reference):
        used, rows = summary.connectomes[arm], matrices[matrices["arm"] == arm]
        names = used["regions"]
        if names is None or len(names) > MOST_NAMED or used["digest"] in shown_already or rows.empty:
            continue
        if (rows["bins"] == len(names)).all() and (rows["regions"] == len(names)).all():
            shown_already.add(used["digest"])
            found[arm] = names
    return found


def draw_regions(summary: Summary, matrices: pd.DataFrame, named: dict[str, list[str]]) -> Figure:
    """The matrix of an arm of each connectome, with the names of its regions."""
    canvas = Canvas(figsize=(WIDTH, 5.2 * len(named) + 0.35), dpi=200, layout="constrained")
    panels = dict(zip(named, canvas.subplots(len(named), 1, squeeze=False).flat, strict=True))
    _draw_blocks(canvas, panels, matrices[matrices["arm"].isin(named)])
    strongest = {}
    for arm, names in named.items():
        places, ticks = range(1, len(names) + 1), shown(names, LONGEST_TICK)
        size = min(7.5, 72 * 4 / len(names))
        panels[arm].set_xticks(places, ticks, rotation=90, fontsize=size)
        panels[arm].set_yticks(places, ticks, fontsize=size)
        rows = matrices[(matrices["arm"] == arm) & (matrices["target"] != matrices["source"])]
        rows = rows.assign(mean=rows["weight"] / rows["pairs"]).nlargest(3, "mean")
        strongest[arm] = [
            f"{ticks[source]} → {ticks[target]}" for source, target in rows[["source", "target"]].to_numpy()
        ]
    return finish(
        canvas,
        "regions",
        "Which regions are wired to which",
        "The matrix of replicate 0 before training of one arm for each connectome, rows targets and columns sources, "
        f"with the names of the regions, shortened to {LONGEST_TICK} characters. The regions of the other arms of a "
        "connectome are in the same order.",
        "Strongest connections between regions: "
        + "; ".join(f"{arm}: {', '.join(found) or 'none'}" for arm, found in strongest.items())
        + ".",
    )


def _draw_blocks(canvas: Canvas, panels: dict[str, Axes], matrices: pd.DataFrame) -> None:
    """The matrix of each arm in its panel, in common colours."""
    weights = (matrices["weight"] / matrices["pairs"]).to_numpy()
    drawn = weights[weights > 0]
    norm = LogNorm(drawn.min(), drawn.max()) if len(drawn) and drawn.min() < drawn.max() else None
    image = None
    for arm, axes in panels.items():
        rows = matrices[matrices["arm"] == arm]
        bins, regions = int(rows["bins"].iloc[0]), int(rows["regions"].iloc[0])
        matrix = np.full((bins, bins), np.nan)
        matrix[rows["target"], rows["source"]] = np.where(rows["weight"] > 0, rows["weight"] / rows["pairs"], np.nan)
        extent = (0.5, regions + 0.5, regions + 0.5, 0.5)
        image = axes.imshow(matrix, cmap=COLOURS_OF_WEIGHTS, norm=norm, interpolation="none", extent=extent)
        axes.set_title(f"{arm}, {count(regions, 'region')}", fontsize=8.5, loc="left")
        axes.set_xlabel("source region")
        axes.set_ylabel("target region")
    assert image is not None
    bar = canvas.colorbar(image, ax=list(panels.values()), location="bottom", shrink=0.8, aspect=40)
    bar.set_label(f"mean weight of a pair of neurons{' (log scale)' if norm else ''}")
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())


def draw_associations(summary: Summary) -> Figure:
    """Rank correlations of every measure with updates to criterion: within arms and, as a point, over all arms."""
    shown = summary.associations
    canvas, axes = panel(0.19 * len(shown) + 1.0)
    axes.axvline(0, color=INK, lw=0.6)
    for row, found in enumerate(reversed(shown)):
        axes.plot(found.across, row - 0.2, "s", color=REFERENCE_COLOUR, mfc=PAPER, ms=3)
        if found.within:
            if found.within.low is not None and found.within.high is not None:
                axes.plot([found.within.low, found.within.high], [row + 0.1] * 2, color=REFERENCE_COLOUR, lw=1.6)
            axes.plot(found.within.value, row + 0.1, "o", color=REFERENCE_COLOUR, ms=4)
    axes.set_yticks(range(len(shown)), [_spelt(a.measure) for a in reversed(shown)])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(-1.03, 1.03)
    most = max(a.networks for a in shown)
    axes.set_xlabel(
        f"rank correlation with updates to criterion, n = {most} networks of {count(shown[0].arms, 'arm')}\n"
        "← more of it, faster · more of it, slower →"
    )
    return finish(
        canvas,
        "associations",
        "Measures associated with speed",
        "Spearman's ρ of each measure with updates to criterion. Dots: within arms, with all differences between arms "
        "removed, and 95 % jackknife intervals over replicates, which hold for new draws of the same arms. A measure "
        "that doesn't vary within arms has no dot. Open squares: over the networks of all arms, without an interval. "
        "Arms were chosen, and differ in nearly every measure, so that such an interval would leave out 0 in a third "
        "to two thirds of studies in which no measure has an effect. A correlation with one measure may be due to "
        "another.",
        "Rank correlations with updates to criterion: "
        + "; ".join(f"{_spelt(a.measure)} {_correlation(a)}" for a in shown)
        + f"; {several(summary.arms)}.",
    )


def draw_measures(summary: Summary, own: pd.DataFrame, topologies: pd.DataFrame) -> Figure:
    """The measures of the strongest correlations within arms against updates to criterion, network by network."""
    chosen = [a for a in summary.associations if a.within][:SCATTERS]
    both = own[["arm", "replicate", "updates"]].merge(topologies, on=["arm", "replicate"])
    both = both.assign(updates=both["updates"].clip(lower=1))
    canvas, panels = grid([a.measure for a in chosen], 1.6, share_x=False)
    for found, axes in zip(chosen, panels, strict=True):
        for place, arm in enumerate(summary.arms):
            rows = both[both["arm"] == arm]
            label = f"{arm}, n = {len(rows)}" if found is chosen[0] and len(rows) else None
            axes.plot(
                rows[found.measure], rows["updates"], MARKERS[place % len(MARKERS)], color=arm_colour(summary, arm),
                ms=3, mew=0, alpha=0.75, label=label, rasterized=len(both) > MOST_DOTS_AS_VECTORS,
            )  # fmt: skip
        log_axis(axes, "y", both["updates"].min() / 1.1, both["updates"].max() * 1.1)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
        axes.set_xlabel(_spelt(found.measure))
        axes.set_title(f"ρ = {_correlation(found)}", fontsize=7.5, loc="left")
    canvas.supylabel("updates to criterion (log scale)", fontsize="medium")
    legend(canvas, len(summary.arms))
    return finish(
        canvas,
        "measures",
        "Measures against speed",
        f"Each dot is a network: the {count(len(chosen), 'measure')} with the strongest rank correlation within arms "
        f"of {len(summary.associations)}, and chosen for that. Look whether dots of one colour show a slope: if arms "
        "form separate clumps, that only shows that they differ.",
        "Updates to criterion against "
        + several(f"{_spelt(a.measure)} (rank correlation {_correlation(a)})" for a in chosen)
        + f", for {several(summary.arms)}.",
    )


def _correlation(found: Association) -> str:
    """Within arms, with its interval; if nothing varies there, over all arms."""
    part = found.within
    if part is None:
        return f"{found.across:.2f} over all arms"
    if part.low is None or part.high is None:
        return f"{part.value:.2f} within arms"
    return f"{part.value:.2f} [{part.low:.2f}, {part.high:.2f}] within arms"


def _spelt(measure: str) -> str:
    return measure.replace("_", " ")
