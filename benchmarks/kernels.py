"""python -m benchmarks.kernels: every backend and what a user would pick instead, forward and backward, in one run.

    python -m benchmarks.kernels --device cpu --threads 2 --shapes 1,2,3 --json result.json

Prints the machine and a table: the median milliseconds per pass (hidden states, then the gradients of values,
weight_ih and bias), peak memory above what the process held before, networks per second, and how much slower than auto
are one network at a time and the best peer. Contestants take turns, a few passes each, so that a busy moment slows all
of them. --precision says how exactly float32 matrices are multiplied on a GPU, in PyTorch's words, by cuDNN too.

With --recorded every pass is recorded in a CUDA graph, as biotune's training does it, and replays are timed: what the
GPU takes if it need not wait for Python. (JAX, which does its own recording, is asked for as many passes at once.)
"""

import argparse
import ctypes
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import PEERS
from biotune_kernels.backends import NAMES, load
from biotune_kernels.contract import TOO_LARGE
from biotune_kernels.layer import sparse_rnn
from biotune_kernels.memory import describe_machine
from biotune_kernels.pattern import SparsePattern
from biotune_kernels.recording import for_recording, record
from biotune_kernels.select import choose_backend

_SECONDS = 1.0  # of measuring per contestant; if a pass takes longer, it is measured once
_MOST_RUNS = 60
_IN_A_ROW = 5
_REPLAYS = 10  # of a recorded pass, timed together
_ALONE = "auto, one at a time"


@dataclass(frozen=True)
class Shape:
    """A row of the table; the `edges` of each network are drawn uniformly."""

    neurons: int
    edges: int
    batch: int
    steps: int
    population: int
    input_size: int = 2

    @property
    def density(self) -> float:
        return self.edges / self.neurons**2

    def __str__(self) -> str:
        population = f", {self.population} networks" if self.population > 1 else ""
        return (
            f"{self.neurons:,} neurons, density {self.density:.3g}, batch {self.batch}, {self.steps} steps{population}"
        )


def _of_density(neurons: int, density: float, steps: int, population: int = 1) -> Shape:
    return Shape(neurons, round(density * neurons**2), 128, steps, population)


SHAPES = (
    _of_density(220, 0.475, 7),  # marmoset, 4 neurons per region
    _of_density(228, 0.16, 11),  # human, 4 neurons per region
    _of_density(220, 0.1, 21),
    _of_density(1100, 0.1, 21),
    _of_density(1100, 0.5, 7),
    _of_density(2952, 0.013, 21),  # fruit fly larva
    _of_density(220, 0.475, 7, population=8),
    Shape(139_255, 3_732_460, 16, 7, 1),  # fruit fly
    _of_density(220, 0.475, 7, population=64),
)

_CONTESTANTS = ("auto", _ALONE, *NAMES, *PEERS)


@dataclass(frozen=True)
class Result:
    """What was measured of one contestant: milliseconds per pass, or a note that says why there are none.

    Attributes:
        error: how far its gradient of the recurrent weights is from the one in float64, by their norms.
    """

    median_ms: float | None = None
    least_ms: float | None = None
    runs: int = 0
    peak_mib: float | None = None
    note: str = ""
    error: float | None = None


class Problem:
    """One shape's tensors, and its contestants by name."""

    def __init__(self, shape: Shape, device: torch.device, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*size: int, scale: float = 1.0) -> Tensor:
            return (torch.randn(*size, generator=generator) * scale).to(device)

        self.shape = shape
        self.pattern = draw_pattern(shape, generator).to(device)
        self.inputs = random(shape.population, shape.batch, shape.steps, shape.input_size)
        self.values = random(shape.population, shape.edges, scale=(shape.neurons / shape.edges) ** 0.5)
        self.weight_ih = random(shape.population, shape.neurons, shape.input_size)
        self.bias = random(shape.population, shape.neurons)
        self.grad = random(shape.population, shape.batch, shape.steps, shape.neurons)
        self.patterns = [
            SparsePattern(target, source, shape.neurons)
            for target, source in zip(self.pattern.target, self.pattern.source, strict=True)
        ]

    def backend(self, name: str) -> Callable[[], object]:
        return self._pass(name, self.pattern, slice(None))

    def alone(self) -> Callable[[], object]:
        """Every network by itself, one after the other, on what "auto" stands for."""
        runs = [self._pass("auto", pattern, slice(p, p + 1)) for p, pattern in enumerate(self.patterns)]
        return lambda: [run() for run in runs]

    def exact(self) -> Tensor:
        """The gradient of the recurrent weights in float64, on a backend that takes little memory."""
        name = "dense" if not why_left_out("dense", self.pattern, self.shape) else "torch_csr"
        values, weight_ih, bias = (tensor.double() for tensor in (self.values, self.weight_ih, self.bias))
        values.requires_grad_()
        hidden = sparse_rnn(self.inputs.double(), values, self.pattern, weight_ih, bias, backend=name)
        return torch.autograd.grad(hidden, values, self.grad.double())[0]

    def error(self, found: Any, exact: Tensor) -> float | None:
        """How far the gradients that a run returned are from the exact ones, by their norms; None if they are sparse"""
        found = [found] if not isinstance(found, list) else found
        if any(isinstance(one, Tensor) and one.layout != torch.strided for one in found):
            return None
        tensors = [one if isinstance(one, Tensor) else torch.tensor(np.asarray(one)) for one in found]
        gradients = torch.stack(tensors).to(exact.device).reshape(self.shape.population, -1)
        if gradients.shape != exact.shape:
            gradients = gradients.gather(1, self.pattern.target * self.shape.neurons + self.pattern.source)
        return float((gradients.double() - exact).norm() / exact.norm())

    def _pass(self, backend: str, pattern: SparsePattern, networks: slice) -> Callable[[], object]:
        inputs, grad = self.inputs[networks], self.grad[networks]
        parameters = [tensor[networks].clone().requires_grad_() for tensor in (self.values, self.weight_ih, self.bias)]
        values, weight_ih, bias = parameters

        def run() -> Tensor:
            hidden = sparse_rnn(inputs, values, pattern, weight_ih, bias, backend=backend)
            return torch.autograd.grad(hidden, parameters, grad)[0]

        return run

    def peer(self, name: str) -> Callable[[], object]:
        """The peer's run of all networks, together or one after the other."""
        if PEERS[name].together:
            tensors = self.values, self.weight_ih, self.bias, self.inputs, self.grad
            return PEERS[name].runner(self.pattern, *tensors)
        runs = [
            PEERS[name].runner(
                self.patterns[p], self.values[p], self.weight_ih[p], self.bias[p], self.inputs[p], self.grad[p]
            )
            for p in range(self.shape.population)
        ]
        return lambda: [run() for run in runs]


def why_left_out(name: str, pattern: SparsePattern, shape: Shape) -> str:
    """Why a contestant is not tried at a shape; empty if it is."""
    if name in PEERS:
        reason = PEERS[name].unsuitable(pattern)
    elif name in NAMES:
        backend = load(name)
        reason = backend.unusable(pattern.device, torch.float32)
        reason = reason or backend.unsuitable(pattern, shape.batch, shape.steps)
    else:
        reason = "it is one network" if name == _ALONE and shape.population == 1 else None
    return reason or ""


def measure(shape: Shape, device: torch.device, recorded: bool = False) -> dict[str, Result]:
    """Every contestant at one shape."""
    with for_recording() if recorded else nullcontext():
        return _measure(shape, device, recorded)


def _measure(shape: Shape, device: torch.device, recorded: bool) -> dict[str, Result]:
    problem = Problem(shape, device)
    exact = problem.exact()
    errors: dict[str, float | None] = {}
    going: dict[str, Callable[[], object]] = {}
    times: dict[str, list[float]] = {}
    results: dict[str, Result] = {}
    peaks: dict[str, float | None] = {}
    for name in _CONTESTANTS:
        note = why_left_out(name, problem.pattern, shape)
        if note:
            results[name] = Result(note=note)
            continue
        try:
            run = problem.peer(name) if name in PEERS else problem.alone() if name == _ALONE else problem.backend(name)
            errors[name] = problem.error(run(), exact)  # what is derived from a pattern only once is not timed
            peaks[name], first = _peak_mib(run, device)
            if recorded:
                run = _recorded(run, name not in PEERS or PEERS[name].recordable)
        except TOO_LARGE as error:
            results[name] = Result(note=f"failed: {str(error).splitlines()[0]}")
            continue
        times[name] = [first] if first > _SECONDS else []
        if not times[name]:
            going[name] = run
    while going:
        for name, run in list(going.items()):
            times[name] += _turn(run, device)
            enough = len(times[name]) >= 3 and sum(times[name]) > _SECONDS
            if enough or sum(times[name]) > 5 * _SECONDS or len(times[name]) >= _MOST_RUNS:
                del going[name]
    for name, took in times.items():
        note = ""
        if name == "auto":
            pattern = problem.pattern
            note = choose_backend(pattern, shape.batch, shape.steps, shape.input_size)
        each = 1e3 / (_REPLAYS if recorded else 1)
        results[name] = Result(
            each * statistics.median(took), each * min(took), len(took), peaks[name], note, errors[name]
        )
    return {name: results[name] for name in _CONTESTANTS}


def _recorded(run: Callable[[], object], recordable: bool) -> Callable[[], object]:
    """Many passes at once, recorded in a CUDA graph if they can be."""
    again: Callable[[], object] = run
    if recordable:
        again, _ = record(run)

    def passes() -> object:
        for _ in range(_REPLAYS - 1):
            again()
        return again()

    return passes


def best_peer(results: dict[str, Result]) -> tuple[str, float] | None:
    """The fastest peer, and how many times as long as auto it takes."""
    auto = results["auto"].median_ms
    found = {name: median for name in PEERS if (median := results[name].median_ms) is not None}
    if auto is None or not found:
        return None
    name = min(found, key=lambda peer: found[peer])
    return name, found[name] / auto


def table(measured: Sequence[tuple[Shape, dict[str, Result]]]) -> str:
    """The results in Markdown: medians in milliseconds, and below them why a figure is missing."""
    lines = [
        f"| shape | {' | '.join(_CONTESTANTS)} | auto chose | peak MiB of auto | networks/s of auto "
        "| one at a time / auto | best peer / auto |",
        f"|---|{'---:|' * len(_CONTESTANTS)}---|---:|---:|---:|---|",
    ]
    notes: dict[str, list[str]] = {}
    for row, (shape, results) in enumerate(measured, start=1):
        cells = [f"{m:,.2f}" if (m := results[name].median_ms) is not None else "–" for name in _CONTESTANTS]
        auto, alone = results["auto"].median_ms, results[_ALONE].median_ms
        speed = "–" if auto is None else f"{1e3 * shape.population / auto:,.0f}"
        gain = "–" if auto is None or alone is None else f"{alone / auto:.1f}"
        peak = results["auto"].peak_mib
        best = best_peer(results)
        ratio = f"**{best[1]:.1f}** ({best[0]})" if best else "–"
        memory = "–" if peak is None else f"{peak:,.0f}"
        lines.append(
            f"| {shape} | {' | '.join(cells)} | {results['auto'].note} | {memory} | {speed} | {gain} | {ratio} |"
        )
        for name in _CONTESTANTS[1:]:
            if results[name].note:
                notes.setdefault(f"{name}: {results[name].note}", []).append(str(row))
    for row, (_, results) in enumerate(measured, start=1):
        found = {name: result.error for name, result in results.items() if result.error is not None}
        largest = ", ".join(f"{name} {error:.0e}" for name, error in found.items())
        notes[f"error of the gradient of the recurrent weights: {largest}"] = [str(row)]
    remarks = [f"- row{'s' * (len(rows) > 1)} {', '.join(rows)}: {note}" for note, rows in notes.items()]
    return "\n".join(lines + ([""] if remarks else []) + remarks)


def draw_pattern(shape: Shape, generator: torch.Generator) -> SparsePattern:
    """The edges of a population, drawn uniformly."""
    edges = torch.stack([_distinct(shape, generator) for _ in range(shape.population)])
    return SparsePattern(edges // shape.neurons, edges % shape.neurons, shape.neurons)


def _distinct(shape: Shape, generator: torch.Generator) -> Tensor:
    """Sorted places of distinct edges in an N x N matrix, without making that matrix."""
    places = shape.neurons**2
    if shape.edges > places // 4:
        return torch.randperm(places, generator=generator)[: shape.edges].sort().values
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < shape.edges:
        found = torch.cat((found, torch.randint(places, (shape.edges,), generator=generator))).unique()
    return found[torch.randperm(len(found), generator=generator)[: shape.edges]].sort().values


def _wait(run: Callable[[], object], device: torch.device) -> float:
    begin = time.perf_counter()
    found: Any = run()
    if hasattr(found, "block_until_ready"):  # JAX's
        found.block_until_ready()
    elif device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _turn(run: Callable[[], object], device: torch.device) -> list[float]:
    """Seconds of a few passes, after one that brings their data back into the caches; of that one if it takes long."""
    first = _wait(run, device)
    return [first] if first > _SECONDS / 8 else [_wait(run, device) for _ in range(_IN_A_ROW)]


def _peak_mib(run: Callable[[], object], device: torch.device) -> tuple[float | None, float]:
    """MiB that a run takes at most above what was held before (None if the platform doesn't tell), and its seconds."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        seconds = _wait(run, device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20, seconds
    if sys.platform != "linux":
        return None, _wait(run, device)
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark to the present size
    except OSError:  # some sandboxes have no such file
        return None, _wait(run, device)
    before = _status("VmRSS")
    seconds = _wait(run, device)
    return (_status("VmHWM") - before) / 2**10, seconds


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Adds --device, --threads, --precision and --shapes."""
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's, by default as it says")
    parser.add_argument(
        "--precision",
        choices=("highest", "high", "medium"),
        default="highest",
        help="of float32 products on a GPU (default: highest, no TF32)",
    )
    parser.add_argument("--shapes", help=f"rows of the table to run, as in 1,3; 1 to {len(SHAPES)}, default all")


def take_machine_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> tuple[torch.device, list[Shape]]:
    """The device and the shapes that are asked for; threads and precision are set."""
    try:
        rows = (
            [int(row) for row in options.shapes.split(",")] if options.shapes is not None else range(1, len(SHAPES) + 1)
        )
        shapes = [SHAPES[row - 1] for row in rows if row > 0 or parser.error("--shapes: rows count from 1")]
    except (ValueError, IndexError):
        parser.error(f"--shapes: expected rows from 1 to {len(SHAPES)}, as in 1,3; got {options.shapes!r}")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch sees no CUDA device")
    if options.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {options.threads}")
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision(options.precision)
    return device, shapes


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__.splitlines()[0])
    add_machine_options(parser)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no other row after this time")
    parser.add_argument("--json", type=Path, help="write every figure here too, row by row")
    parser.add_argument("--recorded", action="store_true", help="on a GPU: time replays of recorded passes")
    options = parser.parse_args(arguments)
    device, shapes = take_machine_options(parser, options)
    if not options.seconds > 0:
        parser.error(f"--seconds: expected more than 0, got {options.seconds:g}")
    if options.recorded and device.type != "cuda":
        parser.error(f"--recorded: CUDA graphs need --device cuda, got {device.type}")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    torch.backends.cudnn.allow_tf32 = options.precision != "highest"
    machine: dict[str, Any] = {
        "machine": describe_machine(device),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "precision": options.precision,
        "recorded": options.recorded,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    print("; ".join(f"{key}: {value}" for key, value in machine.items()), flush=True)
    measured: list[tuple[Shape, dict[str, Result]]] = []
    begin = time.perf_counter()
    for shape in shapes:
        if measured and time.perf_counter() - begin > options.seconds:
            break
        print(f"measuring {shape} ...", file=sys.stderr, flush=True)
        measured.append((shape, measure(shape, device, options.recorded)))
        machine["seconds"] = round(time.perf_counter() - begin, 1)
        if options.json:
            options.json.write_text(json.dumps({**machine, "rows": _rows(measured)}, indent=1) + "\n")
    print(f"\nMedian milliseconds of forward and backward; measured in {machine['seconds']} s.\n\n{table(measured)}")
    if left := shapes[len(measured) :]:
        print(f"- not begun within {options.seconds:g} s: {'; '.join(map(str, left))}")


def _rows(measured: Sequence[tuple[Shape, dict[str, Result]]]) -> list[dict[str, Any]]:
    """Every figure, as --json writes it."""
    return [
        {"shape": asdict(shape), "results": {name: asdict(result) for name, result in results.items()}}
        for shape, results in measured
    ]


if __name__ == "__main__":
    main()
