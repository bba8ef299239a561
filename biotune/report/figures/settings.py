"""The figure of the common settings: what the search found of each arm and the reference at every one of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from biotune.report.figures.drawing import (
    INK,
    PAPER,
    Figure,
    arm_colour,
    arm_line_style,
    finish,
    grid,
    label_grid,
    legend,
    log_axis,
)
from biotune.report.formatting import number
from biotune.report.formatting import setting as spelled
from biotune.report.results.summary import AtSetting, Summary
from biotune.report.text.answer import SETTINGS_TITLE


def draw_settings(summary: Summary) -> Figure:
    """Updates to criterion of each arm and the reference at each common setting, a panel for each pair."""
    others = [arm for arm in summary.arms if arm != summary.reference and summary.settings[arm]]
    canvas, panels = grid(others, 1.9)
    key, joined = _axis(summary.settings[summary.reference])
    drawn = [at for arm in (summary.reference, *others) for at in summary.settings[arm]]
    updates = [at.updates for at in drawn if at.updates]
    top = max([*updates, 1.0]) * 1.25
    for arm, axes in zip(others, panels, strict=True):
        for one in (summary.reference, arm):
            _draw_arm(axes, summary, one, key, joined, top, named=one == arm or arm == others[0])
        pair = summary.result(arm, "pair")
        if pair is not None and (at := _of(summary.settings[arm], pair.setting)) is not None:
            axes.axvline(_x(at, key), color=INK, lw=0.7, ls=":")
        axes.set_title(arm, fontsize=8.5, loc="left")
        log_axis(axes, "y", min([*updates, top]) / 1.15, top * 1.1)
        if key:
            x = [_x(at, key) for at in drawn]
            if min(x) > 0 and max(x) > 3 * min(x):
                log_axis(axes, "x", min(x) / 1.1, max(x) * 1.1)
                axes.set_xticks(np.geomspace(min(x), max(x), 3))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: number(tick, 2)))
    label_grid(canvas, panels, key.replace("_", " ") if key else "common setting", "mean updates to criterion")
    legend(canvas, len(others) + 1)
    lines = " Lines join settings that are otherwise the same." if joined else ""
    return finish(
        canvas,
        "settings",
        SETTINGS_TITLE,
        f"What the search found of each arm and of {summary.reference} at every common setting: mean updates to "
        f"criterion, with the budget for a network that did not meet it.{lines} Large dots: each arm's own best; the "
        "dotted line: the setting that was chosen for the pair. Open triangles: not all networks met the criterion, "
        "or the trial was stopped; crosses: it diverged or failed. If the curves cross, the answer depends on the "
        "setting; if only their minima lie apart, so does the ratio at any one setting.",
        "; ".join(
            f"{arm}: fewest updates {number(best.updates)} at {spelled(best.setting)}"
            for arm in (summary.reference, *others)
            if (best := _best(summary.settings[arm]))
        )
        + ".",
    )


def _draw_arm(axes: Axes, summary: Summary, arm: str, key: str, joined: bool, top: float, *, named: bool) -> None:
    colour, own = arm_colour(summary, arm), summary.settings[arm]
    result = summary.result(arm)
    best = _of(own, result.setting) if result else _best(own)
    groups: dict[str, list[AtSetting]] = {}
    for at in own:
        groups.setdefault(str({name: value for name, value in at.setting.items() if name != key}), []).append(at)
    if joined:
        for group in groups.values():
            line = sorted((at for at in group if at.updates), key=lambda at: _x(at, key))
            x, y = [_x(at, key) for at in line], [at.updates or top for at in line]
            axes.plot(x, y, color=colour, lw=1.0, ls=arm_line_style(summary, arm))
    label: str | None = arm if named else None
    for at in own:
        whole = at.updates is not None and at.met[0] == at.met[1]
        look: dict[str, Any] = {"color": colour, "mew": 0.9, "ms": 7 if at is best else 3.5}
        marker, face = ("o", colour) if whole else ("^", PAPER) if at.updates else ("x", colour)
        axes.plot(_x(at, key), at.updates or top, marker, mfc=face, **look)
    axes.plot([], [], "o", color=colour, ms=3.5, ls=arm_line_style(summary, arm), lw=1.0, label=label)


def _axis(common: Sequence[AtSetting]) -> tuple[str, bool]:
    """The key that the settings are drawn along, empty if none is a number; and whether it is the only such key."""
    numbers = [
        key
        for key in (common[0].setting if common else {})
        if all(isinstance(at.setting[key], int | float) and not isinstance(at.setting[key], bool) for at in common)
    ]
    key = "learning_rate" if "learning_rate" in numbers else next(iter(numbers), "")
    return key, len(numbers) == 1


def _x(at: AtSetting, key: str) -> float:
    return float(at.setting[key]) if key else float(at.index)


def _of(common: Sequence[AtSetting], setting: dict[str, Any]) -> AtSetting | None:
    return next((at for at in common if at.setting == setting), None)


def _best(common: Sequence[AtSetting]) -> AtSetting | None:
    return min((at for at in common if at.updates), key=lambda at: at.updates or 0.0, default=None)
