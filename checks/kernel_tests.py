"""The kernels' tests, and those of recorded updates, within a time limit, in processes that are watched.

If a test hangs, or kills its process or the GPU's context, only that test is lost. When the time is up, the outcomes of
the tests that have ended are known, and the others are named.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

TELLING = ("test_triton", "test_recorded", "test_fused", "test_backends", "test_triton_loops")
"""The files that tell most about a GPU; they run first."""

ELSEWHERE = ("tests/training/test_recorded.py",)
"""What needs a GPU beside tests/kernels."""

PATIENCE = 60.0
"""Seconds that one test may take; Triton compiles in most of them."""


@dataclass(frozen=True)
class Outcome:
    """A test's outcome: passed, failed, skipped, hung, crashed (its process died) or not run.

    Attributes:
        detail: the traceback.
    """

    test: str
    outcome: str
    seconds: float = 0.0
    message: str = ""
    detail: str = ""


@dataclass
class _Worker:
    """One share of the tests, run in one process after another."""

    share: str
    record: Path
    log: Path
    paths: Sequence[str]
    threads: int
    process: subprocess.Popen[bytes] | None = None
    collected: list[str] = field(default_factory=list)
    started: dict[str, float] = field(default_factory=dict)
    ended: dict[str, Outcome] = field(default_factory=dict)
    begun: int = 0
    lines: int = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "checks.recording"]
        command += ["--continue-on-collection-errors", f"--record={self.record}", f"--share={self.share}", *self.paths]
        self.begun = len(self.started)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": str(self.threads)},
            )

    def stop(self, *, hung: bool = False) -> None:
        """Ends the process; of one that hangs, pytest first says where every thread is."""
        if self.process is None:
            return
        for way in (*([signal.SIGABRT] if hung else []), signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(self.process.pid, way)
                self.process.wait(5)
        self.process = None

    def look(self) -> None:
        """Reads what was recorded since, and starts a new process if a test hung or killed the last one."""
        if self.process is None:
            return
        code = self.process.poll()  # before reading, so that nothing recorded before it ended is missed
        self.read()
        running = next((test for test in self.started if test not in self.ended), None)
        hung = running is not None and time.monotonic() - self.started[running] > PATIENCE
        if code is None and not hung:
            return
        self.stop(hung=hung)
        if running is not None and hung:
            self.ended[running] = Outcome(running, "hung", PATIENCE, f"no end within {PATIENCE:g} s")
        elif running is not None:
            self.ended[running] = Outcome(running, "crashed", message=f"its process ended: {code}")
        elif len(self.started) == self.begun and (self.left or not self.ended):
            self.ended[self.name] = Outcome(self.name, "crashed", message=f"pytest ended with {code} before any test")
            return
        if self.left:
            self.start()

    @property
    def name(self) -> str:
        """What this worker has to do, if there is no test to name."""
        return f"share {self.share} of {' '.join(self.paths)}"

    @property
    def left(self) -> list[str]:
        return [test for test in self.collected if test not in self.ended]

    def read(self) -> None:
        """Reads what was recorded since."""
        if not self.record.exists():
            return
        lines = self.record.read_text().splitlines(keepends=True)
        for line in lines[self.lines :]:
            if not line.endswith("\n"):
                break
            self.lines += 1
            event = json.loads(line)
            if "collected" in event:
                self.collected += [test for test in event["collected"] if test not in self.collected]
            elif "started" in event:
                self.started[event["started"]] = time.monotonic()
            else:
                self.ended[event["test"]] = Outcome(**event)


def run(paths: Sequence[str], seconds: float, log: TextIO) -> list[Outcome]:
    """Runs all tests of some files or folders within `seconds`, and returns their outcomes.

    Args:
        paths: what pytest collects; if empty, tests/kernels and `ELSEWHERE`, the most telling files first.
        seconds: after which the tests that have not ended are cut off.
        log: where the output of pytest is written.
    """
    paths = paths or _kernels_tests()
    cores = os.cpu_count() or 1
    count = max(1, min(8, cores // 2))
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as scratch:
        workers = [
            _Worker(
                f"{place}/{count}",
                Path(scratch) / f"{place}.jsonl",
                Path(scratch) / f"{place}.log",
                paths,
                max(1, cores // count),
            )
            for place in range(count)
        ]
        try:
            for worker in workers:
                worker.start()
            while any(worker.process for worker in workers) and time.monotonic() < end:
                time.sleep(0.1)
                for worker in workers:
                    worker.look()
        finally:
            for worker in workers:
                worker.stop()
                worker.read()
                log.write(worker.log.read_text() if worker.log.exists() else "")
    outcomes: dict[str, Outcome] = {}
    for worker in workers:
        outcomes |= worker.ended
        outcomes |= {test: Outcome(test, "not run", message="the time was up") for test in worker.left}
        if not (worker.collected or worker.ended):
            outcomes[worker.name] = Outcome(worker.name, "not run", message="the time was up before it had begun")
    return list(outcomes.values())


def _kernels_tests() -> list[str]:
    paths = [*sorted(Path("tests/kernels").glob("test_*.py")), *map(Path, ELSEWHERE)]
    files = {path.stem: str(path) for path in paths}
    return [files[name] for name in sorted(files, key=lambda name: (name not in TELLING, name))]


def counts(outcomes: Sequence[Outcome]) -> str:
    """In words: 310 passed, 2 failed, ..."""
    found = Counter(outcome.outcome for outcome in outcomes)
    order = ("passed", "skipped", "failed", "hung", "crashed", "not run")
    return ", ".join(f"{found[name]} {name}" for name in order if found[name]) or "no tests"
