"""`auto`: the fastest backend for a shape on this machine, of those that compute the right result.

It is measured once and remembered on disk (`memory.py`).
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from biotune_kernels.backends import DEFINITION, NAMES, load
from biotune_kernels.contract import MIXED, TOO_LARGE, TRAINED, Nonlinearity, nonlinearity_of
from biotune_kernels.memory import Finding
from biotune_kernels.pattern import SparsePattern
from biotune_kernels.recording import is_for_recording, record
from biotune_kernels.verification import Verification, verify

logger = logging.getLogger("biotune_kernels")

_ROUNDS = 12
_OPEN_ROUNDS = 4
_SECONDS = 0.3  # of measuring, after each candidate's first run
_OPERATIONS = 4e9  # if a whole run would take more than this, fewer time steps are measured

_REPLAYS = 5  # of a graph in a row, so that waiting for its end counts little

_chosen: dict[tuple[Any, ...], "Choice"] = {}


@dataclass(frozen=True)
class Choice:
    """What "auto" stands for.

    Attributes:
        backend: the fastest of those that passed.
        verification: how far that backend is from the definition.
        refused: faster backends, which did not pass.
    """

    backend: str
    verification: Verification
    refused: tuple[Verification, ...] = ()


def available_backends(device: torch.device | str, dtype: torch.dtype = torch.float32) -> dict[str, str | None]:
    """Backend -> None if it is usable on `device`, otherwise why not and what would make it usable."""
    return {name: load(name).unusable(torch.device(device), dtype) for name in NAMES}


def choose_backend(
    pattern: SparsePattern,
    batch: int,
    time: int,
    input_size: int,
    nonlinearity: str = "tanh",
    dtype: torch.dtype = torch.float32,
) -> str:
    """The backend that "auto" stands for at this shape; see `choose`."""
    return choose(pattern, batch, time, input_size, nonlinearity, dtype).backend


def choose(
    pattern: SparsePattern,
    batch: int,
    time: int,
    input_size: int,
    nonlinearity: str = "tanh",
    dtype: torch.dtype = torch.float32,
    without: Collection[str] = (),
) -> Choice:
    """What "auto" stands for at this shape, on the pattern's device, with the present number of threads.

    The backends that are usable and suit the shape are measured. The fastest one that passes `verify` is taken; if none
    does, the definition itself.

    Args:
        pattern: the edges.
        batch: trials per pass.
        time: time steps per pass.
        input_size: inputs per time step.
        nonlinearity: "tanh", "relu" or "mixed".
        dtype: of all tensors.
        without: backends not to take.

    Raises:
        ValueError: no backend passes.
    """
    shape = (pattern.population, pattern.size, pattern.nnz, batch, time, input_size)
    precision = torch.get_float32_matmul_precision()
    recorded = is_for_recording() and pattern.device.type == "cuda"
    key = (shape, nonlinearity, dtype, pattern.device, torch.get_num_threads(), precision, recorded, frozenset(without))
    choice = _chosen.get(key)
    if choice is None:
        choice = _chosen[key] = _choose(pattern, batch, time, input_size, nonlinearity, dtype, recorded, without)
    return choice


def require_backend(
    name: str,
    pattern: SparsePattern,
    batch: int,
    input_size: int,
    nonlinearity: str = "tanh",
    dtype: torch.dtype = torch.float32,
) -> Verification:
    """Makes sure that a backend asked for by name is usable and right at this shape, and says how far off it is.

    Raises:
        ValueError: it isn't usable on the pattern's device, or deviates from the definition by more than its tolerance.
    """
    require_usable(name, pattern.device, dtype)
    found = verify(name, pattern, batch, input_size, nonlinearity, dtype)
    if not found.passed:
        raise ValueError(str(found))
    return found


def resolve(backend: str, inputs: Tensor, pattern: SparsePattern, nonlinearity: Nonlinearity) -> str:
    """`backend`, or what "auto" stands for with `inputs` [population, batch, time, input_size].

    Raises:
        ValueError: the backend isn't usable here; with the reason, and what would make it usable.
    """
    if backend == "auto":
        _, batch, steps, input_size = inputs.shape
        name = MIXED if isinstance(nonlinearity, Tensor) else nonlinearity
        return choose_backend(pattern, batch, steps, input_size, name, inputs.dtype)
    require_usable(backend, inputs.device, inputs.dtype)
    return backend


def require_usable(backend: str, device: torch.device, dtype: torch.dtype) -> None:
    """Makes sure that a backend is usable.

    Raises:
        ValueError: it isn't; with the reason, and what would make it usable.
    """
    if (reason := _why_not(backend, device, dtype)) is not None:
        raise ValueError(f"backend: {backend} can't be used here: {reason}")


@cache
def _why_not(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    return load(name).unusable(device, dtype)


def _choose(
    pattern: SparsePattern,
    batch: int,
    time: int,
    input_size: int,
    nonlinearity: str,
    dtype: torch.dtype,
    recorded: bool,
    without: Collection[str],
) -> Choice:
    usable = [name for name, reason in available_backends(pattern.device, dtype).items() if reason is None]
    candidates = [
        name
        for name in usable
        if name not in (DEFINITION, *without) and load(name).unsuitable(pattern, batch, time) is None
    ]
    finding = Finding(
        "choice",
        pattern.device,
        candidates=candidates,
        shape=[pattern.population, pattern.size, pattern.nnz, batch, time, input_size],
        nonlinearity=nonlinearity,
        dtype=str(dtype),
        recorded=recorded,
    )

    def fastest_first() -> Iterator[str]:
        known = finding.read() or {}
        if known.get("backend") in candidates:
            yield known["backend"]
        if len(candidates) > 1:
            seconds = _measure(candidates, pattern, batch, time, input_size, nonlinearity, dtype, recorded)
            timings.update({name: round(1e3 * took, 4) for name, took in seconds.items()})
            yield from sorted(seconds, key=lambda name: seconds[name])
        else:
            yield from candidates
        if DEFINITION not in without:
            yield DEFINITION

    timings: dict[str, float] = {}
    refused: dict[str, Verification] = {}
    for name in fastest_first():
        if name in refused:
            continue
        found = verify(name, pattern, batch, input_size, nonlinearity, dtype)
        if found.passed:
            logger.debug("auto: %s for shape %s; milliseconds: %s", name, finding.key["shape"], timings or finding.file)
            if timings:
                finding.write({"backend": name, "milliseconds": timings})
            return Choice(name, found, tuple(refused.values()))
        refused[name] = found
        logger.warning("auto: %s; it is left out", found)
    raise ValueError("no backend computes here what it should: " + "; ".join(map(str, refused.values())))


@torch.no_grad()
def _measure(
    candidates: list[str],
    pattern: SparsePattern,
    batch: int,
    steps: int,
    input_size: int,
    nonlinearity: str,
    dtype: torch.dtype,
    recorded: bool,
) -> dict[str, float]:
    """Candidate -> its least seconds for a forward and backward pass.

    Candidates take turns, so that a moment in which the machine is busy slows all of them. One that fails is left out.
    """
    population, size, device = pattern.population, pattern.size, pattern.device
    step_cost = 6 * population * batch * (pattern.nnz + size * input_size) + 1
    steps = max(min(steps, 2), min(steps, int(_OPERATIONS / step_cost)))
    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device, dtype=dtype) * scale

    inputs = random(population, batch, steps, input_size).permute(2, 0, 3, 1)
    values = random(population, pattern.nnz, scale=(size / max(pattern.nnz, 1)) ** 0.5)
    weight_ih, bias = random(population, size, input_size), random(population, size)
    grad = random(population, batch, steps, size).permute(2, 0, 3, 1)
    each = nonlinearity_of(nonlinearity, population, device)

    def run(name: str) -> None:
        backend = load(name)
        hidden = backend.forward(inputs, values, weight_ih, bias, None, pattern, each)
        backend.backward(grad, hidden, inputs, values, weight_ih, None, pattern, each, TRAINED)

    work: dict[str, Callable[[], None]] = {}
    seconds: dict[str, float] = {}
    for name in candidates:
        try:
            run(name)  # builds what the backend keeps for the pattern
            work[name] = _replay(partial(run, name)) if recorded else partial(run, name)
            seconds[name] = _seconds(work[name], device)
        except TOO_LARGE as error:
            logger.warning("auto: backend %s failed at this shape and is left out: %s", name, error)
    end = time.perf_counter() + _SECONDS
    for i in range(_ROUNDS):
        # in the first rounds only much slower ones are ruled out: a busy machine may have slowed any single run
        near = 1.5 if i >= _OPEN_ROUNDS else 10
        close = [name for name in seconds if seconds[name] < near * min(seconds.values())]
        if len(close) < 2 or time.perf_counter() > end:
            break
        for name in close:
            work[name]()  # brings its data back into the caches, as in training
            seconds[name] = min(seconds[name], *(_seconds(work[name], device) for _ in range(2)))
    return seconds


def _replay(run: Callable[[], None]) -> Callable[[], None]:
    """A function that replays `run`, recorded, `_REPLAYS` times."""
    replay, _ = record(run)

    def replays() -> None:
        for _ in range(_REPLAYS):
            replay()

    return replays


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin
