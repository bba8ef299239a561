"""What a person sees while a study runs: a live display on a terminal, otherwise a line now and then."""

import time
from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean, median
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from biotune.results.documents import Cell
from biotune.results.vocabulary import ENDINGS, RUNNING
from biotune.study.confirm.confirm import Job, jobs_left, make_jobs
from biotune.study.confirm.course import course
from biotune.study.definition.study import Study
from biotune.study.history.record import Record
from biotune.study.resources.estimate import Span, makespan

LINE_SECONDS = 10.0
"""Between two lines if there is no terminal."""
LEFT = (0.85, 1.25)
"""How far the time that is left may be from what it took so far, as a factor."""
STEADY = 0.1
"""The share of its epochs after which a block shows how fast it is: at first, setting it up is most of its time."""


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
        afterwards: how long the report will take.
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
        afterwards: Span,
    ) -> None:
        self.study, self.record, self.concurrency = study, record, concurrency
        self.console, self.dashboard, self.banners, self.afterwards = console, dashboard, banners, afterwards
        self.phase = "search"
        self.jobs: Sequence[Job] = []
        self._all_jobs: Sequence[Job] = []
        self._made_for: int | None = None  # number of looks that were taken
        self.pace: float | None = None  # seconds per epoch of a confirmed replicate
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

    def confirming(self, jobs: Sequence[Job]) -> None:
        """The blocks that run now, and how far they are."""
        self.jobs = jobs
        along = [job for job in jobs if job.reached.epoch >= STEADY * self.study.config.confirm.max_epochs]
        if epochs := sum(job.reached.epoch * len(job.replicates) for job in along):
            self.pace = sum(job.reached.seconds for job in along) / epochs

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
        table = self._confirm_table() if self.phase == "confirm" else self._search_table()
        return Group(head, *(Text(banner, style="yellow") for banner in self.banners), table)

    def _search_table(self) -> Table:
        table = _table("done", "running", "stopped", "failed", "best loss")
        for arm in self.study.arms:
            tally = self.record.tally(arm)
            failed = tally["failed"] + tally["diverged"]
            table.add_row(
                Text(arm),
                f"{self._done(arm)}/{self.study.config.search.trials_per_arm}",
                str(tally[RUNNING]),
                str(tally["stopped"]),
                Text(str(failed), style="red" if failed else ""),
                self._best(arm),
            )
        return table

    def _confirm_table(self) -> Table:
        table = _table("confirmed", "blocks running", "epoch", *(["look"] if self._looks else []))
        for arm in self.study.arms:
            done, planned = self._replicates(arm)
            stands = [self._stands(arm)] if self._looks else []
            table.add_row(Text(arm), f"{done}/{planned}", str(self._running(arm)), self._epochs(arm), *stands)
        return table

    @property
    def _looks(self) -> bool:
        """Whether arms stop at one look and go on at another."""
        return len(self.study.config.confirm.planned) > 1

    def _stands(self, arm: str) -> str:
        """What the looks have made of an arm: `decided at 16`, `going on to 32`, `stopped at 16`, `open at 64`."""
        now, taken = course(self.study, self.record), self.record.looks
        if arm == self.study.config.reference_arm or arm not in self.study.config.arms:
            return ""
        if now.look is not None and arm in now.going:
            return f"going on to {now.look}" if taken else f"first, at {now.look}"
        for look in taken:
            if arm in look.decided:
                return f"decided at {look.pairs}"
        return f"open at {taken[-1].pairs}" if arm in taken[-1].going else f"stopped at {now.pairs[arm]}"

    def _done(self, arm: str) -> int:
        tally = self.record.tally(arm)
        return sum(tally[ending] for ending in ENDINGS)

    def _best(self, arm: str) -> str:
        best = self.record.best(arm)
        return "–" if best is None else f"{best:.2e}"

    def _replicates(self, arm: str) -> tuple[int, int]:
        """Confirmed, and to be confirmed."""
        done = sum(len(block.replicates) for block in self.record.blocks if block.cell.arm == arm)
        return done, sum(len(job.replicates) for job in self._to_confirm() if job.cell.arm == arm)

    def _to_confirm(self) -> Sequence[Job]:
        """The blocks of all that is selected and asked for so far, made once for each look; none before."""
        if self.record.selection is not None and self._made_for != len(self.record.looks):
            self._made_for = len(self.record.looks)
            self._all_jobs = make_jobs(self.study, self.record.selection.cells, course(self.study, self.record))
        return self._all_jobs

    def _running(self, arm: str) -> int:
        """Blocks of an arm that run."""
        return sum(job.cell.arm == arm for job in self.jobs)

    def _epochs(self, arm: str) -> str:
        """`34 of 100`, `12–34 of 100` if several blocks of the arm run."""
        epochs = [job.reached.epoch for job in self.jobs if job.cell.arm == arm]
        if not epochs:
            return ""
        ends = dict.fromkeys((min(epochs), max(epochs)))
        return f"{'–'.join(map(str, ends))} of {self.study.config.confirm.max_epochs}"

    def _count(self, arm: str) -> str:
        if self.phase == "confirm":
            done, planned = self._replicates(arm)
            blocks = self._running(arm)
            parts = [f"{blocks} block{'s' * (blocks > 1)} running, epoch {self._epochs(arm)}"] if blocks else []
            parts += [stands] if self._looks and self.record.looks and (stands := self._stands(arm)) else []
            return f"{done}/{planned} ({'; '.join(parts)})" if parts else f"{done}/{planned}"
        return f"{self._done(arm)}/{self.study.config.search.trials_per_arm} (best {self._best(arm)})"

    def _remaining(self) -> str:
        left = self.left()
        return "" if left is None else f", {left} left"

    def left(self) -> Span | None:
        """How long the rest takes, to the end of the report; None before the first trial has ended.

        A trial is trained for as many epochs as those before it were, half of them if it runs already. An epoch takes
        as long as in most trials (the first ones of a worker take longer); one of a confirmed replicate, as long as in
        the blocks that run, if there are any.
        """
        record, arms, search = self.record, self.study.arms, self.study.config.search
        paces = list(record.paces)  # a copy, since another thread adds to it
        if not paces:
            return None
        pace = self.pace or median(paces) / search.replicates
        seconds = makespan((pace * epochs for epochs in self._epochs_left()), self.concurrency)
        if record.selection is None:
            running = sum(record.tally(arm)[RUNNING] for arm in arms)
            trials = search.trials_per_arm * len(arms) - sum(map(self._done, arms)) - running / 2
            seconds += trials * median(paces) * record.trained_epochs / len(paces) / self.concurrency
        return Span.about(seconds, LEFT) + self.afterwards

    def _epochs_left(self) -> list[float]:
        """Of one replicate, summed over those of a block: an entry for each block that is not confirmed yet.

        A block that ends once the criterion is met is taken to last as long as those of its condition that have ended
        or, if there are none, half as long as it may.
        """
        config, record, study = self.study.config, self.record, self.study
        epochs = config.confirm.max_epochs + config.criterion.sustain - 1
        if record.selection is None:
            whole = study.blocks(config.confirm.replicates)
            some = [epochs / 2 * len(block) for _, count in study.beside_primary for block in study.blocks(count)]
            return [*[float(epochs * len(block)) for block in whole] * 2, *some] * len(study.arms)
        reached = {job.key: job.reached.epoch for job in self.jobs}
        ended: dict[str, list[int]] = {}
        for block in record.blocks:
            if not block.cell.whole:
                ended.setdefault(block.cell.condition, []).append(len(block.curves.validation) - 1)

        def expected(cell: Cell) -> float:
            if cell.whole:
                return epochs
            return fmean(ended[cell.condition]) if cell.condition in ended else epochs / 2

        return [
            max(expected(job.cell) - reached.get(job.key, 0), 1) * len(job.replicates)
            for job in jobs_left(self._to_confirm(), record)
        ]


def _table(*columns: str) -> Table:
    """A row fits into 80 columns with an arm's name of any length; on a narrower terminal it is folded, never cut."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("arm", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
