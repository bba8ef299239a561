"""The journal of a study: every event as it happened, one JSON object a line, each line bound to the one before it.

It is what a killed study is resumed from: the record, the samplers and ASHA's rungs are rebuilt by applying its events
again, in their order.

    {"event":"ended","trial":"real-0003",...,"n":17,"check":"5c0f7f0c8a3b9e21"}

`n` is the number of the line; `check` are the first 16 digits of the SHA-256 of the check before it and of the line up
to there. So a line that is changed, missing, there twice or out of its order is found, and nothing is read from a
journal that has one. If a kill cuts the last line short, nothing has followed from it yet, and it is left out. If the
disk is full, what was written of a line is removed again.
"""

import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from biotune.errors import UserError, run_command
from biotune.io.files import free_name, replacing, storage_error

Event = dict[str, Any]

_LINE = re.compile(rb'((\{.*),"n":([1-9]\d{0,17})),"check":"([0-9a-f]{16})"\}', re.DOTALL)
_MORE = re.compile(rb',"check":"[0-9a-f]{16}"\}.', re.DOTALL)
"""Text after the brace that ends a line: its end of line is damaged. A line that was cut short has none."""


@dataclass(frozen=True)
class Head:
    """How far a journal has come: its number of events, and the check of the last one."""

    events: int = 0
    check: str = ""


class _Line(NamedTuple):
    event: bytes
    head: Head
    end: int


class DamagedJournal(UserError):
    """A line of a journal is not what was written there."""


class Journal:
    """Appends events to a file, and reads them back.

    Args:
        file: `journal.jsonl` of a results directory.
        known: how far it has come at least, as `state.json` says: so that lines missing at its end are found.
    """

    def __init__(self, file: Path, known: Head = Head()) -> None:  # a default that cannot be changed
        self.file, self.known = file, known
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """How far it has come.

        Raises:
            DamagedJournal: a line is not what was written there.
        """
        if self._head is None:
            self.read()
        assert self._head is not None
        return self._head

    def read(self, mend: bool = True) -> list[Event]:
        """All events, oldest first; a last line that was cut short is left out.

        Args:
            mend: remove that line from the file, so that events can be appended; never if another process may write it.

        Raises:
            DamagedJournal: a line is not what was written there.
        """
        events, head, end = [], Head(), 0
        for line in self._lines():
            events.append(self._event(line))
            head, end = line.head, line.end
        if mend:
            self._head = head
            if self.file.exists() and self.file.stat().st_size > end:
                os.truncate(self.file, end)
        return events

    def check(self) -> None:
        """Makes sure that it is whole; the file is not changed.

        Raises:
            DamagedJournal: a line is not what was written there.
        """
        for _ in self._lines():
            pass

    def first(self) -> Event | None:
        """The first event, if that is whole, whatever comes after it."""
        with suppress(DamagedJournal):
            for line in self._lines():
                return self._event(line)
        return None

    def append(self, event: Event) -> Event:
        """Writes one event, brings it to the disk, and returns it as it will be read back.

        Raises:
            StorageError: it cannot be written; nothing of it is left, so that the next line is whole.
        """
        before, event = self.head, _plain(event)
        number = before.events + 1
        signed = f'{json.dumps(event, separators=(",", ":"), allow_nan=False)[:-1]},"n":{number}'.encode()
        check = _check(before, signed)
        try:
            with self.file.open("ab", buffering=0) as stream:
                end = stream.tell()
                try:
                    _write_all(stream, signed + f',"check":"{check}"}}\n'.encode())
                    os.fsync(stream.fileno())
                except OSError:
                    with suppress(OSError):  # if that fails too, the line is cut short, as after a kill
                        stream.truncate(end)
                    raise
        except OSError as error:
            self._head = None  # the file is read again before anything is appended
            raise storage_error(self.file, error) from error
        self._head = Head(number, check)
        return event

    def sound(self) -> tuple[list[Event], Head]:
        """The events before the first damage, and how far they come."""
        events, head = [], Head()
        with suppress(DamagedJournal):
            for line in self._lines():
                events.append(self._event(line))
                head = line.head
        return events, head

    def repair(self) -> Path | None:
        """Cuts the journal off before the damage, and keeps a copy of it as it was.

        Returns:
            Where the copy is; None if there is no journal.

        Raises:
            StorageError: it cannot be written.
        """
        if not self.file.exists():
            return None
        content, end = self.file.read_bytes(), 0
        with suppress(DamagedJournal):
            for line in self._lines():
                self._event(line)
                end = line.end
        kept = self.file.with_name(free_name(self.file))
        for file, part in ((kept, content), (self.file, content[:end])):
            with replacing(file) as temporary:
                temporary.write_bytes(part)
        self.known, self._head = Head(), None
        return kept

    def _lines(self) -> Iterator[_Line]:
        """The lines, each checked against the one before it."""
        content = self.file.read_bytes() if self.file.exists() else b""
        head, start = Head(), 0
        while (end := content.find(b"\n", start)) >= 0:
            due = head.events + 1
            match = _LINE.fullmatch(content, start, end)
            if match is None:
                raise self._damaged(due, "it is no line of a journal")
            if int(match[3]) != due:
                raise self._damaged(due, f"line {int(match[3])} stands in its place")
            if match[4].decode() != _check(head, match[1]):
                raise self._damaged(due, "its check does not fit")
            head, start = Head(due, match[4].decode()), end + 1
            if due == self.known.events and head != self.known:
                raise self._damaged(due, "it is of another journal than state.json")
            yield _Line(match[2] + b"}", head, start)
        if _MORE.search(content, start):
            raise self._damaged(head.events + 1, "its end is damaged")
        if head.events < self.known.events:
            raise self._damaged(head.events + 1, f"it is missing; state.json knows of {self.known.events} lines")

    def _event(self, line: _Line) -> Event:
        try:
            return json.loads(line.event)
        except (ValueError, RecursionError):  # although its check fits: somebody made both
            raise self._damaged(line.head.events, "it is not an event") from None

    def _damaged(self, line: int, reason: str) -> DamagedJournal:
        return DamagedJournal(
            f"{self.file}:{line}: the journal is damaged here ({reason}); to go on from what stands before this line: "
            f"{run_command()} --resume {self.file.parent} --repair"
        )


def _check(before: Head, signed: bytes) -> str:
    """It finds accidents; whoever forges a line can compute its check too."""
    return hashlib.sha256(before.check.encode() + signed).hexdigest()[:16]


def _write_all(stream: io.FileIO, data: bytes) -> None:
    """A disk that fills up takes a part first, and refuses only what comes after it."""
    while data:
        data = data[stream.write(data) :]


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: both become null, 'not a finite number'."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
