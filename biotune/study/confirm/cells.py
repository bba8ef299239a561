"""The cells of a confirmation: each arm at each setting under each condition, every one trained once.

Where two of them come to the same plan, they are one cell that is read as both.
"""

from collections.abc import Callable, Iterator, Mapping

from biotune.results.documents import Cell, CommonSetting, Reading
from biotune.study.definition.study import Setting, Study

Settings = Mapping[str, CommonSetting]


def make_cells(
    study: Study,
    pair: Settings,
    own_best: Settings,
    same: Mapping[str, list[str]],
    digest: Callable[[str, Setting, Reading], str],
) -> list[Cell]:
    """The cells, in the order in which they are confirmed: those that the verdicts come from first.

    Args:
        study: that was searched.
        pair: arm -> the setting at which it is compared with the reference. own_best: arm -> its own best setting.
        same: condition -> the arms that are the reference under it, which are not trained.
        digest: (arm, setting, what it is read as) -> `TrialPlan.digest` of its replicates.
    """
    cells: dict[tuple[str, str], Cell] = {}
    for reading, arm, setting in _readings(study, pair, own_best, same):
        plan = digest(arm, setting, reading)
        cell = cells.get((arm, plan)) or Cell(
            plan=plan, arm=arm, condition=reading.condition, setting=dict(setting), readings=[], whole=False
        )
        whole = cell.whole or reading.condition == study.primary
        cells[arm, plan] = cell.model_copy(update={"readings": [*cell.readings, reading], "whole": whole})
    return list(cells.values())


def _readings(
    study: Study, pair: Settings, own_best: Settings, same: Mapping[str, list[str]]
) -> Iterator[tuple[Reading, str, Setting]]:
    reference = study.config.reference_arm
    for condition in study.conditions:
        for arm in study.arms_under(condition):
            if arm == reference or (condition != study.primary and arm in same[condition]):
                continue
            swept = study.conditions[condition].gain is not None
            for phase in ("pair", "gain_search") if swept else ("pair",):
                yield Reading(condition=condition, phase=phase), arm, pair[arm].setting
                yield Reading(condition=condition, phase=phase, against=arm), reference, pair[arm].setting
        if condition == study.primary:
            for arm, best in own_best.items():
                yield Reading(condition=condition, phase="own_best"), arm, best.setting
