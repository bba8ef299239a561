"""Stopping a study in order: a signal asks it to, and what is written stays whole."""

import signal
from collections.abc import Callable

from rich.console import Console


class interruptible:
    """Within it, a signal once asks the study to stop, twice ends it at once; gives the question whether it did."""

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
        self.console.print("Stopping; everything so far is kept (Ctrl-C again: at once) …", style="yellow")
