"""A live display below a notebook's cell: one output that is replaced, instead of a line now and then."""

import io
import time
from typing import Any

from rich.console import Console, RenderableType

EVERY = 1.0
"""Seconds between two replacements."""


class NotebookLive:
    """Shows something that changes below the cell that runs.

    Args:
        shown: what is shown, as it is now.
    """

    def __init__(self, shown: RenderableType) -> None:
        self.shown = shown
        self.at = 0.0
        self.handle: Any = None

    def start(self) -> None:
        """Begins."""
        from IPython.display import display  # there, since this is a notebook

        self.handle = display(self._html(), display_id=True)
        self.at = time.monotonic()

    def refresh(self, now: bool = False) -> None:
        """Replaces what is shown, every second at most unless `now`."""
        if self.handle is not None and (now or time.monotonic() - self.at >= EVERY):
            self.at = time.monotonic()
            self.handle.update(self._html())

    def stop(self) -> None:
        """Leaves the last state in place."""
        self.refresh(now=True)

    def _html(self) -> Any:
        from IPython.display import HTML

        console = Console(record=True, file=io.StringIO(), width=100, force_terminal=True, force_jupyter=False)
        console.print(self.shown)
        return HTML(console.export_html(inline_styles=True, code_format="<pre style='line-height: 1.25'>{code}</pre>"))
