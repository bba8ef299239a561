"""Which settings are confirmed: one for each arm and the reference, and each arm's own best, both of the common
ones."""

import math
from collections.abc import Callable, Mapping

from biotune.errors import UserError
from biotune.results.documents import CommonSetting, Reading, Selection
from biotune.statistics import choose, regrets
from biotune.study.confirm.cells import make_cells
from biotune.study.definition.study import Setting, Study
from biotune.study.history.record import Record, TrialRecord


def select(
    study: Study, record: Record, same: Mapping[str, list[str]], digest: Callable[[str, Setting, Reading], str]
) -> Selection:
    """What every arm is compared at, see `biotune.statistics.choose`, and the cells that this makes.

    The common settings are those that every arm tried first; an arm's updates at one are the objective of its trial
    there, see `Standing.objective`.

    Args:
        study: that was searched. record: of it.
        same, digest: see `make_cells`.

    Raises:
        UserError: no arm trained at any common setting, so there is nothing to confirm.
    """
    common = {arm: record.of_arm(arm)[: study.config.search.shared_settings] for arm in study.arms}
    # the positive control has no say in whether there is anything to confirm
    if not any(map(_trained, tried := [trial for arm in study.config.arms for trial in common[arm]])):
        found = sorted({trial.status for trial in tried})
        raise UserError(
            f"every trial at a common setting ended as {' or '.join(found)}, so none can be confirmed; lower the "
            "learning rates under tune, or see trials.parquet for the errors"
        )
    reference = study.config.reference_arm
    updates = {arm: [_updates(trial) for trial in trials] for arm, trials in common.items()}
    chosen = choose(updates, reference)

    def setting(index: int, *arms: str) -> CommonSetting:
        regret = {arm: float(regrets(updates[arm])[index]) for arm in arms}
        return CommonSetting(
            index=index,
            setting=dict(common[arms[0]][index].setting),
            regrets={arm: value if math.isfinite(value) else None for arm, value in regret.items()},
        )

    pair = {arm: setting(index, arm, reference) for arm, index in chosen.pair.items()}
    own_best = {arm: setting(index, arm) for arm, index in chosen.own_best.items()}
    return Selection(pair=pair, own_best=own_best, cells=make_cells(study, pair, own_best, same, digest))


def _trained(trial: TrialRecord) -> bool:
    return trial.objective is not None and trial.status in ("completed", "stopped")


def _updates(trial: TrialRecord) -> float:
    return trial.objective if trial.objective is not None and _trained(trial) else math.inf
