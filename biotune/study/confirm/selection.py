"""Which settings are confirmed: one shared by all arms, for the verdict, and each arm's own best beside it."""

from collections.abc import Callable, Mapping

from biotune.errors import UserError
from biotune.results.documents import Reading, Selection, Shared
from biotune.study.confirm.cells import make_cells
from biotune.study.definition.study import Setting, Study
from biotune.study.history.record import Record, TrialRecord


def order(trial: TrialRecord) -> tuple[int, float, float]:
    """Sorts trials from best to worst.

    Completed trials come first, by restricted mean updates to criterion (mean over replicates of min(T, budget)), then
    by loss. Stopped ones follow: those that reached a later rung first, then by loss. Then the rest.
    """
    if trial.score is None or trial.status not in ("completed", "stopped"):
        return (2, 0.0, 0.0)
    if trial.status == "completed":
        return (0, trial.standing.mean_updates, trial.score)
    return (1, -float(trial.epochs), trial.score)


def select(
    study: Study, record: Record, same: Mapping[str, list[str]], digest: Callable[[str, Setting, Reading], str]
) -> Selection:
    """The shared setting of best mean rank over the arms, each arm's own best, and the cells that they make.

    Within an arm the shared settings are ranked by `order`; equals share their mean rank. A setting at which more arms
    trained goes before one at which fewer did, whatever their ranks; of settings with the same mean rank the one
    proposed first is taken. If nothing trained in an arm, the shared setting is its own best.

    Args:
        study: that was searched. record: of it.
        same, digest: see `make_cells`.

    Raises:
        UserError: no trial of any arm trained, so there is nothing to confirm.
    """
    arms = list(study.config.arms)  # the positive control has no say in what the others are compared at
    tried = [trial for arm in arms for trial in record.of_arm(arm)]
    if not any(_trained(trial) for trial in tried):
        found = sorted({trial.status for trial in tried})
        raise UserError(
            f"every trial ended as {' or '.join(found)}, so no setting can be confirmed; lower the learning rates "
            "under tune, or see trials.parquet for the errors"
        )
    shared = {arm: record.of_arm(arm)[: study.config.search.shared_settings] for arm in study.arms}
    ranks = {arm: _mean_ranks([order(trial) for trial in shared[arm]]) for arm in arms}
    count = len(shared[arms[0]])
    untrained = [sum(not _trained(shared[arm][index]) for arm in arms) for index in range(count)]
    mean = [sum(ranks[arm][index] for arm in arms) / len(arms) for index in range(count)]
    chosen = min(range(count), key=lambda index: (untrained[index], mean[index], index))
    setting = shared[arms[0]][chosen].setting
    best = {arm: min([shared[arm][chosen], *record.of_arm(arm)], key=order) for arm in study.arms}
    return Selection(
        shared=Shared(
            setting=setting,
            index=chosen,
            mean_rank=mean[chosen],
            ranks={arm: ranks[arm][chosen] for arm in arms},
        ),
        own_best={arm: trial.trial for arm, trial in best.items()},
        cells=make_cells(study, setting, {arm: trial.setting for arm, trial in best.items()}, same, digest),
    )


def _trained(trial: TrialRecord) -> bool:
    return order(trial)[0] < 2


def _mean_ranks(keys: list[tuple[int, float, float]]) -> list[float]:
    """Ranks from 1; equals get the mean of the ranks that they take up."""
    ordered = sorted(keys)
    return [ordered.index(key) + (ordered.count(key) + 1) / 2 for key in keys]
