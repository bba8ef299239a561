"""python -m checks.gpu: every check of this program that a GPU can be put to, in eight minutes and into one folder.

    python -m checks.gpu --output gpu-check
    python -m checks.gpu --output gpu-check --study

The first needs PyTorch with CUDA, SciPy, Triton, pytest and hypothesis, and runs

1. `tests`: the kernels' tests, in processes that are watched (`checks.kernel_tests`);
2. `learning`: every backend against the definition over 12 epochs (`checks.learning`), at "highest" and "medium";
3. `confirm`: the default study's confirm phase, on the CPU and on the GPU (`checks.confirm`);
4. `throughput`: epochs of a network per second, on the GPU and on the cores beside it (`checks.throughput`);
5. `bench`: `benchmarks.kernels`, at "highest" and "medium", with passes recorded as in training.

`--study` adds the same confirm phase through `tune_main.py`, for which Ray and all other dependencies must be
installed. Each stage has a share of the time; what it does not use goes to the stages after it. All stages run, even if
one fails. The folder gets `results.json` with everything, `log.txt`, the files of bench and confirm, and `summary.txt`,
which is printed last: forty lines, ending with the failed tests. The exit code is 1 unless all passed and nothing was
cut off.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch

from biotune.machine import machine
from checks import default_study, kernel_tests, study_run
from checks.confirm import TOLERANCE, Confirmed, compare, read
from checks.summary import summary

PRECISIONS = ("highest", "medium")

STAGES = {"tests": 9, "learning": 6, "confirm": 4, "throughput": 7, "bench": 6}
"""Stage -> its share of the time; learning and bench share theirs between the precisions."""

SHAPES = "1,9,3,4,6,8"
"""Rows of `benchmarks.kernels`, the most telling ones first."""

STUDY_MINUTES = 4.0
"""How long --study may take."""

QUICK = {
    "learning": ("--neurons", "1", "--replicates", "1", "--epochs", "1"),
    "confirm": ("--neurons", "1", "--replicates", "1", "--epochs", "100"),
    "throughput": ("--seconds", "0.1"),
}
"""Options of the stages under --quick."""

_LONGEST_END = 10.0
"""Seconds that a command may take to end by itself when its time is up."""

Outcome = tuple[bool, str]
"""Whether a stage passed, and in words."""


@dataclass(frozen=True)
class _Stage:
    """share: of the time that is left to this stage and those after it; run: takes the seconds that it may use."""

    name: str
    share: float
    run: Callable[[float], Outcome]


class Check:
    """One run of the command.

    Attributes:
        found: what goes into `results.json`.
    """

    def __init__(self, options: argparse.Namespace, log: TextIO, scratch: Path) -> None:
        self.options, self.log, self.scratch = options, log, scratch
        self.device: str = options.device
        self.folder: Path = options.output
        self.found: dict[str, Any] = {
            "machine": _machine(self.device),
            "device": self.device,
            "versions": _versions(),
            "folder": str(self.folder),
            "stages": [],
            "tests": [],
            "learning": {},
            "confirm": {},
            "throughput": {},
            "bench": {},
            "passed": False,
        }

    def run(self) -> bool:
        """Runs all stages that were asked for; returns whether all passed."""
        parts: dict[str, dict[str, Callable[[float], Outcome]]] = {
            "tests": {"tests": self.tests},
            "learning": {f"learning {name}": partial(self.learning, name) for name in PRECISIONS},
            "confirm": {"confirm": self.confirm},
            "throughput": {"throughput": self.throughput},
            "bench": {f"bench {name}": partial(self.bench, name) for name in PRECISIONS},
        }
        stages = [
            _Stage(name, share / len(parts[part]), run)
            for part, share in STAGES.items()
            if part in self.options.stages
            for name, run in parts[part].items()
        ]
        left = 60 * self.options.minutes
        for place, stage in enumerate(stages):
            limit = left * stage.share / sum(one.share for one in stages[place:])
            left -= self._stage(stage.name, limit, stage.run)
        if self.options.study:
            self._stage("study", 60 * STUDY_MINUTES, self.study)
        self.found["passed"] = all(stage["passed"] for stage in self.found["stages"])
        self._write()
        return bool(self.found["passed"])

    def _stage(self, name: str, limit: float, run: Callable[[float], Outcome]) -> float:
        print(f"{name}: up to {limit:.0f} s ...", flush=True)
        begin = time.monotonic()
        try:
            passed, words = run(limit)
        except Exception as error:  # noqa: BLE001  # the other stages can still tell something
            traceback.print_exception(error, file=self.log)
            passed, words = False, f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - begin
        print(f"{name}: {'' if passed else 'FAILED: '}{words} ({seconds:.0f} s)", flush=True)
        self.found["stages"].append(
            {"name": name, "passed": passed, "words": words, "seconds": seconds, "limit": limit}
        )
        self._write()
        return seconds

    def _write(self) -> None:
        (self.folder / "results.json").write_text(json.dumps(self.found, indent=1) + "\n")

    def tests(self, limit: float) -> Outcome:
        """The kernels' tests."""
        outcomes = kernel_tests.run(self.options.tests, limit, self.log)
        self.found["tests"] = [asdict(outcome) for outcome in outcomes]
        passed = bool(outcomes) and all(outcome.outcome in ("passed", "skipped") for outcome in outcomes)
        return passed, kernel_tests.counts(outcomes)

    def learning(self, precision: str, limit: float) -> Outcome:
        """All backends against the definition."""
        file = self.scratch / f"learning-{precision}.json"
        quick = QUICK["learning"] if self.options.quick else ()
        passed, words = self._module(limit, "checks.learning", "--precision", precision, "--json", str(file), *quick)
        if content := _read(file):
            self.found["learning"][precision] = content
            backends = content["learned"][1:]
            off = max(one["deviation"] for one in backends)
            words = f"{words}; {len(backends)} backends, largest deviation {off:.1e}"
        return passed, words

    def confirm(self, limit: float) -> Outcome:
        """The confirm phase on the CPU, then on the device."""
        quick = QUICK["confirm"] if self.options.quick else ()
        end = time.monotonic() + limit
        for device, name, share in (("cpu", "cpu", 0.6), (self.device, "device", 1.0)):
            words = "--device", device, "--save", str(self._confirmed(name)), *quick
            passed, said = self._run(share * (end - time.monotonic()), "-m", "checks.confirm", *words)
            if not passed:
                return False, f"on {device}: {said}"
        return self._compare(self.device, read(self._confirmed("device")))

    def throughput(self, limit: float) -> Outcome:
        """The device, and on a GPU the cores beside it."""
        file = self.folder / "throughput.json"
        quick = QUICK["throughput"] if self.options.quick else ()
        cores = ("--cores",) if self.device == "cuda" else ()
        passed, words = self._module(limit, "checks.throughput", "--json", str(file), *cores, *quick)
        if content := _read(file):
            self.found["throughput"] = content["per_second"]
        return passed, words

    def bench(self, precision: str, limit: float) -> Outcome:
        """Every backend and its peers."""
        file = self.folder / f"bench-{precision}.json"
        shapes = SHAPES.partition(",")[0] if self.options.quick else SHAPES
        words = "--precision", precision, "--json", str(file), "--shapes", shapes, "--seconds", f"{0.7 * limit:.1f}"
        recorded = ("--recorded",) if self.device == "cuda" else ()
        passed, said = self._module(limit, "benchmarks.kernels", *words, *recorded)
        if content := _read(file):
            self.found["bench"][precision] = content
            results = [result for row in content["rows"] for result in row["results"].values()]
            failed = sum(result["note"].startswith("failed") for result in results)
            said = f"{said}; {len(content['rows'])} of {len(shapes.split(','))} shapes, {failed} contestants failed"
            passed = passed and not failed
        return passed, said

    def study(self, limit: float) -> Outcome:
        """The confirm phase through `tune_main.py` and Ray, with as many replicates as in stage confirm."""
        replicates, epochs, neurons = (1, 100, 1) if self.options.quick else (4, 60, 4)
        wired_by = default_study.connectome()
        with tempfile.TemporaryDirectory() as output:
            command = study_run.command(self.device, wired_by, replicates, epochs, Path(output), neurons=neurons)
            passed, words = self._run(limit, *command)
            if not passed:
                return False, words
            here, device = study_run.confirmed(Path(output))
        if device != self.device:
            return False, f"it ran on {device}, not on {self.device}"
        return self._compare(f"{self.device}, tune_main", here)

    def _confirmed(self, name: str) -> Path:
        return self.folder / f"confirm-{name}.npz"

    def _compare(self, name: str, here: dict[str, Confirmed]) -> Outcome:
        """Compares with what the CPU found."""
        rows = compare(here, read(self._confirmed("cpu")), TOLERANCE["highest"])
        self.found["confirm"][name] = [asdict(row) for row in rows]
        wrong = [row.arm for row in rows if row.wrong]
        return not wrong, f"not as on the CPU: {', '.join(wrong)}" if wrong else "as on the CPU"

    def _module(self, limit: float, name: str, *words: str) -> Outcome:
        return self._run(limit, "-m", name, "--device", self.device, *words)

    def _run(self, limit: float, *words: str) -> Outcome:
        """A command in a process group of its own, ended when its time is up; what it prints goes to the log."""
        self.log.write(f"\n$ python {' '.join(words)}\n")
        self.log.flush()
        process = subprocess.Popen(
            [sys.executable, *words],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "BIOTUNE_CACHE": str(self.scratch)},
        )
        try:
            code = process.wait(max(limit, 1))
        except subprocess.TimeoutExpired:
            _end(process)
            return False, f"cut off after {limit:.0f} s"
        return code == 0, "done" if code == 0 else f"ended with {code}, see log.txt"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a command: first by a request, so that a study can end its own processes, then by force."""
    for way in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, way)
            process.wait(_LONGEST_END)


def _read(file: Path) -> dict[str, Any]:
    """What a stage has written so far; empty if nothing."""
    try:
        return dict(json.loads(file.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):  # the stage was cut off before or while it wrote
        return {}


def _machine(device: str) -> str:
    if device != "cuda":
        return machine()
    found = torch.cuda.get_device_properties(0)
    memory = f"{found.total_memory / 2**30:.0f} GiB"
    return f"{found.name}, {found.multi_processor_count} multiprocessors, {memory}; {os.cpu_count()} cores"


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "torch": torch.__version__}
    if torch.version.cuda:
        versions["CUDA"] = torch.version.cuda
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if commit.returncode == 0:
        versions["commit"] = commit.stdout.strip()
    for name in ("triton", "numpy", "scipy", "pytest", "hypothesis", "ray"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where everything found is written"
    )
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu: to try the command itself")
    parser.add_argument("--minutes", type=float, default=5.5, help="for all stages except --study; default: 5.5")
    parser.add_argument("--stages", default=",".join(STAGES), help=f"default: {','.join(STAGES)}")
    parser.add_argument("--tests", nargs="+", default=[], metavar="PATH", help="instead of tests/kernels")
    parser.add_argument("--quick", action="store_true", help="small networks, few epochs, one shape")
    parser.add_argument("--study", action="store_true", help="run the confirm phase through Ray too")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error(
            f"no GPU: PyTorch {torch.__version__} sees no CUDA device here (see nvidia-smi; --device cpu tries the "
            "command without one)"
        )
    if not options.minutes > 0:
        parser.error(f"--minutes: expected more than 0, got {options.minutes:g}")
    options.stages = options.stages.split(",")
    if unknown := sorted(set(options.stages) - set(STAGES)):
        parser.error(f"--stages: {', '.join(unknown)} is none of {', '.join(STAGES)}")
    if options.study and "confirm" not in options.stages:
        parser.error("--study compares with what stage confirm found on the CPU; add confirm to --stages")
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "log.txt").open("w") as log, tempfile.TemporaryDirectory() as scratch:
        check = Check(options, log, Path(scratch))
        passed = check.run()
    text = summary(check.found)
    (options.output / "summary.txt").write_text(text + "\n")
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
