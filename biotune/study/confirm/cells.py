"""The cells of a confirmation: each arm at each setting that the report reads it at, every one trained once.

A condition (overrides that all arms are confirmed under) is one more label here, with the plan that it makes.
"""

from collections.abc import Callable, Iterator, Mapping

from biotune.results.documents import Cell
from biotune.results.vocabulary import Label
from biotune.study.definition.study import Setting


def make_cells(shared: Setting, own_best: Mapping[str, Setting], digest: Callable[[str, Setting], str]) -> list[Cell]:
    """The cells, in the order in which they are confirmed: those that the verdict comes from first.

    Args:
        shared: the setting that all arms are confirmed at. own_best: arm -> the setting that is its own best.
        digest: (arm, setting) -> `TrialPlan.digest` of its confirmed replicates. Cells that have the same are one.
    """
    cells: dict[tuple[str, str], Cell] = {}
    for label, arm, setting in _labelled(shared, own_best):
        plan = digest(arm, setting)
        cell = cells.get((arm, plan)) or Cell(plan=plan, arm=arm, setting=dict(setting), labels=[])
        cells[arm, plan] = cell.model_copy(update={"labels": [*cell.labels, label]})
    return list(cells.values())


def _labelled(shared: Setting, own_best: Mapping[str, Setting]) -> Iterator[tuple[Label, str, Setting]]:
    for arm in own_best:
        yield "shared", arm, shared
    for arm, setting in own_best.items():
        yield "own_best", arm, setting
