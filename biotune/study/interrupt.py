"""Stopping a study by a signal, so that the files it is writing stay complete."""

import signal
from collections.abc import Callable

from rich.console import Console


class interruptible:
    """A context in which the first signal asks the study to stop and a second one ends it at once.

    It yields a function that says whether the study was asked to stop.
    """

    def __init__(self, console: Console, number: signal.Signals) -> None:
        self.console, self.number, self.pressed = console, number, False

    def __enter__(self) -> Callable[[], bool]:
        self.before = signal.signal(self.number, self._press)
        return lambda: self.pressed

    def __exit__(self, *_: object) -> None:
        signal.signal(self.number, self.before)

    def _press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self.console.print("Stopping; everything so far is kept (Ctrl-C again stops at once) …", style="yellow")
