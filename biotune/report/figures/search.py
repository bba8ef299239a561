"""The figures of the search: every trial's curve and where it was stopped, and the best score against trials."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from biotune.report.figures.drawing import (
    INK,
    MOST_POINTS_AS_VECTORS,
    WIDTH,
    Figure,
    arm_colour,
    arm_line_style,
    criterion_lines,
    finish,
    grid,
    label_grid,
    legend,
    lines,
    loss_axis,
    wide,
)
from biotune.report.formatting import count, number, several
from biotune.report.results.summary import Summary
from biotune.results.vocabulary import ENDINGS, RUNNING


def draw_search(summary: Summary, curves: pd.DataFrame, trials: pd.DataFrame) -> Figure:
    """Each search trial's curve, and where it was stopped."""
    arms = [arm for arm in summary.arms if (curves["arm"] == arm).any()]
    canvas, panels = grid(arms, 1.65)
    losses = curves.assign(validation_loss=curves["validation_loss"].fillna(np.inf))
    by_evaluation = losses.groupby(["arm", "trial", "updates"])["validation_loss"]
    medians = by_evaluation.median().replace(np.inf, np.nan).reset_index()
    vector = len(medians) <= MOST_POINTS_AS_VECTORS
    values = medians["validation_loss"].to_numpy()
    values = values[np.isfinite(values) & (values > 0)]
    status = trials.set_index("trial")["status"]
    markers = {"stopped": "x", "diverged": "v", "failed": "v", "completed": "o", RUNNING: None}
    for arm, axes in zip(arms, panels, strict=True):
        mine, colour = medians[medians["arm"] == arm], arm_colour(summary, arm)
        lines(axes, wide(mine, "trial"), color=colour, lw=0.7, alpha=0.75, rasterized=not vector)
        for trial, rows in mine.dropna(subset="validation_loss").groupby("trial"):
            marker = markers.get(str(status.get(trial, RUNNING)))
            if marker:
                last = rows.iloc[-1]
                axes.plot(last["updates"], last["validation_loss"], marker, color=INK, mfc="none", ms=3, mew=0.7)
        criterion_lines(axes, summary)
        axes.set_title(f"{arm}, {count(mine['trial'].nunique(), 'trial')}", fontsize=8.5, loc="left")
        axes.set_xlim(0, curves["updates"].max() * 1.03)
        loss_axis(axes, [*values, summary.criterion["level"], summary.criterion["null_loss"]])
    label_grid(canvas, panels, "updates (optimiser steps)", "validation loss (median)")
    counts = {s: sum(r.statuses[s] for r in summary.search) for s in ENDINGS}
    return finish(
        canvas,
        "search",
        "The search",
        "Each line is a trial: the median validation loss of its replicates. Circles: trained to the end; crosses: "
        "stopped by ASHA; triangles: diverged or failed. The search selects by the loss that these curves show, so "
        "no conclusion is drawn from them.",
        f"Search curves of {several(arms)}: "
        + ", ".join(f"{n} {name}" for name, n in counts.items() if n or name == "completed")
        + ".",
    )


def draw_best_so_far(summary: Summary, trials: pd.DataFrame) -> Figure:
    """The best score among the first n trials of each arm, and the expected best of n quasi-random trials."""
    expected = {r.arm: r.expected_best for r in summary.search if len(r.expected_best) > 1}
    canvas = Canvas(figsize=(WIDTH, 2.5), dpi=200, layout="constrained")
    panels = canvas.subplots(1, 2 if expected else 1, sharey=True, squeeze=False)[0]
    arms = [arm for arm in summary.arms if trials.loc[trials["arm"] == arm, "best_loss"].notna().any()]
    shown = [summary.criterion["level"]]
    for arm in arms:
        rows = trials[trials["arm"] == arm].sort_values("index")
        best = np.fmin.accumulate(rows["best_loss"].to_numpy(dtype=np.float64))
        look: dict[str, Any] = {"color": arm_colour(summary, arm), "ls": arm_line_style(summary, arm), "lw": 1.5}
        look |= {"marker": ".", "ms": 4}
        number_of_trials = np.arange(1, len(rows) + 1)
        panels[0].step(number_of_trials, best, where="post", label=f"{arm}, n = {len(rows)}", **look)
        shown += best.tolist()
        if arm in expected:
            panels[1].plot(np.arange(1, len(expected[arm]) + 1), expected[arm], **look)
            shown += expected[arm]
    for axes in panels:
        axes.axhline(summary.criterion["level"], color=INK, lw=0.8, ls="--")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        loss_axis(axes, [v for v in shown if math.isfinite(v) and v > 0])
    panels[0].set_xlabel("trials proposed in the arm")
    panels[0].set_ylabel("best validation loss so far")
    beside = ""
    if expected:
        sizes = sorted({len(best) for best in expected.values()})
        panels[1].set_xlabel(f"quasi-random trials (of {several(map(str, sizes))})")
        panels[1].set_title("expected best", fontsize=8.5, loc="left")
        panels[0].set_title("as the search went", fontsize=8.5, loc="left")
        beside = (
            " Right: the expected best of n of the quasi-random trials in any order (Tang et al. 2020; geometric "
            "mean; a trial that diverged or failed counts with the null predictor's loss, a stopped one with the loss "
            "that it had reached): what a random search of n trials finds. The settings are the same in every arm."
        )
    legend(canvas, len(arms))
    ends = {a: trials.loc[trials["arm"] == a, "best_loss"].min() for a in arms}
    return finish(
        canvas,
        "search_best",
        "The best score against the number of trials",
        f"{'Left: the least' if expected else 'The least'} score (the median over replicates of each trial's best "
        "validation loss) among the first trials of each arm, in the order in which they were proposed. Every arm had "
        "the same number of trials; if lines are still falling at the right end, more trials would have "
        f"helped.{beside}",
        "Best score: " + "; ".join(f"{arm} {number(loss)}" for arm, loss in ends.items()) + ".",
    )
