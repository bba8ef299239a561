"""A study in the files of other programs: TensorBoard's events, and the journal that optuna-dashboard opens.

Both are made from the study's journal each time, also while it runs, so that they never contradict it.
"""

import math
import shutil
import statistics
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from biotune.errors import UserError
from biotune.results import RUNNING, Results
from biotune.study.directory.directory import load_record
from biotune.study.history.record import TrialRecord
from biotune.study.search.sampler import distribution


def write_tensorboard(results: Results) -> Path:
    """Writes `tensorboard/<trial>/`, an event file per search trial: its losses, and its setting as hparams."""
    _, record = load_record(results)
    folder = results.path / "tensorboard"
    shutil.rmtree(folder, ignore_errors=True)
    for trial in record.trials.values():
        with SummaryWriter(logdir=str(folder / trial.trial)) as writer:
            for name in ("training", "validation"):
                for epoch, loss in _medians(trial, name).items():
                    writer.add_scalar(f"{name}_loss", loss, epoch)
            best = {} if trial.score is None else {"best_loss": trial.score}
            setting = {key: value if _is_plain(value) else str(value) for key, value in trial.setting.items()}
            for summary in hparams({"arm": trial.arm, **setting}, best):
                writer.file_writer.add_summary(summary)  # add_hparams would make a folder of its own
            for name, value in best.items():
                writer.add_scalar(name, value, trial.epochs)
    return folder


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
            state = _state(trial)
            try:
                told = create_trial(
                    state=state,
                    value=trial.objective if state == TrialState.COMPLETE else None,
                    params=trial.setting,
                    distributions=distributions,
                    intermediate_values=_medians(trial, "validation"),
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


def _medians(trial: TrialRecord, name: str) -> dict[int, float]:
    """Median loss over the replicates by epoch; epochs in which a replicate has none are left out."""
    rows = getattr(trial.curves, name)
    return {epoch: statistics.median(row) for epoch, row in enumerate(rows.tolist()) if not any(map(math.isnan, row))}


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | str) or (isinstance(value, int | float) and math.isfinite(value))
