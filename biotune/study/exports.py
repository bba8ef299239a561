"""A study in the files of other programs: TensorBoard's events, and the journal that optuna-dashboard opens.

Both are made anew from the study's own journal, of a running study too, so that they never say anything else than it.
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
from biotune.results import Results
from biotune.study.journal import Journal
from biotune.study.progress import trial_name
from biotune.study.record import Record, TrialRecord
from biotune.study.sampler import distribution
from biotune.study.study import Study, load_study


def load_record(results: Results) -> tuple[Study, Record]:
    """What a results directory holds, from its journal; nothing in it is changed.

    Raises:
        UserError: a file of it is damaged.
    """
    study = load_study(results.path / "study.yaml")
    mixed = frozenset(key for key, domain in study.config.tune.items() if domain.mixed)
    record = Record(study.config.search.replicates, results.read_json("state")["updates_per_epoch"], mixed)
    journal = Journal(results.path / "journal.jsonl")
    for event in journal.read(mend=False):
        record.apply(event)
    for trial in record.trials.values():
        if trial.arm not in study.arms or trial.trial != trial_name(trial.arm, trial.index):  # it names a folder
            raise UserError(f"{journal.file}: no trial of this study: {trial.trial!r}")
    return study, record


def write_tensorboard(results: Results) -> Path:
    """Writes `tensorboard/<trial>/`, an event file a search trial: its losses, and its setting as hparams."""
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
                writer.file_writer.add_summary(summary)  # as add_hparams, which makes a folder of its own for it
            for name, value in best.items():
                writer.add_scalar(name, value, trial.epochs)
    return folder


def write_optuna(results: Results) -> Path:
    """Writes `optuna.journal`, Optuna's own format: a study an arm, named `<study>/<arm>`, told as its sampler was."""
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
            copy.add_trial(
                create_trial(
                    state=state,
                    value=trial.score if state == TrialState.COMPLETE else None,
                    params=trial.setting,
                    distributions=distributions,
                    intermediate_values=_medians(trial, "validation"),
                    user_attrs={"trial": trial.trial, "status": trial.status, "origin": trial.origin},
                )
            )
    temporary.replace(file)
    return file


def _state(trial: TrialRecord) -> TrialState:
    """As `ArmSampler.learn` tells it."""
    if trial.status == "running":
        return TrialState.RUNNING
    if trial.status == "failed":
        return TrialState.FAIL
    return TrialState.PRUNED if trial.score is None else TrialState.COMPLETE


def _medians(trial: TrialRecord, name: str) -> dict[int, float]:
    """Median loss over the replicates by epoch, where every replicate has one."""
    rows = getattr(trial.curves, name)
    return {epoch: statistics.median(row) for epoch, row in enumerate(rows.tolist()) if not any(map(math.isnan, row))}


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | str) or (isinstance(value, int | float) and math.isfinite(value))
