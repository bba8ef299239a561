"""Files written as a whole: under a temporary name, flushed to the disk, then renamed; or put into a bucket.

If the process is killed at any moment, or the disk is full, either the old file or the new one is there.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from biotune.errors import StorageError
from biotune.io.storage import BucketPath, Place


@contextmanager
def replacing(file: Place) -> Iterator[Path]:
    """A context that yields a temporary path to write to, and puts what was written in the place of `file` at its end.

    Raises:
        StorageError: it cannot be written; nothing of it is left.
    """
    if isinstance(file, BucketPath):
        try:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder) / file.name
                file.write_bytes((Path(folder) / file.name).read_bytes())
        except OSError as error:
            raise storage_error(Path(tempfile.gettempdir()), error) from error
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(file)
    except OSError as error:
        raise storage_error(file, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def free_name(file: Place) -> str:
    """A name to keep a damaged file under, which no file beside it has."""
    number, name = 1, f"{file.name}.damaged"
    while (file.parent / name).exists():
        number += 1
        name = f"{file.name}.damaged{number}"
    return name


def set_aside(file: Place) -> Place:
    """Renames a damaged file, so that another can take its place; returns the new place.

    Raises:
        StorageError: it cannot be renamed.
    """
    kept = file.parent / free_name(file)
    try:
        file.rename(kept)  # type: ignore[arg-type]  # both are of one kind
    except OSError as error:
        raise storage_error(Path(str(file)), error) from error
    return kept


def remove_leftovers(*folders: Path) -> None:
    """Removes the temporary files of processes that were killed while writing; no process may be writing there."""
    for folder in folders:
        for temporary in folder.glob(".*.tmp"):
            temporary.unlink(missing_ok=True)


def require_room(folder: Path) -> None:
    """Makes sure that files can still be written in a folder.

    Raises:
        StorageError: the file system is full.
    """
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < 2**16:
        raise storage_error(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def storage_error(file: Path, error: OSError) -> StorageError:
    """The error for a file that could not be written."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{file}: cannot be written ({error.strerror or error}); make it writable")
    mount = file.resolve()
    while not mount.is_mount():
        mount = mount.parent
    return StorageError(f"{file}: cannot be written: no room is left on the file system at {mount}; make room there")
