"""The journal of a study: every event as it happened, one JSON object a line.

It is what a killed study is resumed from: the record, the samplers and ASHA's rungs are rebuilt by applying its events
again, in their order. A line that a kill cut short was never answered for, and is left out; one that a full disk cut
short is taken back.
"""

import io
import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from biotune.errors import UserError
from biotune.files import storage_error

Event = dict[str, Any]


class Journal:
    """Appends events to a file, and reads them back.

    Args:
        file: `journal.jsonl` of a results directory.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self, mend: bool = True) -> list[Event]:
        """All events, oldest first; a last line that was cut short is left out.

        Args:
            mend: remove that line from the file, to go on with it; not where another process may be writing it.

        Raises:
            UserError: a line before the last is not an event.
        """
        if not self.file.exists():
            return []
        content = self.file.read_bytes()
        whole, _, cut = content.rpartition(b"\n")
        if cut and mend:
            with self.file.open("r+b") as stream:
                stream.truncate(len(content) - len(cut))
        events = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                events.append(json.loads(line))
            except ValueError:
                raise UserError(
                    f"{self.file}:{number}: not an event; the journal is damaged, start a new run"
                ) from None
        return events

    def append(self, event: Event) -> Event:
        """Writes one event, brings it to the disk, and returns it as it will be read back.

        Raises:
            StorageError: it cannot be written; nothing of it is left, so that the next line is whole.
        """
        event = _plain(event)
        line = json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n"
        try:
            with self.file.open("ab", buffering=0) as stream:
                end = stream.tell()
                try:
                    _write_all(stream, line.encode())
                    os.fsync(stream.fileno())
                except OSError:
                    with suppress(OSError):  # where that fails too, the line is cut short, as after a kill
                        stream.truncate(end)
                    raise
        except OSError as error:
            raise storage_error(self.file, error) from error
        return event


def _write_all(stream: io.FileIO, data: bytes) -> None:
    """A full disk takes a part, and refuses only the rest."""
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
