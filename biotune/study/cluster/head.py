"""Whether the head of the Ray cluster answers: Ray ends a process that lost it, after a minute, without a word."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable

import ray

from biotune.errors import UserError

SILENCE = 20.0
"""Seconds without an answer after which the head is lost; less may be a network that falters."""
WIND_UP = 25.0
"""Seconds that the study then has to end by itself; both together less than the 60 after which Ray ends the process."""


class watched_head:
    """A context in which the head of the cluster that this process has joined is watched.

    It yields a function that says whether the head is lost. What passes through its end is then an error that says so.
    A study that cannot ask, since it waits for Ray, is ended with that error some seconds later.

    Args:
        resume: the command that goes on with the study.
        restore: called before the process is ended, to leave the terminal as it was.
        silence, wind_up: seconds.
    """

    def __init__(
        self, resume: str, restore: Callable[[], object], silence: float = SILENCE, wind_up: float = WIND_UP
    ) -> None:
        self.resume, self.restore, self.silence, self.wind_up = resume, restore, silence, wind_up
        self.lost, self.over = False, threading.Event()

    def __enter__(self) -> Callable[[], bool]:
        self.address = ray.get_runtime_context().gcs_address
        threading.Thread(target=self._watch, daemon=True).start()
        return lambda: self.lost

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, UserError) or self._answers():
            self.over.set()
        else:
            raise self._error() from error  # and watched on until Ray is shut down, which may take too long

    def _answers(self) -> bool:
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2.0).close()
        except OSError:
            return False
        return True

    def _error(self) -> UserError:
        return UserError(
            f"the head of the Ray cluster at {self.address} does not answer any more: its process gcs_server has "
            f"ended, or its machine cannot be reached; everything so far is kept, to go on: {self.resume}"
        )

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self.over.wait(1.0) and ray.is_initialized():
            if not self.lost and self._answers():
                answered = time.monotonic()
                continue
            silent = time.monotonic() - answered
            self.lost = silent > self.silence
            if silent > self.silence + self.wind_up:
                self.restore()
                print(f"error: {self._error()}", file=sys.stderr, flush=True)
                os._exit(2)  # an exception would not reach a thread that waits for Ray
