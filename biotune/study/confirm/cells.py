"""The cells of a confirmation: each arm at each setting under each condition, every one trained once.

Where two of them come to the same plan, they are one cell that is read as both.
"""

from collections.abc import Callable, Iterator, Mapping

from biotune.results.documents import Cell, Reading
from biotune.study.definition.study import Setting, Study


def make_cells(
    study: Study,
    shared: Setting,
    own_best: Mapping[str, Setting],
    same: Mapping[str, list[str]],
    digest: Callable[[str, Setting, Reading], str],
) -> list[Cell]:
    """The cells, in the order in which they are confirmed: those that the verdict comes from first.

    Args:
        study: that was searched.
        shared: the setting that all arms are confirmed at. own_best: arm -> the setting that is its own best.
        same: condition -> the arms that are the reference under it, which are not trained.
        digest: (arm, setting, what it is read as) -> `TrialPlan.digest` of its replicates.
    """
    cells: dict[tuple[str, str], Cell] = {}
    for reading, arm, setting in _readings(study, shared, own_best, same):
        plan = digest(arm, setting, reading)
        cell = cells.get((arm, plan)) or Cell(
            plan=plan, arm=arm, condition=reading.condition, setting=dict(setting), readings=[], whole=False
        )
        whole = cell.whole or reading.condition == study.primary
        cells[arm, plan] = cell.model_copy(update={"readings": [*cell.readings, reading], "whole": whole})
    return list(cells.values())


def _readings(
    study: Study, shared: Setting, own_best: Mapping[str, Setting], same: Mapping[str, list[str]]
) -> Iterator[tuple[Reading, str, Setting]]:
    for arm in own_best:
        yield Reading(condition=study.primary, phase="shared"), arm, shared
    for arm, setting in own_best.items():
        yield Reading(condition=study.primary, phase="own_best"), arm, setting
    for condition in list(study.conditions)[1:]:
        for arm in study.arms_under(condition):
            if arm not in same[condition]:
                yield Reading(condition=condition, phase="shared"), arm, shared
                if study.conditions[condition].gain is not None:
                    yield Reading(condition=condition, phase="gain_search"), arm, shared
