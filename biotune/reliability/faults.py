"""Kills a study again and again, at random moments, and compares what comes out with the same study left alone.

    python -m biotune.reliability.faults
    python -m biotune.reliability.faults --kills 20 --seed 1 --json faults.json

Each kill is a SIGKILL: of the driver, of a worker that trains, or of the whole tree of processes, in search, in confirm
or while the report is made; after all but the second kind the study goes on with `--resume`. Trials run one at a time,
so that the two studies must agree bit for bit. Ends with exit code 1 where anything was lost, doubled, trained again
beyond one checkpoint's interval, or left behind.
"""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from biotune.network import load_checkpoint
from biotune.reliability.integrity import differences, events_of, faults
from biotune.results import Results
from biotune.study.journal import Event
from biotune.study.study import load_study

SPACE = """# Does a study that is killed again and again end as if it had been left alone?
name: faults
seed: 5
task: {name: seq_mem, pattern_length: 5, trials: 500, batch: 128}
connectome: {name: "distance_rule:mouse_gamanut"}
topology: {neurons_per_region: 5}
arms:
  real: {}
  weights: {null: {name: weights_shuffled, level: region}}
  degrees: {null: {name: degree_preserving, level: region}}
  random: {null: {name: erdos_renyi, level: neuron}}
reference_arm: real
tune:
  learning_rate: {loguniform: [1.0e-3, 1.0e-2]}
  nonlinearity: {choice: [tanh, relu]}
search: {trials_per_arm: 6, shared_settings: 3, replicates: 2, max_epochs: 162, grace: 18, reduction: 3}
confirm: {replicates: 4, max_epochs: 200, population: 2}
"""

KINDS = ("driver", "worker", "tree")
MARK = "BIOTUNE_FAULTS"
"""In the environment of everything that a launch starts, however deep: so what it leaves behind is found."""
SLACK = 1.0
"""Seconds beyond a checkpoint's interval that may be lost: the epoch that runs as it passes, and the writing."""
PATIENCE = 30.0
"""Seconds within which the processes of a killed study must be gone."""
LONGEST = 600.0
"""Seconds without a kill after which the study is taken to hang."""

_RUN = "from biotune.cli import tune_main; raise SystemExit(tune_main())"


@dataclass(frozen=True)
class Moment:
    """When a kill comes, in terms of what has been done: the same moment, however fast the machine is.

    Attributes:
        kind: what is killed, one of `KINDS`.
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
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:  # another user's, or it has ended
                continue
        return found


def start(log: Path, *arguments: str | Path) -> Launch:
    """Starts `tune_main.py`, one trial at a time; what it prints goes to `log`."""
    mark = secrets.token_hex(8)
    command = [sys.executable, "-c", _RUN, *map(str, arguments), "--concurrency", "1"]
    with log.open("a") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {MARK: mark})
    return Launch(process, mark)


def leave_alone(space: Path, folder: Path) -> tuple[Results, float]:
    """Runs the study undisturbed; gives its results, and the seconds that its report took.

    Raises:
        SystemExit: it did not end well.
    """
    launch = start(folder / "undisturbed.log", "--space", space, "--output", folder / "undisturbed")
    finished = None
    while launch.process.poll() is None:
        time.sleep(0.05)
        if finished is None and (directory := _directory(folder / "undisturbed")) and _phase(directory) == "finished":
            finished = time.monotonic()
    if launch.process.returncode or finished is None:
        raise SystemExit(f"the undisturbed study failed: see {folder / 'undisturbed.log'}")
    directory = _directory(folder / "undisturbed")
    assert directory is not None
    return Results.open(directory), time.monotonic() - finished


def schedule(kills: int, seed: int, undisturbed: Results, report_seconds: float) -> list[Moment]:
    """Moments spread evenly at random over the seconds of training, a sixth of them over the report's; all kinds."""
    generator = np.random.default_rng(seed)
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    generator.shuffle(kinds)
    of_report = [kind for kind in kinds if kind != "worker"][: max(kills // 6, 1)]  # no worker runs any more
    for kind in of_report:
        kinds.remove(kind)
    seconds: dict[str, list[float]] = {
        "search": [],
        "confirm": [],
    }  # of each trial or block, in the order that they ended
    trials = undisturbed.read_table("trials").set_index("trial")["seconds"]
    for event in events_of(undisturbed):
        if event["event"] == "ended":
            seconds["search"].append(trials[event["trial"]])
        elif event["event"] == "confirmed":
            seconds["confirm"].append(event["seconds"])
    share = sum(seconds["search"]) / sum(map(sum, seconds.values()))
    in_search = min(max(round(share * len(kinds)), 1), len(kinds) - 1)
    moments = []
    for phase, chosen in (("search", kinds[:in_search]), ("confirm", kinds[in_search:])):
        ends = np.cumsum(seconds[phase])
        passed, unit = 0.0, -1
        for kind, at in zip(chosen, np.sort(generator.uniform(0, ends[-1], len(chosen))), strict=True):
            done = int(np.searchsorted(ends, at))
            begun = ends[done] - seconds[phase][done]
            if done != unit:
                passed, unit = begun, done
            moments.append(Moment(kind, phase, done, float(at - passed)))
            passed = at
    return moments + [Moment(kind, "report", 0, float(generator.uniform(0, report_seconds))) for kind in of_report]


class JournalTail:
    """The events of a journal that is being written, each read once.

    Args:
        output: the folder that the study makes its results directory in.
    """

    def __init__(self, output: Path) -> None:
        self.output, self.offset = output, 0
        self.events: list[Event] = []

    def look(self) -> list[Event]:
        """All events so far; a line that is not whole yet, or never will be, is left for later."""
        file = next(self.output.glob("*/journal.jsonl"), None)
        if file is not None:
            with file.open("rb") as stream:
                stream.seek(self.offset)
                whole, end, _ = stream.read().rpartition(b"\n")
            self.offset += len(whole + end)
            self.events += [json.loads(line) for line in whole.splitlines()]
        return self.events


class Disturbed:
    """The study that is killed.

    Args:
        space: its YAML. folder: for its results and what it prints.
        every: seconds between two checkpoints. undisturbed: the same study, left alone.
    """

    def __init__(self, space: Path, folder: Path, every: float, undisturbed: Results) -> None:
        self.every, self.log = every, folder / "disturbed.log"
        self.prefix = f"ray::{load_study(space).config.name}/"
        self.begun = time.monotonic()
        self.launches = [self._start("--space", space, "--output", folder / "disturbed")]
        self.output = folder / "disturbed"
        self.journal = JournalTail(self.output)
        self.kills: list[Kill] = []
        self.seen: dict[tuple[int, str], float] = {}
        self.wrong: list[str] = []
        self.rates = _epochs_a_second(undisturbed)

    def _start(self, *arguments: str | Path) -> Launch:
        return start(self.log, *arguments, "--checkpoint-every", str(self.every))

    @property
    def launch(self) -> Launch:
        """The one that runs."""
        return self.launches[-1]

    @property
    def directory(self) -> Path:
        """Its results."""
        directory = _directory(self.output)
        assert directory is not None
        return directory

    def run(self, moments: Sequence[Moment]) -> Results:
        """Kills the study at each moment, then lets it end.

        Raises:
            SystemExit: it hangs, or ends by itself with an error.
        """
        for moment in moments:
            while not self._kill_at(moment):  # the report was done before its moment came: once more
                moment = Moment(moment.kind, moment.phase, moment.done, moment.delay / 2)
                self.launches.append(self._start("--resume", self.directory))
        if self.launch.process.wait(LONGEST):
            raise SystemExit(f"the study ended by itself with {self.launch.process.returncode}: see {self.log}")
        self._see_off()
        return Results.open(self.directory)

    def _kill_at(self, moment: Moment) -> bool:
        """Waits for the moment, and kills; False where a report was done before."""
        clock, deadline = None, time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            time.sleep(0.05)
            status = self.launch.process.poll()
            if status == 0 and moment.phase == "report":
                return False
            if status is not None:
                raise SystemExit(f"the study ended by itself with {status}: see {self.log}")
            workers = self._workers()
            events = self.journal.look()
            if not events:
                continue
            done = _done(events, moment.phase) - moment.done
            if moment.phase == "report":
                done = 0 if _phase(self.directory) == "finished" else -1
            if clock is None and done >= 0 and (workers or moment.kind != "worker"):
                clock = time.monotonic()
            due = done > 0 or (clock is not None and time.monotonic() - clock >= moment.delay)
            if due and (workers or moment.kind != "worker"):
                self._kill(moment, workers, events)
                return True
        raise SystemExit(f"the study hangs: nothing came of it in {LONGEST:g} s: see {self.log}")

    def _workers(self) -> dict[str, psutil.Process]:
        """What is trained now, and by which process."""
        found = {}
        for process in _children(self.launch.process.pid):
            try:
                title = process.cmdline()[0]
            except (psutil.Error, IndexError):
                continue
            if title.startswith(self.prefix):
                found[title.removeprefix(self.prefix)] = process
                self.seen.setdefault((process.pid, title.removeprefix(self.prefix)), time.time())
        return found

    def _kill(self, moment: Moment, workers: dict[str, psutil.Process], events: list[Event]) -> None:
        if moment.kind == "worker":
            victims = [process.pid for process in workers.values()][:1]
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
        kill = Kill(moment.kind, _phase(self.directory), time.monotonic() - self.begun, len(events))
        if kill.phase == "finished":
            kill.phase = "report"
        for name, process in workers.items():
            self._account(kill, name, process, now, events)
        self.kills.append(kill)
        if moment.kind != "worker":
            self.launch.process.wait()
            killed, at = self.launch, time.monotonic()
            self.launches.append(self._start("--resume", self.directory))
            while killed.family() and time.monotonic() - at < PATIENCE:
                time.sleep(0.1)
            kill.gone = time.monotonic() - at

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
        deadline = time.monotonic() + PATIENCE
        while (left := [one for launch in self.launches for one in launch.family()]) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.wrong += [f"process {one.pid} was left behind: {one.name()}" for one in left]

    def broken(self) -> list[str]:
        """What cost more than it may."""
        found = list(self.wrong)
        for number, kill in enumerate(self.kills, 1):
            if kill.lost > self.every + SLACK:
                found.append(f"kill {number} cost {kill.running} {kill.lost:.1f} s, more than one interval")
            if kill.gone is not None and kill.gone >= PATIENCE:
                found.append(f"kill {number}: processes of the killed study ran on for {PATIENCE:g} s")
        return found


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _directory(output: Path) -> Path | None:
    found = [file.parent for file in output.glob("*/state.json")]
    return found[0] if found else None


def _phase(directory: Path) -> str:
    return Results(directory).read_json("state")["phase"]


def _done(events: Sequence[Event], phase: str) -> int:
    """Trials ended, or blocks confirmed; -1 where the phase hasn't begun."""
    if phase == "confirm" and not any(event["event"] == "selected" for event in events):
        return -1
    return sum(event["event"] == {"search": "ended", "confirm": "confirmed"}.get(phase) for event in events)


def _epochs_a_second(results: Results) -> dict[str, float]:
    """Of each trial, and of each block by the name of its checkpoint."""
    trials = results.read_table("trials").to_dict("records")
    rates = {trial["trial"]: trial["epochs"] / trial["seconds"] for trial in trials}
    for event in events_of(results):
        if event["event"] == "confirmed":
            name = f"{event['arm']}-{event['phases'][0]}-{event['replicates'][0]:04d}"
            rates[name] = (len(event["validation"]) - 1) / event["seconds"]
    return rates


def print_kills(kills: Sequence[Kill], console: Console) -> None:
    """A row a kill."""
    table = Table(title="What was killed, and what had to be trained again")
    names = ("", "killed", "phase", "s in", "events", "running", "s lost", "epochs lost", "on from", "gone after")
    for column in names:
        table.add_column(column, justify="left" if column in ("killed", "phase", "running") else "right")
    for number, kill in enumerate(kills, 1):
        cost = (f"{kill.lost:.1f}", str(kill.epochs), str(kill.since)) if kill.running else ("", "", "")
        gone = "" if kill.gone is None else f"{kill.gone:.1f} s"
        place = (str(number), kill.kind, kill.phase, f"{kill.seconds_in:.0f}", str(kill.events), kill.running or "–")
        table.add_row(*place, *cost, gone)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it, prints what came of it, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, metavar="FILE", help="the study's YAML; default: one of its own")
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="at least 3; default 20")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the schedule; default 1")
    parser.add_argument(
        "--checkpoint-every", type=float, default=2.0, metavar="SECONDS", help="default 2, of trials of seconds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    given = parser.parse_args(arguments)
    if given.kills < len(KINDS):
        parser.error(f"--kills {given.kills}: at least {len(KINDS)}, one of each kind")
    console = Console(width=None if sys.stdout.isatty() else 140)
    folder = Path(tempfile.mkdtemp(prefix="biotune-faults-"))
    space = given.space or folder / "faults.yaml"
    if given.space is None:
        space.write_text(SPACE)
    console.print(f"The undisturbed study … (all in {folder})", highlight=False)
    started = time.monotonic()
    undisturbed, report_seconds = leave_alone(space, folder)
    alone = time.monotonic() - started
    moments = schedule(given.kills, given.seed, undisturbed, report_seconds)
    console.print(f"It took {alone:.0f} s. The same, killed {given.kills} times (seed {given.seed}) …", highlight=False)
    disturbed = Disturbed(space, folder, given.checkpoint_every, undisturbed)
    results = disturbed.run(moments)
    took = time.monotonic() - disturbed.begun
    wrong = [*disturbed.broken(), *faults(undisturbed), *faults(results), *differences(undisturbed, results)]
    print_kills(disturbed.kills, console)
    lost = [kill.lost for kill in disturbed.kills]
    console.print(
        f"{took:.0f} s instead of {alone:.0f} s; {sum(lost):.1f} s of training done again, at most {max(lost):.1f} s a "
        f"kill; a checkpoint every {given.checkpoint_every:g} s",
        highlight=False,
    )
    for one in wrong:
        console.print(f"WRONG: {one}", style="red", highlight=False)
    if not wrong:
        console.print(
            f"{len(results.read_table('trials'))} trials, {len(results.read_table('curves'))} evaluations: every table "
            "and number equals the undisturbed study's; nothing was lost, doubled, run again or left behind.",
            highlight=False,
        )
    if given.json:
        content: dict[str, Any] = {
            "kills": [asdict(kill) for kill in disturbed.kills],
            "seed": given.seed,
            "checkpoint_every": given.checkpoint_every,
            "seconds": {"undisturbed": alone, "disturbed": took},
            "results": {"undisturbed": str(undisturbed.path), "disturbed": str(results.path)},
            "wrong": wrong,
        }
        given.json.write_text(json.dumps(content, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
