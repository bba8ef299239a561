"""A study run as a user runs it, in a process of its own and watched from outside: what it prints, what it has done,
what it takes, what it leaves behind."""

import fcntl
import json
import os
import pty
import secrets
import select
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from biotune.results.journal import Event

MARK = "BIOTUNE_WATCHED"
"""A variable in the environment of all that a watched command starts; by it, what is left behind is found."""

TUNE_MAIN = (sys.executable, "-c", "from biotune.cli import tune_main; raise SystemExit(tune_main())")
"""`python tune_main.py`, from any folder."""


class Terminal:
    """A command on a terminal of its own, 120 columns wide, in which Ctrl-C can be pressed.

    Args:
        command: what runs.
        environment: added to this process's own.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.mark = secrets.token_hex(8)
        self.printed = b""
        self.drawn: list[float] = []
        self.status: int | None = None
        full = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **environment, MARK: self.mark}
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), full)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = psutil.Process(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is None:
            self.process.kill()
            os.waitpid(self.pid, 0)
        os.close(self.master)

    def watch(self, seconds: float) -> bool:
        """Reads what is printed for `seconds`; returns whether the command still runs."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self._read(min(until - now, 0.05))
            if self._has_ended():
                self._read(0)
                return False
        return True

    def _read(self, patience: float) -> None:
        while select.select([self.master], [], [], patience)[0]:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # no process has the terminal open any more
                return
            self.printed += chunk
            if b"\x1b[2K" in chunk:  # the live display erases its lines before it draws them again
                self.drawn.append(time.monotonic())
            patience = 0

    def _has_ended(self) -> bool:
        """Whether the command has ended, even if something that it started still has the terminal open."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def press_ctrl_c(self) -> None:
        """As a person would."""
        os.write(self.master, b"\x03")

    def left_behind(self, patience: float = 10.0) -> list[str]:
        """What the command started that still runs `patience` seconds after it ended."""
        until = time.monotonic() + patience
        while (left := marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.2)
        return [describe(process) for process in left]


def marked(mark: str) -> list[psutil.Process]:
    """The processes with a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # it is another user's, or has ended
            continue
    return found


def describe(process: psutil.Process) -> str:
    """Its id and command line."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:100]}"
    except psutil.Error:
        return f"{process.pid} (ended meanwhile)"


class GrowingJournal:
    """The events of a journal that is being written, each read once.

    Args:
        output: the folder in which the study makes its results directory.

    Attributes:
        events: those read so far.
        ended: trial -> when its end was seen, by the monotonic clock.
    """

    def __init__(self, output: Path) -> None:
        self.output, self.offset = output, 0
        self.events: list[Event] = []
        self.ended: dict[str, float] = {}

    def look(self) -> Self:
        """Reads what is new; an unfinished last line is left for later."""
        file = next(self.output.glob("*/journal.jsonl"), None)
        if file is None:
            return self
        with file.open("rb") as stream:
            stream.seek(self.offset)
            whole, end, _ = stream.read().rpartition(b"\n")
        self.offset += len(whole + end)
        new = [json.loads(line) for line in whole.splitlines()]
        self.events += new
        now = time.monotonic()
        self.ended |= {event["trial"]: now for event in new if event["event"] == "ended"}
        return self
