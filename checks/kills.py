"""A study that is killed at given moments, and goes on; what each kill hit, and what it cost."""

import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from biotune.network import load_checkpoint
from biotune.results import Results
from biotune.results.documents import Cell
from biotune.results.journal import Event
from biotune.study.definition.load import load_study
from biotune.training.engine.loop import PATIENCE as ASKED
from checks.integrity import events_of
from checks.watching import MARK, TUNE_MAIN, GrowingJournal, describe, marked

KINDS = ("driver", "worker", "tree")
ENGINE = "engine"
"""What is killed too, if an engine trains the networks."""
OF_TRAINING = ("worker", ENGINE)
"""What is there only while something is trained; without it the study goes on by itself."""
SLACK = 1.0
"""Seconds beyond a checkpoint's interval that may be lost: the epoch that runs as it passes, and the writing."""
PATIENCE = 90.0
"""Seconds within which the processes of a killed study must be gone; Ray's two agents may try to tell the head, which
is dead too, for a minute before they end."""
LONGEST = 600.0
"""Seconds without a kill after which the study is taken to hang."""


@dataclass(frozen=True)
class Moment:
    """When a kill comes, in terms of what has been done: the same moment, however fast the machine is.

    Attributes:
        kind: what is killed, one of `KINDS`, or `ENGINE`.
        phase: search, confirm or report.
        done: trials ended, or blocks confirmed, before it.
        delay: seconds of training into the next one, or of the report.
    """

    kind: str
    phase: str
    done: int
    delay: float


@dataclass
class Kill:
    """What a kill hit, and what it cost.

    Attributes:
        running: the trial or block that was trained. seconds_in: of the study, since its first start.
        events: in the journal. lost: seconds of training since the last checkpoint, to be done again.
        epochs: in the journal or trained at the undisturbed speed since then, likewise. since: epoch gone on from.
        gone: seconds until no process of the killed launch was left.
    """

    kind: str
    phase: str
    seconds_in: float
    events: int
    running: str = ""
    lost: float = 0.0
    epochs: int = 0
    since: int = 0
    gone: float | None = None


@dataclass
class Launch:
    """One start of the study."""

    process: subprocess.Popen
    mark: str
    at: float = field(default_factory=time.monotonic)

    def family(self) -> list[psutil.Process]:
        """All that it started and that still runs, itself included."""
        return marked(self.mark)


def start(log: Path, *arguments: str | Path) -> Launch:
    """Starts `tune_main.py`, one trial at a time; what it prints goes to `log`."""
    mark = secrets.token_hex(8)
    command = [*TUNE_MAIN, *map(str, arguments), "--concurrency", "1"]
    with log.open("a") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {MARK: mark})
    return Launch(process, mark)


class Disturbed:
    """The study that is killed.

    Args:
        space: its YAML. folder: for its results and what it prints.
        every: seconds between two checkpoints. undisturbed: the same study, left alone.
        options: of every launch. first: of the first one too.
    """

    def __init__(
        self,
        space: Path,
        folder: Path,
        every: float,
        undisturbed: Results,
        options: Sequence[str] = (),
        first: Sequence[str] = (),
    ) -> None:
        self.every, self.log, self.options = every, folder / "disturbed.log", options
        # a trial whose networks an engine trains hears of their epochs only so often
        self.slack = SLACK + (ASKED if "--engine" in options else 0.0)
        self.prefix = f"ray::{load_study(space).config.name}/"
        self.begun = time.monotonic()
        self.launches = [self._start("--space", space, "--output", folder / "disturbed", *first)]
        self.output = folder / "disturbed"
        self.journal = GrowingJournal(self.output)
        self.kills: list[Kill] = []
        self.seen: dict[tuple[int, str], float] = {}
        self.wrong: list[str] = []
        self.going: list[threading.Thread] = []
        self.rates = _epochs_a_second(undisturbed)

    def _start(self, *arguments: str | Path) -> Launch:
        return start(self.log, *arguments, "--checkpoint-every", str(self.every), *self.options)

    @property
    def launch(self) -> Launch:
        """The one that runs."""
        return self.launches[-1]

    @property
    def directory(self) -> Path:
        """Its results."""
        directory = directory_of(self.output)
        assert directory is not None
        return directory

    def run(self, moments: Sequence[Moment]) -> Results:
        """Kills the study at each moment, then lets it end.

        Raises:
            SystemExit: it hangs, or ends by itself with an error.
        """
        for moment in moments:
            while not self._kill_at(moment):  # all was done before it came: it comes as the report is made again
                kind = "driver" if moment.kind in OF_TRAINING else moment.kind
                moment = Moment(kind, "report", 0, moment.delay / 2)
                self.launches.append(self._start("--resume", self.directory))
        if self.launch.process.wait(LONGEST):
            raise SystemExit(f"the study ended by itself with {self.launch.process.returncode}: see {self.log}")
        self._see_off()
        return Results.open(self.directory)

    def _kill_at(self, moment: Moment) -> bool:
        """Waits for the moment, and kills; False if the study ended before."""
        clock, deadline = None, time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            time.sleep(0.05)
            status = self.launch.process.poll()
            if status == 0:
                return False
            if status is not None:
                raise SystemExit(f"the study ended by itself with {status}: see {self.log}")
            workers = self._workers()
            events = self.journal.look().events
            if not events:
                continue
            done = _done(events, moment.phase) - moment.done
            if moment.phase == "report":
                done = 0 if phase_of(self.directory) == "finished" else -1
            there = {"worker": workers, ENGINE: workers and self._engines()}.get(moment.kind, True)
            if clock is None and done >= 0 and there:
                clock = time.monotonic()
            due = done > 0 or (clock is not None and time.monotonic() - clock >= moment.delay)
            if due and there:
                self._kill(moment, workers, events)
                return True
        raise SystemExit(f"the study hangs: nothing came of it in {LONGEST:g} s: see {self.log}")

    def _workers(self) -> dict[str, psutil.Process]:
        """What is trained now, and by which process."""
        found = {}
        for process in _children(self.launch.process.pid):
            title = _title(process)
            if title.startswith(self.prefix):
                found[title.removeprefix(self.prefix)] = process
                self.seen.setdefault((process.pid, title.removeprefix(self.prefix)), time.time())
        return found

    def _engines(self) -> list[psutil.Process]:
        return [process for process in _children(self.launch.process.pid) if _title(process).startswith("ray::Engine")]

    def _kill(self, moment: Moment, workers: dict[str, psutil.Process], events: list[Event]) -> None:
        if moment.kind == "worker":
            victims = [process.pid for process in workers.values()][:1]
        elif moment.kind == ENGINE:
            victims = [process.pid for process in self._engines()][:1]
        elif moment.kind == "driver":
            victims = [self.launch.process.pid]
        else:
            victims = [self.launch.process.pid, *(child.pid for child in _children(self.launch.process.pid))]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        now = time.time()
        kill = Kill(moment.kind, phase_of(self.directory), time.monotonic() - self.begun, len(events))
        if kill.phase == "finished":
            kill.phase = "report"
        for name, process in workers.items():
            self._account(kill, name, process, now, events)
        self.kills.append(kill)
        if moment.kind not in OF_TRAINING:
            self.launch.process.wait()
            going = threading.Thread(target=self._watch_go, args=(kill, len(self.kills), self.launch))
            going.start()
            self.going.append(going)
            self.launches.append(self._start("--resume", self.directory))

    def _watch_go(self, kill: Kill, number: int, killed: Launch) -> None:
        at = time.monotonic()
        while (left := killed.family()) and time.monotonic() - at < PATIENCE:
            time.sleep(0.2)
        kill.gone = time.monotonic() - at
        if left:
            names = ", ".join(map(describe, left))
            self.wrong.append(f"kill {number}: of the killed study ran on for {PATIENCE:g} s: {names}")

    def _account(self, kill: Kill, name: str, process: psutil.Process, now: float, events: list[Event]) -> None:
        """What a kill costs the trial or block that was running: all since its checkpoint, or since it was begun."""
        name, begun = name.split("/")[-1], self.seen[process.pid, name]
        file = next(self.directory.glob(f"checkpoints/*/{name}.pt"), None)
        ended = {event["trial"] for event in events if event["event"] == "ended"}
        if kill.phase == "report" or name in ended:
            return  # between two trials
        kill.running = name
        last = max(begun, file.stat().st_mtime) if file else begun
        kill.lost = max(now - last, 0.0)
        kill.epochs = round(kill.lost * self.rates[name])
        kill.since = int(load_checkpoint(file)["loop"]["epoch"]) if file else 0

    def _see_off(self) -> None:
        """Waits until no process of any launch is left."""
        for one in self.going:
            one.join()
        deadline = time.monotonic() + PATIENCE
        while (left := [one for launch in self.launches for one in launch.family()]) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.wrong += [f"left behind: {describe(one)}" for one in left]

    def broken(self) -> list[str]:
        """What cost more than it may."""
        found = list(self.wrong)
        for number, kill in enumerate(self.kills, 1):
            if kill.lost > self.every + self.slack:
                found.append(f"kill {number} cost {kill.running} {kill.lost:.1f} s, more than one interval")
        return found


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


def directory_of(output: Path) -> Path | None:
    """The results directory that a study has made in its output folder, once it can be resumed."""
    found = [file.parent for file in output.glob("*/state.json")]
    return found[0] if found else None


def phase_of(directory: Path) -> str:
    """The phase that a study says it is in."""
    return Results(directory).read_state().phase


def _done(events: Sequence[Event], phase: str) -> int:
    """Trials ended, or blocks confirmed; -1 if the phase hasn't begun."""
    if phase == "confirm" and not any(event["event"] == "selected" for event in events):
        return -1
    return sum(event["event"] == {"search": "ended", "confirm": "confirmed"}.get(phase) for event in events)


def _epochs_a_second(results: Results) -> dict[str, float]:
    """Of each trial, and of each block by the name of its checkpoint."""
    trials = results.read_table("trials").to_dict("records")
    rates = {trial["trial"]: trial["epochs"] / trial["seconds"] for trial in trials}
    for event in events_of(results):
        if event["event"] == "confirmed":
            name = Cell(**event["cell"]).checkpoint(event["replicates"][0])
            report = event["report"]
            rates[name] = (len(report["evaluations"]["validation"]) - 1) / report["seconds"]
    return rates
