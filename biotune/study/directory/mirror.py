"""A study's results, copied to a storage while it runs, so that it can be resumed if the driver's machine is lost."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from biotune.errors import UserError
from biotune.io.files import remove_leftovers, replacing, storage_error
from biotune.io.storage import BucketPath, Place, clear, place
from biotune.network import DamagedCheckpoint, load_checkpoint
from biotune.results import RUNNING, Results
from biotune.study.history.record import Record

MIRROR_SECONDS = 10.0
"""Seconds between two copies; what trials do in between is done again if the driver's machine is lost."""

_FIRST = ("study.yaml", "environment.json", "journal.jsonl")
"""What a study is resumed from, together with its state; all other files are made again from these."""
_LAST = "state.json"
"""It says how far the study has come, so it comes last: a copy that broke off must not claim files that it lacks."""
_OWN = {"checkpoints", "ray"}
"""Folders that are not copied: the workers write to the first, Ray to the second."""


class Mirror:
    """Keeps a copy of a results directory; first removes what a killed process left half copied.

    Args:
        directory: the results.
        target: where they are copied to.
    """

    def __init__(self, directory: Path, target: Place) -> None:
        self.directory, self.target = directory, target
        self.copied: dict[Path, tuple[int, int]] = {}
        self.due = 0.0
        if isinstance(target, Path):
            remove_leftovers(target)

    def copy(self) -> None:
        """Copies every file that has changed since it was copied last.

        Raises:
            StorageError: the storage can't be reached, or has no room.
        """
        start = time.monotonic()
        try:
            for file in self._files():
                with suppress(FileNotFoundError), file.open("rb") as source:  # if a report is being made again
                    self._copy(file, source)
        finally:
            now = time.monotonic()
            self.due = now + max(MIRROR_SECONDS, 9 * (now - start))  # so that copying takes at most a tenth of the time

    def _copy(self, file: Path, source: BinaryIO) -> None:
        stat = os.fstat(source.fileno())
        stamp = (stat.st_mtime_ns, stat.st_size)
        if self.copied.get(file) != stamp:
            target = self.target
            for part in file.relative_to(self.directory).parts:
                target = target / part
            with replacing(target) as temporary, temporary.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            self.copied[file] = stamp

    def _files(self) -> list[Path]:
        found = []
        for folder, folders, names in os.walk(self.directory):  # skips folders that are removed meanwhile
            if Path(folder) == self.directory:
                folders[:] = [name for name in folders if name not in _OWN]
            found += [Path(folder, name) for name in names if not name.startswith(".")]
        first, last = [self.directory / name for name in _FIRST], self.directory / _LAST
        order = {file: place for place, file in enumerate(first)} | {last: len(first) + 1}
        return sorted(found, key=lambda file: (order.get(file, len(first)), file))


def storage_of(results: Results) -> Place | None:
    """Where a study keeps its checkpoints and the copy of its results; None: in its results directory."""
    uri = results.read_state().storage
    return None if uri is None else place(uri)


def resumed_storage(results: Results, asked: Place | None) -> Place | None:
    """Where a resumed study keeps its checkpoints: where it did before, or where the user says that they are now.

    Raises:
        UserError: the storage that the user gives doesn't have the study.
    """
    if asked is not None and not (asked / results.path.name / "state.json").is_file():
        raise UserError(
            f"--storage {asked}: has nothing of {results.path.name}; leave it out to use the study's own storage"
        )
    return storage_of(results) if asked is None else asked


def checkpoints_of(results: Results) -> Place:
    """Where a study's checkpoints are."""
    storage = storage_of(results)
    return (results.path if storage is None else storage / results.path.name) / "checkpoints"


def mirror_results(directory: Path) -> None:
    """Copies a study's directory to its storage, if it has one.

    Raises:
        StorageError: the storage can't be reached, or has no room.
    """
    storage = storage_of(Results.open(directory))
    if storage is not None and storage / directory.name != directory:
        Mirror(directory, storage / directory.name).copy()


def fetch(copy: BucketPath, output: Path) -> Path:
    """Downloads a study's results from a bucket, to resume it here; returns their directory.

    Args:
        copy: `<storage>/<results>`, which a `Mirror` wrote.
        output: folder that results directories are made in.

    Raises:
        UserError: there is no such study, it is here already, or it cannot be written here.
    """
    if not all((copy / name).exists() for name in ("study.yaml", "state.json")):
        raise UserError(f"--resume {copy}: is not the copy of a study (it has no study.yaml and state.json)")
    directory = output.expanduser().resolve() / copy.name
    if directory.exists():
        raise UserError(
            f"--resume {copy}: {directory} exists already; go on with that (--resume {directory}), or give another "
            "--output folder"
        )
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for file in copy.rglob("*"):
            name = PurePosixPath(file.key.removeprefix(f"{copy.key}/"))
            if name.parts[0] in _OWN:
                continue
            if ".." in name.parts:
                raise UserError(f"{file}: its name points out of the results; who wrote it?")
            here = partial / name
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_bytes(file.read_bytes())
        partial.rename(directory)
    except OSError as error:
        raise storage_error(directory, error) from error
    return directory


def drop_ahead(checkpoints: Place, record: Record, rungs: list[int]) -> None:
    """Removes the checkpoints that are ahead of the journal: it may be an older copy, or the rest of a damaged one.

    Training must not go on from them: since then the trial may have been proposed with another setting, have passed a
    rung at which it still has to be judged, or been confirmed at a setting that is yet to be selected. A checkpoint
    that cannot be read is left to the worker that finds it.

    Args:
        checkpoints: of the study.
        record: what its journal says.
        rungs: epochs after which a trial goes on or is stopped.
    """
    for file in (checkpoints / "search").rglob("*.pt"):
        trial = record.trials.get(file.stem)
        if trial is not None and trial.status == RUNNING:
            try:
                epoch = load_checkpoint(file)["loop"]["epoch"]
            except DamagedCheckpoint:
                continue
            if not any(trial.epochs < rung < epoch for rung in rungs):
                continue
        file.unlink()
    if record.selection is None:
        clear(checkpoints / "confirm")
