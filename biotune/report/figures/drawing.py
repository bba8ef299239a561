"""How the figures look, and the tools that draw them: style, colours, panels, logarithmic axes, files.

Colours are Okabe & Ito's (2008), told apart by the colour-blind and in grey by their line styles; ink and paper are two
colours that occur nowhere else, so that the page can put its own in their place in the dark.
"""

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from biotune.report.formatting import number
from biotune.report.results.summary import Summary

INK, PAPER = "#1b1b1d", "#fdfdfe"
REFERENCE_COLOUR = "#0072b2"
ARM_COLOURS = ("#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#b8a800")
LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))

MARKERS = ("o", "s", "^", "D", "v", "P", "X")

WIDTH = 5.2
"""Inches: text that is legible both in a column of a paper and, scaled to it, on a phone."""

MOST_POINTS_AS_VECTORS = 40_000
"""Faint lines with more points than this are drawn as pixels; as vectors they would make a page of megabytes."""

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.parse_math": False,  # an arm may be named $a$
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "biotune",
    "path.simplify": False,
}


@dataclass(frozen=True)
class Figure:
    """A figure, as files and in words.

    Attributes:
        name: of its files.
        caption: what to see in it. alternative: what it shows, for those who don't see it.
    """

    name: str
    title: str
    caption: str
    alternative: str
    svg: str
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure, whatever matplotlib's settings are on this machine."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a region's name: a box takes its place
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def lines(axes: Axes, table: pd.DataFrame, **look: Any) -> None:
    """One line per column of the table, against its index; values that a log scale can't show are left out.

    Args:
        table: rows updates, columns replicates or trials: losses.
        look: of the LineCollection.
    """
    x = table.index.to_numpy(dtype=np.float64)
    values = table.to_numpy(dtype=np.float64)
    values = np.where(values > 0, values, np.nan)
    segments = [np.column_stack([x, column])[np.isfinite(column)] for column in values.T]
    axes.add_collection(LineCollection([s for s in segments if len(s)], **look))


def panel(height: float) -> tuple[Canvas, Axes]:
    """A figure of one panel; height in inches."""
    canvas = Canvas(figsize=(WIDTH, height), dpi=200, layout="constrained")
    return canvas, canvas.add_subplot()


def grid(names: Sequence[str], height: float, *, share_x: bool = True) -> tuple[Canvas, list[Axes]]:
    """One panel per name, two in a row, with common axes, or with a common y axis only."""
    columns = min(2, len(names))
    rows = math.ceil(len(names) / columns)
    canvas = Canvas(figsize=(WIDTH, height * rows + 0.35), dpi=200, layout="constrained")
    made = canvas.subplots(rows, columns, sharex=share_x, sharey=True, squeeze=False)
    panels = list(made.flat)
    for spare in panels[len(names) :]:
        spare.remove()
    return canvas, panels[: len(names)]


def legend(canvas: Canvas, entries: int) -> None:
    """The legend, above the panels, in rows of two or three."""
    canvas.legend(loc="outside upper left", ncols=2 if entries in (2, 4) else 3)


def label_grid(canvas: Canvas, panels: Sequence[Axes], x: str, y: str) -> None:
    """Names the common axes once, and ticks the last panel of each column."""
    canvas.supxlabel(x, fontsize="medium")
    canvas.supylabel(y, fontsize="medium")
    for axes in panels[-2:]:
        axes.tick_params(labelbottom=True)


def log_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """A log scale from low to high with plain numbers; if it spans several decades, ticks are at decades only."""
    low, high = (low, high) if high > low * 1.01 else (low / 1.3, high * 1.3)
    if which == "x":
        axes.set(xscale="log", xlim=(low, high))
    else:
        axes.set(yscale="log", ylim=(low, high))
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = math.log10(high / low)
    steps = (1.0, 2.0, 5.0) if decades > 1 else (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
    axis.set_major_locator(LogLocator(subs=steps if decades < 2.2 else (1.0,), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda tick, _: number(tick)))
    axis.set_minor_formatter(NullFormatter())


def loss_axis(axes: Axes, losses: Sequence[float]) -> None:
    """A log scale from the least to the greatest of the losses, which are all above 0."""
    if losses:
        log_axis(axes, "y", min(losses) * 0.8, max(losses) * 1.25)


def ratio_axis(axes: Axes, low: float, high: float) -> None:
    """A log scale around 1 that is ticked at the same factors on both sides."""
    axes.set_xscale("log")
    axes.set_xlim(low / 1.08, high * 1.08)
    reach = max(high, 1 / low) * 1.08
    factors: tuple[float, ...] = (1.1, 1.25, 1.5, 2)
    if reach > 2.2:
        factors = (1.25, 1.5, 2, 3, 5) if reach < 6 else (2, 5, 10, 20, 50, 100, 1000)
    ticks = sorted({1.0, *factors, *(1 / f for f in factors)})
    axes.set_xticks([t for t in ticks if low / 1.08 <= t <= high * 1.08])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:.2f}".rstrip("0").rstrip(".")))


def arm_colour(summary: Summary, arm: str) -> str:
    """An arm's colour in every figure."""
    if arm == summary.reference:
        return REFERENCE_COLOUR
    others = [name for name in summary.arms if name != summary.reference]
    return ARM_COLOURS[others.index(arm) % len(ARM_COLOURS)]


def arm_line_style(summary: Summary, arm: str) -> str | tuple[int, tuple[float, ...]]:
    """An arm's line style, by which it is recognised without colour."""
    return LINE_STYLES[list(summary.arms).index(arm) % len(LINE_STYLES)]


def wide(curves: pd.DataFrame, columns: str) -> pd.DataFrame:
    """Validation losses; rows: updates, columns: one per line."""
    return curves.pivot_table(index="updates", columns=columns, values="validation_loss", dropna=False)


def criterion_lines(axes: Axes, summary: Summary) -> None:
    """The criterion, dashed, and the null predictor's loss, dotted."""
    axes.axhline(summary.criterion["level"], color=INK, lw=0.9, ls="--")
    axes.axhline(summary.criterion["null_loss"], color=INK, lw=0.6, ls=":")


def finish(canvas: Canvas, name: str, title: str, caption: str, alternative: str) -> Figure:
    """The figure as files, the same bytes for the same content."""
    if layout := canvas.get_layout_engine():
        layout.execute(canvas)  # once; otherwise each file would be laid out anew
    canvas.set_layout_engine(None)
    svg, png = io.StringIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    canvas.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Figure(name, title, caption, alternative, svg.getvalue(), png.getvalue())
