"""A study in the files of other programs: TensorBoard's events, and the journal that optuna-dashboard opens.

Both are made from the study's journal each time, also while it runs, so that they never contradict it.
"""

import shutil
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from biotune.errors import UserError
from biotune.results import RUNNING, Results
from biotune.study.directory.directory import load_record
from biotune.study.history.record import TrialRecord
from biotune.study.monitor.tracking.news import medians, news_of_trial
from biotune.study.monitor.tracking.send import read_sent
from biotune.study.monitor.tracking.trackers import TensorBoard
from biotune.study.search.sampler import distribution


def write_tensorboard(results: Results) -> Path:
    """Writes `tensorboard/<trial>/`, an event file per search trial: its losses, and its setting as hparams.

    A study that was run with `--log tensorboard` has written them itself, and may be writing them now.
    """
    _, record = load_record(results)
    board = TensorBoard()
    board.open(results.path)
    if "tensorboard" in read_sent(results).trackers:
        return board.folder
    shutil.rmtree(board.folder, ignore_errors=True)
    for trial in record.trials.values():
        board.send(news_of_trial(trial), None)
    board.close()
    return board.folder


def write_optuna(results: Results) -> Path:
    """Writes `optuna.journal`, Optuna's own format: a study per arm, named `<study>/<arm>`, told as its sampler was."""
    study, record = load_record(results)
    file = results.path / "optuna.journal"
    temporary = file.with_name(".optuna.journal.tmp")
    temporary.unlink(missing_ok=True)
    storage = JournalStorage(JournalFileBackend(str(temporary)))
    distributions = {key: distribution(domain) for key, domain in study.config.tune.items()}
    for arm in study.arms:
        copy = optuna.create_study(storage=storage, study_name=f"{study.config.name}/{arm}", direction="minimize")
        for trial in record.of_arm(arm):
            state, rows = _state(trial), medians(trial.curves)
            validation = {epoch: row["validation_loss"] for epoch, row in rows.items() if "validation_loss" in row}
            try:
                told = create_trial(
                    state=state,
                    value=trial.objective if state == TrialState.COMPLETE else None,
                    params=trial.setting,
                    distributions=distributions,
                    intermediate_values=validation,
                    user_attrs={"trial": trial.trial, "status": trial.status, "origin": trial.origin},
                )
            except ValueError as error:
                raise UserError(f"{results.path}: trial {trial.trial} is not of this study: {error}") from None
            copy.add_trial(told)
    temporary.replace(file)
    return file


def _state(trial: TrialRecord) -> TrialState:
    """As `ArmSampler.learn` tells it."""
    if trial.status == RUNNING:
        return TrialState.RUNNING
    if trial.status == "failed":
        return TrialState.FAIL
    return TrialState.PRUNED if trial.score is None else TrialState.COMPLETE
