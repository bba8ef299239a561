"""`auto`: the fastest backend for a shape on this machine, measured once and remembered on disk.

The memory is a folder with one small JSON file a choice, `kernels/` in the folder that BIOTUNE_CACHE names (by default
`biotune` in the platform's cache folder). Where it can't be written, choices last as long as the process.
"""

import hashlib
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kernels.backend import NAMES, load
from kernels.pattern import SparsePattern

logger = logging.getLogger("kernels")

_ROUNDS = 12
_OPEN_ROUNDS = 4
_SECONDS = 0.3  # after the first round, measuring stops here
_OPERATIONS = 4e9  # a measurement takes fewer time steps where a whole run would be more than this
_DENSE_FROM = 1 / 32  # density under which the N² memory of dense products isn't worth a try

_chosen: dict[tuple[Any, ...], str] = {}


def backends(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> dict[str, str | None]:
    """Every backend by name: None where it is usable on `device`, otherwise why not and what would make it usable."""
    return {name: load(name).unusable(torch.device(device), dtype) for name in NAMES}


def choose_backend(
    pattern: SparsePattern,
    batch: int,
    time: int,
    input_size: int,
    nonlinearity: str = "tanh",
    dtype: torch.dtype = torch.float32,
) -> str:
    """The backend that "auto" stands for at this shape, on the pattern's device, with the present number of threads."""
    shape = (pattern.population, pattern.size, pattern.nnz, batch, time, input_size)
    precision = torch.get_float32_matmul_precision()
    key = (shape, nonlinearity, dtype, pattern.device, torch.get_num_threads(), precision)
    name = _chosen.get(key)
    if name is None:
        name = _chosen[key] = _choose(pattern, batch, time, input_size, nonlinearity, dtype)
    return name


def resolve(backend: str, inputs: Tensor, pattern: SparsePattern, nonlinearity: str) -> str:
    """`backend`, or what "auto" stands for with `inputs` [population, batch, time, input_size].

    Raises:
        ValueError: the backend isn't usable here; why not, and what would make it so.
    """
    if backend == "auto":
        _, batch, steps, input_size = inputs.shape
        return choose_backend(pattern, batch, steps, input_size, nonlinearity, inputs.dtype)
    if (reason := _why_not(backend, inputs.device, inputs.dtype)) is not None:
        raise ValueError(f"backend: {backend} can't be used here: {reason}")
    return backend


@cache
def _why_not(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    return load(name).unusable(device, dtype)


def cache_folder() -> Path:
    """Where choices are kept: `$BIOTUNE_CACHE/kernels`, or the same in the platform's cache folder for biotune."""
    if named := os.environ.get("BIOTUNE_CACHE"):
        return Path(named).expanduser() / "kernels"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "biotune" / "kernels"


def _choose(
    pattern: SparsePattern, batch: int, time: int, input_size: int, nonlinearity: str, dtype: torch.dtype
) -> str:
    usable = [name for name, reason in backends(pattern.device, dtype).items() if reason is None]
    if pattern.device.type == "cpu" and "triton" in usable:
        usable.remove("triton")  # its interpreter, which is for tests
    candidates = [name for name in usable if name != "reference" and (name != "dense" or _dense_enough(pattern))]
    if len(candidates) < 2:
        return candidates[0] if candidates else "reference"
    key = {
        "machine": describe_machine(pattern.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "kernels": _digest(),
        "candidates": candidates,
        "shape": [pattern.population, pattern.size, pattern.nnz, batch, time, input_size],
        "nonlinearity": nonlinearity,
        "dtype": str(dtype),
        "precision": torch.get_float32_matmul_precision(),
    }
    file = cache_folder() / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"
    known = _read(file, key)
    if known is not None:
        logger.debug("auto: %s for shape %s, as %s has it", known, key["shape"], file)
        return known
    seconds = _measure(candidates, pattern, batch, time, input_size, nonlinearity, dtype)
    if not seconds:
        return "reference"
    name = min(seconds, key=lambda candidate: seconds[candidate])
    timings = {candidate: round(1e3 * took, 4) for candidate, took in seconds.items()}
    logger.debug("auto: %s for shape %s; milliseconds: %s", name, key["shape"], timings)
    _write(file, {"key": key, "backend": name, "milliseconds": timings})
    return name


def _dense_enough(pattern: SparsePattern) -> bool:
    return pattern.density >= _DENSE_FROM


@torch.no_grad()
def _measure(
    candidates: list[str],
    pattern: SparsePattern,
    batch: int,
    steps: int,
    input_size: int,
    nonlinearity: str,
    dtype: torch.dtype,
) -> dict[str, float]:
    """Least seconds of a forward and backward pass by candidate, measured in turns so that all see the same machine."""
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
    wanted = frozenset(("values", "weight_ih", "bias"))

    def run(name: str) -> None:
        backend = load(name)
        hidden = backend.forward(inputs, values, weight_ih, bias, None, pattern, nonlinearity)
        backend.backward(grad, hidden, inputs, values, weight_ih, None, pattern, nonlinearity, wanted)

    seconds: dict[str, float] = {}
    for name in candidates:
        try:
            run(name)  # builds what the backend keeps for the pattern
            seconds[name] = _seconds(lambda name=name: run(name), device)  # type: ignore[misc]
        except failures() as error:  # memory, or a library that lacks this dtype: not a candidate then
            logger.warning("auto: backend %s failed at this shape and is left out: %s", name, error)
    end = time.perf_counter() + _SECONDS
    for i in range(_ROUNDS):
        # a busy machine may have slowed any one run, so that few are ruled out at first
        near = 1.5 if i >= _OPEN_ROUNDS else 10
        close = [name for name in seconds if seconds[name] < near * min(seconds.values())]
        if len(close) < 2 or time.perf_counter() > end:
            break
        for name in close:
            run(name)  # with its own data in the caches again, as in training
            took = min(_seconds(lambda name=name: run(name), device) for _ in range(2))  # type: ignore[misc]
            seconds[name] = min(seconds[name], took)
    return seconds


def failures() -> tuple[type[Exception], ...]:
    """What a backend raises at a shape that is too much for it; Triton's errors are no RuntimeErrors."""
    if "triton" not in sys.modules:
        return (RuntimeError,)
    from triton.errors import TritonError

    return RuntimeError, TritonError


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _read(file: Path, key: Mapping[str, Any]) -> str | None:
    try:
        content = json.loads(file.read_text())
        if content["key"] == key and content["backend"] in key["candidates"]:
            return str(content["backend"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("auto: %s is not readable and is measured anew (%s)", file, error)
    return None


def _write(file: Path, content: Mapping[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(file)
    except OSError as error:
        logger.debug("auto: this choice lasts for this process alone, %s can't be written (%s)", file, error)


@cache
def describe_machine(device: torch.device) -> str:
    """The processor, as it calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{platform.machine()} {name}, {os.cpu_count()} CPUs"


@cache
def _digest() -> str:
    """Of this package's files, so that another version of any backend is measured anew."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".py", ".cpp", ".h", ".so", ".dylib"):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
