"""A study's results directory: made where it can be, kept to one process, and gone on with only by the same study."""

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
from biotune.study.history.events import Proposed, StudyEvent, replay, require_own
from biotune.study.history.record import Record


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
    record = new_record(study, results.read_state().updates_per_epoch)

    def apply(event: StudyEvent) -> None:
        if isinstance(event, Proposed):
            require_own(study, event)
        record.apply(event)

    journal = results.journal()
    replay(journal, journal.read(mend=False), apply)
    return study, record
