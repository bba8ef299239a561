"""What a person sees while a study runs: a live display on a terminal, otherwise a line now and then."""

import time
from datetime import timedelta
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from biotune.results.vocabulary import ENDINGS, RUNNING
from biotune.study.definition.study import Study
from biotune.study.history.record import Record

LINE_SECONDS = 10.0
"""Between two lines if there is no terminal."""


def spell(seconds: float) -> str:
    """`0:02:05`."""
    return str(timedelta(seconds=round(seconds)))


class Display:
    """The live display.

    Args:
        study: what runs. record: how far it has come.
        concurrency: trials that run at once.
        console: what it is shown on.
        dashboard: the address of Ray's dashboard, if there is one.
        banners: what has to stay in sight, such as a substituted connectome.
    """

    def __init__(
        self,
        study: Study,
        record: Record,
        *,
        concurrency: int,
        console: Console,
        dashboard: str | None,
        banners: list[str],
    ) -> None:
        self.study, self.record, self.concurrency = study, record, concurrency
        self.console, self.dashboard, self.banners = console, dashboard, banners
        self.phase = "search"
        self.started = time.monotonic()
        self.said = self.started
        self.live = Live(self, console=console, refresh_per_second=2, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def say(self, message: str) -> None:
        """A line that stays."""
        self.console.print(message, soft_wrap=True)

    def enter(self, phase: str) -> None:
        """Goes on to another phase."""
        self.phase = phase
        self.changed(now=True)

    def changed(self, now: bool = False) -> None:
        """Something has happened. Without a terminal a line is printed, at most every `LINE_SECONDS` unless `now`."""
        if self.live is None and (now or time.monotonic() - self.said >= LINE_SECONDS):
            self.said = time.monotonic()
            counts = " · ".join(f"{arm} {self._count(arm)}" for arm in self.study.arms)
            self.say(f"[{spell(self.said - self.started)}] {self.phase}: {counts}{self._remaining()}")

    def __rich__(self) -> Group:
        elapsed = spell(time.monotonic() - self.started)
        head = Text.assemble((self.study.config.name, "bold"), f" · {self.phase} · {elapsed}{self._remaining()}")
        if self.dashboard:
            head.append(f" · dashboard {self.dashboard}", style="dim")
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for column in ("arm", "done", "running", "stopped", "failed", "best loss", "confirmed"):
            table.add_column(column, justify="left" if column == "arm" else "right")
        for arm in self.study.arms:
            tally = self.record.tally(arm)
            failed = tally["failed"] + tally["diverged"]
            table.add_row(
                arm,
                f"{self._done(arm)}/{self.study.config.search.trials_per_arm}",
                str(tally[RUNNING]),
                str(tally["stopped"]),
                Text(str(failed), style="red" if failed else ""),
                self._best(arm),
                self._confirmed(arm),
            )
        return Group(head, *(Text(banner, style="yellow") for banner in self.banners), table)

    def _done(self, arm: str) -> int:
        tally = self.record.tally(arm)
        return sum(tally[ending] for ending in ENDINGS)

    def _best(self, arm: str) -> str:
        best = self.record.best(arm)
        return "–" if best is None else f"{best:.2e}"

    def _confirmed(self, arm: str) -> str:
        done, planned = self._replicates(arm)
        return f"{done}/{planned}" if self.record.selection else "–"

    def _replicates(self, arm: str) -> tuple[int, int]:
        selection = self.record.selection
        cells = 2 if selection is None else sum(cell.arm == arm for cell in selection.cells)
        done = sum(len(block.replicates) for block in self.record.blocks if block.cell.arm == arm)
        return done, cells * self.study.config.confirm.replicates

    def _count(self, arm: str) -> str:
        if self.record.selection:
            return self._confirmed(arm)
        return f"{self._done(arm)}/{self.study.config.search.trials_per_arm} (best {self._best(arm)})"

    def _remaining(self) -> str:
        seconds = self._seconds_left()
        return "" if seconds is None else f", about {spell(seconds)} left"

    def _seconds_left(self) -> float | None:
        """By what the trials so far took, with so many at once; None before the first one has ended."""
        record, arms = self.record, self.study.arms
        trained = sum(record.tally(arm)["completed"] + record.tally(arm)["stopped"] for arm in arms)
        if not trained:
            return None
        search, confirm = self.study.config.search, self.study.config.confirm
        per_trial = record.trained_seconds / trained
        gone = sum(map(self._done, arms))
        per_replicate_epoch = record.trained_seconds / record.trained_epochs / search.replicates
        replicates = sum(planned - done for done, planned in map(self._replicates, arms))
        left = per_trial * (search.trials_per_arm * len(arms) - gone)
        left += per_replicate_epoch * replicates * confirm.max_epochs
        return left / self.concurrency
