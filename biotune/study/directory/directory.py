"""A study's results directory: its name, the lock that keeps it to one process, and what its journal says."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from biotune.errors import UserError
from biotune.results import Results
from biotune.study.definition.load import load_study
from biotune.study.definition.study import Study
from biotune.study.history.events import Proposed, StudyEvent, added_conditions, replay, require_own
from biotune.study.history.record import Record
from biotune.study.ray_internals import UNPACKED_JOBS


def new_directory(study: Study, output: Path) -> Path:
    """A directory in the output folder that does not exist yet; it is not made.

    Raises:
        UserError: the folder can't be written.
    """
    output = output.expanduser().resolve()
    if UNPACKED_JOBS in output.parts:
        raise UserError(
            f"--output {output}: is in Ray's copy of the job's folder, which is deleted with the cluster; give an "
            "absolute path that all machines see"
        )
    require_folder(output, "--output")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    directory, number = output / f"{study.config.name}-{stamp}", 1
    while directory.exists():
        number += 1
        directory = output / f"{study.config.name}-{stamp}-{number}"
    return directory


def require_folder(folder: Path, option: str) -> None:
    """Makes sure that a folder can be written to, or made.

    Args:
        folder: absolute. option: that gave it, for the error.

    Raises:
        UserError: it is no folder, cannot be made, or not be written to.
    """
    existing = folder
    try:
        while not existing.exists():
            existing = existing.parent
    except (OSError, ValueError) as error:  # a part that is too long, a byte that no path has
        raise UserError(
            f"{option} {folder}: {getattr(error, 'strerror', None) or error}; name another folder"
        ) from None
    if not existing.is_dir():
        raise UserError(f"{option} {folder}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{option} {folder}: {existing} cannot be written to; name another folder")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps a second process from running the same study; the lock ends when the process does, however that ends.

    Raises:
        UserError: the directory cannot be made, or another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        opened = (directory / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{directory}: cannot be made ({error.strerror}); give another --output folder") from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{directory}: another process is running this study; wait for it, or stop it") from None
        except OSError as error:
            raise UserError(
                f"{directory}: its file system cannot lock files ({error.strerror}), so two processes could run the "
                "same study; mount it with locks, or give another --output folder"
            ) from None
        try:
            yield
        finally:
            if not (directory / "state.json").exists():  # the study never began
                shutil.rmtree(directory)


def new_record(study: Study) -> Record:
    """The record of a study in which nothing has happened yet."""
    mixed = frozenset(key for key, domain in study.config.tune.items() if domain.mixed)
    per_epoch = {condition: study.updates_per_epoch(condition) for condition in study.conditions}
    return Record(study.config.search.replicates, per_epoch, study.config.confirm.planned, mixed)


def load_record(results: Results) -> tuple[Study, Record]:
    """The study and the record of a results directory, from its journal; changes nothing, and runs no code it names.

    Raises:
        UserError: a file of it is damaged.
    """
    results.require_whole()
    journal = results.journal()
    events = journal.read(mend=False)
    # results are looked at, whoever they are from
    study = load_study(results.path / "study.yaml", added=added_conditions(events), run_task=False)
    record = new_record(study)

    def apply(event: StudyEvent) -> None:
        if isinstance(event, Proposed):
            require_own(study, event)
        record.apply(event)

    replay(journal, events, apply)
    return study, record
