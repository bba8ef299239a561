"""Places that several machines can reach: a folder, or the objects of a bucket under a prefix.

A place is a `pathlib.Path` or a `BucketPath`, which has methods of the same names, so that code which keeps files need
not know which it is. A bucket stores an object completely or not at all, so that after a kill there is the old one or
the new one.

pyarrow, which talks to buckets, is imported late: it isn't needed for folders.
"""

import fnmatch
import functools
import io
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from biotune.errors import StorageError, UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a machine's role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or a machine's service account",
}
"""Scheme -> where credentials are taken from."""
PAUSE = 2.0
"""Seconds until a bucket that could not be reached is asked again."""
GCS_SECONDS = 30
"""Time limit for Google's client, which would otherwise retry for a quarter of an hour."""

_FORMS = "give a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"

T = TypeVar("T")


class Stat(NamedTuple):
    """As returned by `Path.stat`."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class BucketPath:
    """An object in a bucket, or the common prefix of several.

    Methods raise `StorageError` if the bucket cannot be reached, and `FileNotFoundError` if the object isn't there.

    Args:
        root: the bucket as a URI, with its query: `s3://bucket?region=eu-central-1`.
        key: of the object, or the prefix.
        patience: seconds to wait for a bucket that cannot be reached.
    """

    root: str
    key: str
    patience: float = 0.0

    def __truediv__(self, name: str) -> "BucketPath":
        return replace(self, key=f"{self.key}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"{self.root.partition('?')[0]}/{self.key}"

    @property
    def uri(self) -> str:
        """The URI from which `place` makes this path."""
        bucket, mark, query = self.root.partition("?")
        return f"{bucket}/{self.key}{mark}{query}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> "BucketPath":
        """The prefix above this."""
        return replace(self, key=self.key.rpartition("/")[0])

    @property
    def stem(self) -> str:
        """The last part of the key, without its ending."""
        return Path(self.name).stem

    def exists(self) -> bool:
        """Whether the object is there."""
        return bool(self._info().is_file)

    is_file = exists

    def stat(self) -> Stat:
        """Size and time of change of the object."""
        info = self._info()
        if not info.is_file:
            raise FileNotFoundError(str(self))
        return Stat(info.size, info.mtime_ns)

    def read_bytes(self) -> bytes:
        """The content of the object."""

        def read(filesystem: "FileSystem", path: str) -> bytes:
            with filesystem.open_input_file(path) as stream:
                return stream.read()

        return self._ask("read", read)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The content of the object, as a stream to read from."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: objects are only written as a whole")
        return io.BytesIO(self.read_bytes())

    def write_bytes(self, content: bytes) -> None:
        """Writes the object, in place of the old one."""

        def write(filesystem: "FileSystem", path: str) -> None:
            # in one piece: if something fails in between, closing the stream makes an object of what was written so far
            with filesystem.open_output_stream(path) as stream:
                stream.write(content)

        try:
            self._ask("written", write)
        except FileNotFoundError as error:
            raise self._error("written", error) from None  # of the bucket

    def rename(self, target: "BucketPath") -> None:
        """Gives the object another key in the same bucket."""
        bucket = urlsplit(self.root).netloc.rpartition("@")[2]
        self._ask("renamed", lambda filesystem, path: filesystem.move(path, f"{bucket}/{target.key}"))

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the object."""
        try:
            self._ask("removed", lambda filesystem, path: filesystem.delete_file(path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rglob(self, pattern: str) -> Iterator["BucketPath"]:
        """The objects under this prefix whose last part matches."""
        from pyarrow.fs import FileSelector

        def look(filesystem: "FileSystem", path: str) -> "list[FileInfo]":
            return filesystem.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))

        bucket = urlsplit(self.root).netloc.rpartition("@")[2]
        for info in self._ask("read", look):
            if info.is_file and fnmatch.fnmatchcase(info.base_name, pattern):
                yield replace(self, key=info.path.removeprefix(f"{bucket}/"))

    def clear(self) -> None:
        """Removes every object under this prefix."""
        self._ask("removed", lambda filesystem, path: filesystem.delete_dir_contents(path, missing_dir_ok=True))

    def _info(self) -> "FileInfo":
        return self._ask("read", lambda filesystem, path: filesystem.get_file_info(path))

    def _ask(self, done: str, question: "Callable[[FileSystem, str], T]") -> T:
        import pyarrow as pa

        deadline = time.monotonic() + self.patience
        while True:
            try:
                filesystem, bucket = _bucket(self.root)
                return question(filesystem, f"{bucket}/{self.key}")
            except FileNotFoundError:
                raise
            except (OSError, pa.ArrowException) as error:
                if time.monotonic() >= deadline:
                    raise self._error(done, error) from None
            time.sleep(PAUSE)

    def _error(self, done: str, error: Exception) -> StorageError:
        credentials = CREDENTIALS[urlsplit(self.root).scheme]
        return StorageError(
            f"{self}: cannot be {done} ({_reason(error)}); make sure that the bucket is there, and that every machine "
            f"has credentials for it in its environment ({credentials})"
        )


Place = Path | BucketPath
"""Where files are kept."""


def place(text: str) -> Place:
    """The place that a user gives: a folder, `file:///FOLDER`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.

    Options of pyarrow's file systems follow a `?`: `s3://bucket/studies?region=eu-central-1`.

    Raises:
        UserError: it is none of these, has credentials in it, or points out of its bucket.
    """
    if not text or "\0" in text:
        raise UserError(f"{text!r} is no place; {_FORMS}")
    scheme, mark, rest = text.partition("://")
    if not mark:
        return Path(text).expanduser().resolve()
    if scheme == "file":
        if not rest.startswith("/"):
            raise UserError(f"{text}: a folder on another machine; {_FORMS}")
        return Path(unquote(rest)).resolve()
    if scheme not in CREDENTIALS:
        raise UserError(f"{scheme}://…: files cannot be kept there; {_FORMS}")
    # checked first, and the message does not show what was given: credentials must not be printed
    name, _, query = rest.partition("?")
    bucket, _, key = (name.removeprefix("anonymous@") if scheme == "gs" else name).partition("/")
    if {"@", ":"} & {*bucket} or "@" in key + unquote(query):
        raise UserError(
            f"{scheme}://…@…: credentials do not belong in a URI, which others may read; they are taken from the "
            f"environment ({CREDENTIALS[scheme]})"
        )
    shown, key = f"{scheme}://{bucket}/{key}", key.rstrip("/")
    if not bucket:
        raise UserError(f"{shown}: has no bucket; {_FORMS}")
    if key and {"", ".", ".."} & {*key.split("/")}:
        raise UserError(f"{shown}: a part of its path is empty, or is . or ..; {_FORMS}")
    if scheme == "gs" and "retry_limit_seconds" not in parse_qs(query):
        query = "&".join(filter(None, [query, f"retry_limit_seconds={GCS_SECONDS}"]))
    root = f"{scheme}://{name.partition('/')[0]}" + (f"?{query}" if query else "")
    import pyarrow as pa

    try:
        _bucket(root)
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{shown}: {_reason(error)}") from None
    except OSError as error:
        raise BucketPath(root, key)._error("reached", error) from None
    return BucketPath(root, key)


def spelled(where: Place) -> str:
    """The text from which `place` makes this place."""
    return where.uri if isinstance(where, BucketPath) else str(where)


def patient(where: Place, seconds: float) -> Place:
    """The same place; if it is in a bucket that cannot be reached, methods wait so many seconds for it."""
    return replace(where, patience=seconds) if isinstance(where, BucketPath) else where


def clear(folder: Place) -> None:
    """Removes a folder, or all objects under a prefix."""
    if isinstance(folder, BucketPath):
        folder.clear()
    elif folder.exists():
        shutil.rmtree(folder)


@functools.cache
def _bucket(root: str) -> "tuple[FileSystem, str]":
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(root)


def _reason(error: Exception) -> str:
    """What a client says happened, in one line and without the details of the request."""
    text = " ".join(str(error).split())
    aws = re.search(r"AWS Error .*", text)
    google = re.search(r"last message of (.*?) error_info", text)
    text = google[1] if google else aws[0] if aws else text
    return re.split(r"; Details|\. | \(Request ID", text)[0]
