"""A study's results directory: made where it can be, kept to one process, and gone on with only by the same study."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from biotune.connectome import Connectome
from biotune.digests import study_difference
from biotune.errors import UserError
from biotune.journal import Event
from biotune.results import Results
from biotune.seeds import streams_digest
from biotune.study.events import replay, require_own
from biotune.study.plans import Plans
from biotune.study.record import Record
from biotune.study.study import Study, load_study
from biotune.tasks import is_own, task_digest


def new_directory(study: Study, output: Path) -> Path:
    """A name in the output folder that nothing has yet; nothing is made.

    Raises:
        UserError: the folder can't be written.
    """
    output = output.expanduser().resolve()
    if "working_dir_files" in output.parts:  # where Ray unpacks what a job brought along
        raise UserError(
            f"--output {output}: is in Ray's copy of the job's folder, which goes with the cluster; give an absolute "
            "path that stays, which all machines see"
        )
    existing = output
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"--output {output}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--output {output}: {existing} cannot be written to; name another folder")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    directory, number = output / f"{study.config.name}-{stamp}", 1
    while directory.exists():
        number += 1
        directory = output / f"{study.config.name}-{stamp}-{number}"
    return directory


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps a second process from running the same study; the lock ends with the process, however it ends.

    Raises:
        UserError: the directory cannot be made, or another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        opened = (directory / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{directory}: cannot be made ({error.strerror}); name another --output folder") from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{directory}: another process is running this study; wait for it, or end it") from None
        except OSError as error:
            raise UserError(
                f"{directory}: its file system does not lock files ({error.strerror}), so two processes could run the "
                "same study; mount it with locks, or name another --output folder"
            ) from None
        try:
            yield
        finally:
            if not (directory / "state.json").exists():  # the study never began
                shutil.rmtree(directory)


def load_resumed(directory: Path, space: Path | None) -> Study:
    """The study of a results directory, to go on with.

    Args:
        directory: of a study that was killed or interrupted.
        space: the YAML that it was started from, if the user names it: it must be the same study.

    Raises:
        UserError: not a results directory, or that of another study.
    """
    results = Results.open(directory)
    study = load_study(results.path / "study.yaml")
    if space is not None:
        other = load_study(space)
        if "population" not in other.config.confirm.model_fields_set:  # chosen when the study began, to fit a GPU
            other = other.with_population(study.config.confirm.population)
        if differs := study_difference(study.resolved(), other.resolved()):
            raise UserError(
                f"--resume {directory}: holds another study than {space}: {differs}; leave --space out to go on with "
                "the one that is there"
            )
    return study


def new_record(study: Study, updates_per_epoch: int) -> Record:
    """The record of a study in which nothing has happened yet."""
    mixed = frozenset(key for key, domain in study.config.tune.items() if domain.mixed)
    return Record(study.config.search.replicates, updates_per_epoch, mixed)


def load_record(results: Results) -> tuple[Study, Record]:
    """What a results directory holds, from its journal; nothing in it is changed, and no code that it names is run.

    Raises:
        UserError: a file of it is damaged.
    """
    results.require_whole()
    study = load_study(results.path / "study.yaml", run_task=False)  # results are looked at, whoever they are from
    record = new_record(study, results.read_json("state")["updates_per_epoch"])

    def apply(event: Event) -> None:
        if event["event"] == "proposed":
            require_own(study, event)
        record.apply(event)

    journal = results.journal()
    replay(journal, journal.read(mend=False), apply)
    return study, record


def repair_journal(results: Results) -> Path | None:
    """Takes of a damaged journal what stands before the damage, so that the study goes on from there.

    Returns:
        Where the journal is kept as it was; None if it was not there.

    Raises:
        StorageError: it cannot be written.
    """
    journal = results.journal()
    events, head = journal.sound()
    selected = any(event.get("event") == "selected" for event in events)
    state = {
        "phase": "confirm" if selected else "search",
        "finished": None,
        "journal": {"events": head.events, "check": head.check},
    }
    results.write_json("state", results.read_json("state") | state)  # first: it must not know of more than there is
    return journal.repair()


def require_same_connectomes(results: Results, connectomes: Mapping[str, Connectome]) -> None:
    """Makes sure that a resumed study goes on with the connectomes it was started with.

    Raises:
        UserError: an arm's is another one now.
    """
    for arm, before in results.read_json("state")["connectomes"].items():
        if before["digest"] != connectomes[arm].digest:
            raise UserError(
                f"{results.path}: arm {arm} was started with the connectome {before['name']} ({before['kind']}), now "
                f"there is {connectomes[arm].name} ({connectomes[arm].provenance.kind}); set BIOTUNE_DATA as it was"
            )


def require_same_task(results: Results, study: Study) -> None:
    """Makes sure that a resumed study goes on with the task it was started with.

    Raises:
        UserError: the file of a user's own task, or the pictures or the encoder of a task, are others now.
    """
    task = study.config.task
    if results.read_json("state").get("task_sha256") != task_digest(**task.options):
        file = f"the file of task {task.name} has" if is_own(task.name) else f"what task {task.name} shows has"
        raise UserError(
            f"{results.path}: {file} changed since the study was started; "
            "put it back as it was, or start the study anew"
        )


def require_same_streams(results: Results) -> None:
    """Makes sure that a resumed study goes on where NumPy's generators draw what they drew where it was started.

    Raises:
        UserError: they draw other numbers; both versions are named.
    """
    before = results.read_json("state")["streams"]
    if before["sha256"] != streams_digest():
        raise UserError(
            f"{results.path}: was started with NumPy {before['numpy']}, whose generators draw other numbers than those "
            f"of NumPy {np.__version__} here; go on with NumPy {before['numpy']}, or start the study anew"
        )


def require_same_topologies(results: Results, plans: Plans) -> None:
    """Makes sure that a resumed study goes on where its topologies are drawn as they were where it was started.

    Raises:
        UserError: an arm's first one is drawn otherwise here: trained weights would lie on other edges.
    """
    for arm, before in results.read_json("state")["topologies"].items():
        if before != plans.topologies[arm]:
            versions = f"NumPy {results.read_json('environment').get('numpy')} there and {np.__version__} here"
            raise UserError(
                f"{results.path}: this machine draws another topology for arm {arm} than the one that the study was "
                f"started on ({versions}); go on where it was started, or on a machine like that"
            )
