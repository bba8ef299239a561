"""The figures of the confirmation. Every replicate is drawn, and nothing is smoothed."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from biotune import statistics
from biotune.report.figures.drawing import (
    INK,
    MOST_POINTS_AS_VECTORS,
    PAPER,
    Figure,
    arm_colour,
    arm_line_style,
    criterion_lines,
    finish,
    grid,
    label_grid,
    legend,
    lines,
    log_axis,
    loss_axis,
    panel,
    ratio_axis,
    wide,
)
from biotune.report.formatting import NOTHING, count, number, percent, several
from biotune.report.formatting import ratio as as_ratio
from biotune.report.results.arm_results import Comparison
from biotune.report.results.comparisons import log_ratios_of
from biotune.report.results.summary import Summary
from biotune.report.text.answer import claim_name, confidence, spoken
from biotune.report.text.looks import NOT_ADJUSTED


def draw_ratios(summary: Summary, convergence: pd.DataFrame) -> Figure:
    """Each arm's ratio with its interval, every pair, and the margin."""
    shown = [c for c in summary.comparisons if c.ratio]
    own = {c.arm: c for c in summary.own_best if c.ratio and summary.has_two_ratios(c.arm)}
    canvas, axes = panel(0.62 * len(shown) + 0.95)
    low, high = 1 / (1 + summary.margin), 1 + summary.margin
    axes.axvspan(low, high, color=INK, alpha=0.1, lw=0)
    axes.axvline(1, color=INK, lw=0.6)
    ends = [low, high]
    for row, comparison in enumerate(reversed(shown)):
        colour = arm_colour(summary, comparison.arm)
        pairs = np.exp(log_ratios_of(convergence, "pair", comparison.arm, summary.reference))
        ends += [pairs.min(), pairs.max()]
        axes.plot(pairs, np.full(len(pairs), row + 0.24), "|", color=colour, ms=6, mew=0.8, alpha=0.7)
        drawn: list[tuple[Comparison, float, str, str, float]] = [(comparison, row, "o", colour, 2.4)]
        if comparison.arm in own:
            drawn.append((own[comparison.arm], row - 0.2, "s", PAPER, 1.0))
        for c, y, marker, face, width in drawn:
            assert c.ratio is not None
            if not c.comparable and c.ratio.spread < 1e-12:
                continue  # all are censored at the budget: their ratio is 1 and means nothing
            if math.isfinite(c.ratio.high):
                axes.plot([c.ratio.low, c.ratio.high], [y, y], color=colour, lw=width, solid_capstyle="butt")
                ends += [c.ratio.low, c.ratio.high]
                if c.verdict and c.verdict.bound:
                    end, arrow = (c.ratio.low, "<") if c.verdict.direction == "faster" else (c.ratio.high, ">")
                    axes.plot(end, y, arrow, color=colour, ms=5)
            axes.plot(c.ratio.estimate, y, marker, color=colour, mfc=face, ms=6 if marker == "o" else 4.5, mew=1)
            ends.append(c.ratio.estimate)
        axes.text(1.02, row, claim_name(summary, comparison.arm).replace(", ", "\n"),
                  transform=axes.get_yaxis_transform(), ha="left", va="center", color=INK, fontsize=8.5)  # fmt: skip
    axes.set_yticks(range(len(shown)), [f"{c.arm}\n{count(c.ratio.pairs, 'pair')}" for c in reversed(shown) if c.ratio])
    axes.set_ylim(-0.5, len(shown) - 0.3)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    ratio_axis(axes, min(ends), max(ends))
    axes.set_xlabel(f"updates to criterion, ratio to {summary.reference} (log scale)\n← faster · slower →")
    described = "; ".join(
        f"{c.arm} {as_ratio(c.ratio.estimate)}, interval {as_ratio(c.ratio.low)} to {as_ratio(c.ratio.high)}, "
        f"{spoken(c.verdict)}"
        for c in shown
        if c.ratio
    )
    beside = (
        " Thin lines with open squares: each arm at its own best setting; only what both show is claimed."
        if own
        else ""
    )
    if any(c.verdict and c.verdict.bound for c in [*shown, *own.values()]):
        beside += " An arrow: the difference is at least this large, since replicates of the slower side are censored."
    return finish(
        canvas,
        "ratios",
        f"How many updates each arm needs, relative to {summary.reference}",
        f"Dots and bold lines: geometric mean ratio and its {confidence(summary)} interval at the setting "
        "of each pair; ticks above: each pair of replicates. The grey band is the margin fixed before the run, "
        f"{as_ratio(low)} to {as_ratio(high)}. Look first on which side of 1 a line lies: wholly left of it the arm is "
        "faster, wholly right of it slower. Then whether it lies wholly beyond the band, across its edge (the size is "
        f"open), or wholly within it (practically equivalent).{beside}",
        f"Ratios of updates to criterion to {summary.reference}: {described}.",
    )


def draw_learning(summary: Summary, curves: pd.DataFrame) -> Figure:
    """Validation loss against updates, one panel per arm: every replicate and the interquartile mean."""
    arms = [arm for arm in summary.arms if (curves["arm"] == arm).any()]
    canvas, panels = grid(arms, 1.65)
    vector = len(curves) <= MOST_POINTS_AS_VECTORS
    finite = curves["validation_loss"].to_numpy(dtype=np.float64)
    finite = finite[np.isfinite(finite) & (finite > 0)]
    for arm, axes in zip(arms, panels, strict=True):
        table = wide(curves[curves["arm"] == arm], "replicate")
        colour = arm_colour(summary, arm)
        lines(axes, table, color=colour, lw=0.5, alpha=0.4, rasterized=not vector)
        mean = statistics.interquartile_mean(table.to_numpy().T)
        axes.plot(table.index, np.where(np.isfinite(mean), mean, np.nan), color=colour, lw=1.8)
        criterion_lines(axes, summary)
        axes.axvline(summary.budget, color=INK, lw=0.6, ls=":")
        axes.set_title(f"{arm}, n = {table.shape[1]}", fontsize=8.5, loc="left")
        axes.set_xlim(0, max(summary.budget, curves["updates"].max()))
        loss_axis(axes, [*finite, summary.criterion["level"], summary.criterion["null_loss"]])
    label_grid(canvas, panels, "updates (optimiser steps)", "validation loss")
    return finish(
        canvas,
        "learning_curves",
        "Learning, replicate by replicate",
        "Validation loss, each arm at its own best setting: each thin line is one network, the bold line the "
        "interquartile mean (the mean of the middle half). Dashed: the criterion, "
        f"{number(summary.criterion['level'])}; dotted: the loss of the null predictor, "
        f"{number(summary.criterion['null_loss'])}, and the budget, {number(summary.budget)} updates. Look at where "
        "the thin lines cross the dashed one, and how far apart.",
        f"Validation loss against updates for {several(arms)}, one panel each. "
        + " ".join(_spoken_result(summary, arm) for arm in arms),
    )


def draw_updates(summary: Summary, own: pd.DataFrame) -> Figure:
    """Updates to criterion of every replicate; lines join pairs."""
    arms = [arm for arm in summary.arms if (own["arm"] == arm).any()]
    canvas, axes = panel(2.8)
    own = own.assign(updates=own["updates"].clip(lower=1))  # at least 1, as in the ratios
    wide = own.pivot_table(index="replicate", columns="arm", values="updates", dropna=False).reindex(columns=arms)
    for _, row in wide.iterrows():
        axes.plot(range(len(arms)), row.to_numpy(), color=INK, lw=0.4, alpha=0.3, zorder=1)
    for column, arm in enumerate(arms):
        rows, colour = own[own["arm"] == arm], arm_colour(summary, arm)
        for met, face in ((True, colour), (False, PAPER)):
            some = rows[rows["converged"].to_numpy(dtype=bool) == met]
            marker = "o" if met else "^"
            axes.plot(
                np.full(len(some), column), some["updates"], marker, color=colour, mfc=face, ms=4, mew=0.9, zorder=2
            )
        result = summary.result(arm)
        assert result is not None
        axes.plot([column - 0.22, column + 0.22], [result.updates] * 2, color=colour, lw=2.2, zorder=3)
    axes.axhline(summary.budget, color=INK, lw=0.6, ls=":")
    log_axis(axes, "y", own["updates"].min() * 0.9, _reach(summary, own) * 1.08)
    axes.set_xticks(range(len(arms)), [f"{a}\nn = {(own['arm'] == a).sum()}" for a in arms])
    if len(arms) > 5:
        axes.tick_params(axis="x", rotation=40)
    axes.set_xlim(-0.5, len(arms) - 0.5)
    axes.set_ylabel("updates to criterion (log scale)")
    missed = ""
    if not own["converged"].all():
        missed = (
            " Open triangles on the dotted line did not meet the criterion within the budget of "
            f"{number(summary.budget)} updates."
        )
    return finish(
        canvas,
        "updates_to_criterion",
        "Updates to criterion, pair by pair",
        "Each dot is a network, and thin lines join the replicates of a pair, which share data and initial values, "
        f"each arm at its own best setting: the ratios come from their slopes. Bars: geometric means.{missed}",
        " ".join(_spoken_result(summary, arm) for arm in arms),
    )


def draw_kaplan_meier(summary: Summary, own: pd.DataFrame) -> Figure:
    """Share of replicates that have met the criterion, against updates."""
    arms = [arm for arm in summary.arms if (own["arm"] == arm).any()]
    canvas, axes = panel(2.6)
    for arm in arms:
        rows = own[own["arm"] == arm]
        curve = statistics.kaplan_meier(rows["updates"], rows["converged"].to_numpy(dtype=bool))
        look: dict[str, Any] = {"color": arm_colour(summary, arm), "ls": arm_line_style(summary, arm)}
        axes.step(curve["updates"], curve["share"], where="post", lw=1.6, label=f"{arm}, n = {len(rows)}", **look)
        axes.fill_between(
            curve["updates"], curve["low"], curve["high"], step="post", color=look["color"], alpha=0.12, lw=0
        )
    axes.set_xlim(0, _reach(summary, own) * 1.02)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
    axes.set_xlabel("updates (optimiser steps)")
    axes.set_ylabel("replicates that met the criterion")
    legend(canvas, len(arms))
    return finish(
        canvas,
        "kaplan_meier",
        "How many have learnt after how many updates",
        "Each arm at its own best setting: Kaplan–Meier curves with pointwise 95 % bands: the share of replicates "
        "that have met the criterion, against updates. A curve further left is faster; one that ends below 100 % has "
        f"replicates that never met it.{f' The bands are {NOT_ADJUSTED}.' if summary.looks.several else ''}",
        " ".join(_spoken_result(summary, arm) for arm in arms),
    )


def draw_final_loss(summary: Summary, own: pd.DataFrame) -> Figure:
    """Loss at the budget on test trials, which are used for nothing else."""
    arms = [arm for arm in summary.arms if (own["arm"] == arm).any()]
    canvas, axes = panel(0.36 * len(arms) + 0.75)
    losses = own["test_loss"].to_numpy(dtype=np.float64)
    finite = losses[np.isfinite(losses) & (losses > 0)]
    for row, arm in enumerate(reversed(arms)):
        values = own.loc[own["arm"] == arm, "test_loss"].to_numpy(dtype=np.float64)
        colour = arm_colour(summary, arm)
        shift = 0.12 * ((np.arange(len(values)) % 3) - 1)  # so that equal losses don't hide each other
        axes.plot(values, row + shift, "o", color=colour, ms=3.2, mew=0, alpha=0.75)
        median = statistics.quartiles(values)[1]
        if math.isfinite(median):
            axes.plot([median] * 2, [row - 0.3, row + 0.3], color=colour, lw=2.2)
    axes.set_yticks(range(len(arms)), [f"{a}, n = {(own['arm'] == a).sum()}" for a in reversed(arms)])
    axes.set_ylim(-0.6, len(arms) - 0.4)
    axes.tick_params(axis="y", length=0)
    if len(finite):
        log_axis(axes, "x", finite.min() * 0.8, finite.max() * 1.25)
    axes.set_xlabel("test loss at the budget (log scale)")
    missing = int(len(losses) - len(finite))
    lost = f" {count(missing, 'replicate')} without a finite loss above 0 cannot be drawn." if missing else ""
    return finish(
        canvas,
        "final_loss",
        "Where they end",
        f"Each arm at its own best setting: loss after {number(summary.budget)} updates on trials that neither "
        "training nor the criterion has used; dots are networks, bars medians. Faster is not the same as better: an "
        f"arm may learn faster and end with a higher loss.{lost}",
        "Median test loss: "
        + "; ".join(f"{a} {number(r.test_loss[1])}" for a in arms if (r := summary.result(a)) is not None)
        + ".",
    )


def _reach(summary: Summary, own: pd.DataFrame) -> float:
    """Updates that an axis must reach: the budget if a replicate is censored at it, else the last convergence."""
    return float(own["updates"].max() if own["converged"].all() else summary.budget)


def _spoken_result(summary: Summary, arm: str) -> str:
    result = summary.result(arm)
    if result is None:
        return f"{arm}: {NOTHING}."
    share = result.converged
    return f"{arm}: {share.count} of {share.total} met the criterion, geometric mean {number(result.updates)} updates."
