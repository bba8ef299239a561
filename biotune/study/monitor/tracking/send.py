"""Sends what is new to the trackers, from a thread of its own, and keeps in a file what they have."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from biotune.results import Results
from biotune.results.documents import checked
from biotune.study.history.record import Record
from biotune.study.monitor.tracking.news import News, news_of
from biotune.study.monitor.tracking.trackers import NotSent, Tracker, make_tracker

EVERY = 2.0
"""Seconds between two looks for what is new."""
PAUSE = 15.0
"""Seconds after which a tracker that could not be reached is tried again."""
PATIENCE = 20.0
"""Seconds that the end of a study waits for what has not been sent."""
FILE = "tracking"


class Run(BaseModel):
    """What a tracker has of a run: what it is known by there, how many epochs, and whether its end."""

    id: str
    epochs: Annotated[int, Field(ge=0)]
    ended: bool


class Sent(BaseModel):
    """tracking.json: tracker, as `--log` names it -> run -> what it has of it."""

    trackers: dict[str, dict[str, Run]] = {}


def read_sent(results: Results) -> Sent:
    """What trackers have of a study.

    Raises:
        UserError: tracking.json is damaged.
    """
    file = results.path / f"{FILE}.json"
    return checked(results.read_json(FILE), Sent, str(file)) if file.is_file() else Sent()


def make_trackers(specs: Sequence[str], study: str) -> dict[str, Tracker]:
    """The trackers that `--log` names.

    Raises:
        UserError: one isn't known, isn't installed, or can't be reached.
    """
    return {spec: make_tracker(spec, study) for spec in dict.fromkeys(specs)}


class Tracking:
    """Tells the trackers of a study while it runs, as a context.

    Args:
        trackers: as `--log` names them. results: of the study. record: what has happened.
        say: called with what the user has to know.
    """

    def __init__(
        self, trackers: dict[str, Tracker], results: Results, record: Record, say: Callable[[str], None]
    ) -> None:
        self.results, self.record, self.say = results, record, say
        sent = read_sent(results) if trackers else Sent()
        for tracker in trackers.values():
            tracker.open(results.path)
        self.lines = [_Line(name, tracker, sent.trackers.get(name, {})) for name, tracker in trackers.items()]
        self.others = {name: runs for name, runs in sent.trackers.items() if name not in trackers}
        self.looked = -EVERY
        self.written: Sent | None = None

    def update(self, now: bool = False) -> None:
        """Looks for what is new, every `EVERY` seconds at most unless `now`."""
        if not self.lines or (not now and time.monotonic() - self.looked < EVERY):
            return
        self.looked = time.monotonic()
        for line in self.lines:
            line.put(self.record)
            if trouble := line.trouble():
                self.say(f"NOTE: --log {line.name}: {trouble}; it is tried again, and the study goes on")
        self._write()

    def close(self) -> None:
        """Sends what is left, as far as that can be done in `PATIENCE` seconds, and says what couldn't."""
        self.update(now=True)
        end = time.monotonic() + PATIENCE
        for line in self.lines:
            if left := line.close(max(end - time.monotonic(), 1.0)):
                self.say(
                    f"NOTE: --log {line.name}: {left} could not be sent; "
                    f"`--resume {self.results.path} --log {line.name}` sends them"
                )
        self._write()

    def _write(self) -> None:
        held = Sent(trackers={**self.others, **{line.name: line.sent() for line in self.lines}})
        if self.lines and held != self.written:
            self.results.write_json(FILE, held.model_dump())
            self.written = held


class _Line:
    """The line to one tracker: a queue, and a thread that sends what is in it, in order.

    Attributes:
        refused: set once something could not be sent.
    """

    def __init__(self, name: str, tracker: Tracker, runs: dict[str, Run]) -> None:
        self.name, self.tracker, self.runs = name, tracker, dict(runs)
        self.told = {run: held.epochs for run, held in runs.items()}
        self.ended = {run for run, held in runs.items() if held.ended}
        self.queue: queue.Queue[News | None] = queue.Queue()
        self._trouble: str | None = None
        self._said: str | None = None
        self._lock, self._stop, self.refused = threading.Lock(), threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._send_all, daemon=True, name=f"biotune --log {name}")
        self.thread.start()

    def put(self, record: Record) -> None:
        """Puts what is new on the line."""
        for news in news_of(record, self.told, self.ended):
            self.told[news.run] = max(news.rows, default=self.told.get(news.run, 0) - 1) + 1
            if news.end is not None:
                self.ended.add(news.run)
            self.queue.put(news)

    def trouble(self) -> str | None:
        """Why nothing can be sent, once for each reason."""
        with self._lock:
            new = self._trouble if self._trouble != self._said else None
            self._said = self._trouble
        return new

    def sent(self) -> dict[str, Run]:
        """What the tracker has."""
        with self._lock:
            return dict(self.runs)

    def close(self, patience: float) -> str:
        """Ends the line; returns how much was not sent, empty if all was."""
        self.queue.put(None)
        self.thread.join(patience)
        self._stop.set()
        self.thread.join(PAUSE)
        if self.thread.is_alive():
            return "the last news"
        left = len({news.run for news in self.queue.queue if news is not None})
        self.tracker.close()
        return f"what is new of {left} runs" if left else ""

    def _send_all(self) -> None:
        while (news := self.queue.get()) is not None:
            while not self._sent(news):
                if self._stop.wait(PAUSE):
                    self.queue.queue.appendleft(news)
                    return

    def _sent(self, news: News) -> bool:
        held = self.runs.get(news.run)
        try:
            known = self.tracker.send(news, None if held is None else held.id)
        except NotSent as error:
            with self._lock:
                self._trouble = str(error)
            self.refused.set()
            return False
        epochs = max(news.rows, default=(held.epochs if held else 0) - 1) + 1
        with self._lock:
            self._trouble = None
            self.runs[news.run] = Run(id=known, epochs=epochs, ended=news.end is not None)
        return True
