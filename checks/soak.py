"""A soak: many short trials through Ray, as a user runs them on a terminal; what the driver takes and leaves behind.

    python -m checks.soak
    python -m checks.soak --trials 1000 --json soak.json

A study of short trials runs on two workers, on a terminal of its own, so that the live display is drawn. Twice per
second a sample is taken: the driver's memory (USS, which would be free if it ended, and PSS), its open files, the
processes of its tree. The growth in memory and files is the slope of a line through the samples of the search, without
its first fifth. Then a longer study is started and interrupted by Ctrl-C.

The exit code is 1 unless all of this holds: the driver grows by less than 50 KB per trial and by no open file; nothing
that was started still runs 10 s after the end, or after Ctrl-C; the display is drawn at least every 3 s; the prompt is
back within 15 s after Ctrl-C.
"""

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from biotune.machine import machine
from biotune.results import Results
from biotune.study.monitor.exports import load_record
from checks.short_study import write_short_study
from checks.watching import TUNE_MAIN, GrowingJournal, Terminal

SAMPLE_SECONDS = 0.5
WARM_UP = 0.2
"""Share of the trials, at the beginning, that the lines are not fitted to."""

GROWTH, FILES_GROWTH = 50_000.0, 0.005
"""Bytes and open files per trial that the driver may grow by."""

GAP_SECONDS, PROMPT_SECONDS = 3.0, 15.0


@dataclass(frozen=True)
class Sample:
    """The driver at one moment: seconds since the start, trials ended, bytes, open files, processes of its tree."""

    seconds: float
    trials: int
    uss: int
    pss: int
    files: int
    processes: int


@dataclass(frozen=True)
class Soak:
    """What a soak found.

    Attributes:
        search_s: from the first trial's end to the last one's.
        uss_per_trial, pss_per_trial: bytes that the driver grows by.
        curves_per_trial: bytes of curves, which are data, in that growth.
        redraw_gap_s: the longest time between two redraws of the display, in the search.
        disk: bytes per trial, by file or folder of the results directory, and of Ray's session.
        left_behind, left_after_interrupt: processes that still run.
        prompt_s: from Ctrl-C to the prompt.
    """

    trials: int
    status: int
    search_s: float
    uss_per_trial: float
    pss_per_trial: float
    curves_per_trial: float
    files_per_trial: float
    files: int
    processes: int
    redraws: int
    redraw_gap_s: float
    disk: dict[str, float]
    left_behind: list[str]
    prompt_s: float
    left_after_interrupt: list[str]

    @property
    def broken(self) -> list[str]:
        """The bounds that do not hold."""
        bounds = {
            f"the study ended with {self.status}": self.status == 0,
            f"the driver grew by {self.uss_per_trial / 1000:.1f} KB per trial": self.uss_per_trial < GROWTH,
            f"the driver opened {self.files_per_trial:.3f} files per trial": self.files_per_trial < FILES_GROWTH,
            f"left behind: {'; '.join(self.left_behind)}": not self.left_behind,
            f"left behind after Ctrl-C: {'; '.join(self.left_after_interrupt)}": not self.left_after_interrupt,
            f"the display stood still for {self.redraw_gap_s:.1f} s": self.redraw_gap_s < GAP_SECONDS,
            f"the prompt came {self.prompt_s:.1f} s after Ctrl-C": self.prompt_s < PROMPT_SECONDS,
        }
        return [text for text, holds in bounds.items() if not holds]


def soak(trials: int, interrupt_at: int) -> tuple[Soak, list[Sample]]:
    """Runs a study of `trials` trials, and a longer one that is interrupted when `interrupt_at` trials have ended.

    Raises:
        RuntimeError: the study ended before its search (with what it printed), or it had too few trials.
    """
    # under /tmp, since Ray's sockets lie in it and their paths must be short
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    try:
        space = folder / "space.yaml"
        write_short_study(space, "soak", trials)
        samples: list[Sample] = []
        with _run(space, folder / "whole") as terminal:
            ended = _watch(terminal, folder / "whole", samples)
            left = terminal.left_behind()
            drawn = [at for at in terminal.drawn if ended and ended[0] <= at <= ended[-1]]
            if terminal.status is None or len(ended) < 2:
                raise RuntimeError(terminal.printed.decode(errors="replace"))
            if len(drawn) < 2:
                raise RuntimeError(f"{trials} trials ended between two redraws of the display; take more of them")
            status = terminal.status
        write_short_study(space, "interrupted", 50 * interrupt_at)
        prompt, left_after = _interrupt(space, folder / "cut", interrupt_at)
        search = [sample for sample in samples if WARM_UP * trials <= sample.trials < trials]
        [directory], [session] = (folder / "whole" / "results").iterdir(), (folder / "whole").glob("biotune-*")
        _, record = load_record(Results.open(directory))
        curves = sum(trial.curves.nbytes for trial in record.trials.values())
        found = Soak(
            trials=len(ended),
            status=status,
            search_s=ended[-1] - ended[0],
            uss_per_trial=slope(search, "uss"),
            pss_per_trial=slope(search, "pss"),
            curves_per_trial=curves / trials,
            files_per_trial=slope(search, "files"),
            files=max(sample.files for sample in search),
            processes=max(sample.processes for sample in search),
            redraws=len(drawn),
            redraw_gap_s=float(np.diff(drawn).max()),
            disk={name: size / trials for name, size in _sizes(directory, session).items()},
            left_behind=left,
            prompt_s=prompt,
            left_after_interrupt=left_after,
        )
        return found, samples
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def slope(samples: list[Sample], name: str) -> float:
    """The slope, per trial that ended, of the line through an attribute of samples (least squares)."""
    if len({sample.trials for sample in samples}) < 2:
        return 0.0
    return float(np.polyfit([s.trials for s in samples], [getattr(s, name) for s in samples], 1)[0])


def _run(space: Path, folder: Path) -> Terminal:
    folder.mkdir()
    command = [*TUNE_MAIN, "--space", str(space), "--output", str(folder / "results"), "--concurrency", "2"]
    return Terminal(command, {"RAY_TMPDIR": str(folder)})


def _watch(terminal: Terminal, folder: Path, samples: list[Sample]) -> list[float]:
    """Takes samples until the study ends; gives when each trial ended, by the monotonic clock."""
    journal, start = GrowingJournal(folder / "results"), time.monotonic()
    while terminal.watch(SAMPLE_SECONDS):
        trials = len(journal.look().ended)
        try:
            memory, files = terminal.process.memory_full_info(), terminal.process.num_fds()
            processes = 1 + len(terminal.process.children(recursive=True))
        except psutil.Error:  # it is just ending
            continue
        samples.append(Sample(time.monotonic() - start, trials, memory.uss, memory.pss, files, processes))
    return list(journal.look().ended.values())


def _interrupt(space: Path, folder: Path, at: int) -> tuple[float, list[str]]:
    """Seconds from Ctrl-C to the prompt, and what was left behind."""
    with _run(space, folder) as terminal:
        journal = GrowingJournal(folder / "results")
        while len(journal.look().ended) < at:
            if not terminal.watch(0.1):
                raise RuntimeError(terminal.printed.decode(errors="replace"))
        terminal.press_ctrl_c()
        pressed = time.monotonic()
        while terminal.watch(0.05):
            pass
        seconds = time.monotonic() - pressed
        if terminal.status != 130 or b"--resume" not in terminal.printed:
            raise RuntimeError(f"ended with {terminal.status}: {terminal.printed.decode(errors='replace')[-2000:]}")
        return seconds, terminal.left_behind()


def _sizes(directory: Path, session: Path) -> dict[str, int]:
    """Bytes of each file and folder of the results directory, and of Ray's session."""

    def size(path: Path) -> int:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if not file.is_symlink()]
        return sum(512 * file.stat().st_blocks for file in files)  # as taken on the disk, folders too

    sizes = {path.name: size(path) for path in sorted(directory.iterdir())}
    return {name: value for name, value in sizes.items() if value} | {"Ray's session": size(session)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m checks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=1000, help="an even number; default 1000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the samples there too")
    arguments = parser.parse_args()
    if arguments.trials < 20 or arguments.trials % 2:
        parser.error("--trials: give an even number of at least 20")
    found, samples = soak(arguments.trials, interrupt_at=100)
    rows: dict[str, Any] = {
        "trials": found.trials,
        "search, s": f"{found.search_s:.0f}",
        "driver's growth, KB per trial, USS": f"{found.uss_per_trial / 1000:.1f}",
        "driver's growth, KB per trial, PSS": f"{found.pss_per_trial / 1000:.1f}",
        "of it, the curves": f"{found.curves_per_trial / 1000:.2f}",
        "open files at most, and more per trial": f"{found.files}, {found.files_per_trial:.4f}",
        "processes at most": found.processes,
        "left behind, after the end and after Ctrl-C": f"{len(found.left_behind)}, {len(found.left_after_interrupt)}",
        "redraws, and the longest gap, s": f"{found.redraws}, {found.redraw_gap_s:.2f}",
        "from Ctrl-C to the prompt, s": f"{found.prompt_s:.1f}",
        **{f"disk, KB per trial, {name}": f"{size / 1000:.2f}" for name, size in found.disk.items()},
    }
    table = Table("", "", title=f"{found.trials} short trials on two workers\n{machine()}", show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console(width=120).print(table)
    if arguments.json:
        content = {"machine": machine(), **asdict(found), "samples": [asdict(sample) for sample in samples]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    for text in found.broken:
        print(f"broken: {text}")
    raise SystemExit(1 if found.broken else 0)


if __name__ == "__main__":
    main()
