"""python -m checks.throughput: epochs of a network per second, of the networks of the default study.

    python -m checks.throughput                            on the CPU's cores, a process on each
    python -m checks.throughput --device cuda --cores      on a GPU, and on the cores beside it

An epoch of a network is what a replicate does in training between two evaluations: 4 updates of 64 trials of 21 steps,
then 64 validation trials, on 220 neurons (marmoset × 4, seq_mem with patterns of 10). On a GPU populations of several
sizes are trained, each after two epochs in which kernels are compiled and graphs recorded; on the CPU one process per
core trains populations of 4, as a study does. On both, an engine trains the networks of several trials together.
"""

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch

from biotune.machine import machine
from biotune.training import Engine, Trial
from biotune_kernels import available_backends
from biotune_kernels.memory import describe_machine
from checks import default_study

ON_GPU = (1, 8, 64, 128)
"""Networks that are trained together on a GPU."""

ON_A_CORE = 4
"""Networks that a process on a core trains together."""


OF_A_TRIAL = 8
"""Networks that a trial hands to an engine."""

IN_ENGINE = {"cuda": (64, 128), "cpu": (16,)}
"""Networks that an engine trains together."""

ENGINE_EPOCHS = 2000
"""That a trial may train for; it is stopped before."""


def measure_engine(networks: int, device: str, seconds: float) -> float:
    """Epochs of a network per second of an engine that trains so many networks, of as many trials as that makes."""
    backend = "triton" if device == "cuda" else "cpu" if available_backends("cpu")["cpu"] is None else "dense"
    engine, over = Engine(device), threading.Event()
    thread = threading.Thread(target=engine.run, args=(over.is_set,))
    thread.start()
    try:
        wired_by, arm = default_study.connectome(), default_study.REFERENCE_ARM
        trials = []
        for first in range(0, networks, OF_A_TRIAL):
            replicates = range(first, first + OF_A_TRIAL)
            plan = default_study.plan(arm, wired_by, replicates, ENGINE_EPOCHS, device=device)
            trials.append(Trial(replace(plan, backend=backend), engines=engine, rungs=(2,)))
        for trial in trials:
            for _ in range(3):  # past the rung, up to which kernels are compiled and graphs recorded
                trial.run_epoch()
        begin, (_, before) = time.perf_counter(), engine.load()
        time.sleep(seconds)
        took, (_, after) = time.perf_counter() - begin, engine.load()
        return (after - before) / took
    finally:
        over.set()
        thread.join()


def measure(networks: int, device: str, seconds: float) -> float:
    """Epochs of a network per second of one population."""
    return _run(_trial(networks, device), seconds)


def measure_cores(cores: int, seconds: float) -> float:
    """Epochs of a network per second of as many processes as there are cores, at the same time."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(cores)
    with context.Pool(cores, _set_ready, (ready,)) as pool:
        return sum(pool.map(_on_a_core, [seconds] * cores, chunksize=1))


def _trial(networks: int, device: str) -> Trial:
    return Trial(
        default_study.plan(default_study.REFERENCE_ARM, default_study.connectome(), range(networks), device=device)
    )


def _run(trial: Trial, seconds: float) -> float:
    for _ in range(2):
        trial.run_epoch()
    begin, epochs = time.perf_counter(), 0
    while (took := time.perf_counter() - begin) < seconds:
        trial.run_epoch()  # ends with the losses on the CPU
        epochs += 1
    return epochs * len(trial.plan.replicates) / took


_ready: Barrier


def _set_ready(ready: Barrier) -> None:
    global _ready
    _ready = ready
    torch.set_num_threads(1)


def _on_a_core(seconds: float) -> float:
    trial = _trial(ON_A_CORE, "cpu")
    _ready.wait()
    return _run(trial, seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m checks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--cores", action="store_true", help="with --device cuda: the CPU's cores too")
    parser.add_argument("--seconds", type=float, default=2.0, help="of training per figure; default: 2")
    parser.add_argument("--json", type=Path, help="write every figure to this file too")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch sees no CUDA device")
    if not options.seconds > 0:
        parser.error(f"--seconds: expected more than 0, got {options.seconds:g}")
    print(f"{describe_machine(torch.device(options.device))}; {machine()}", flush=True)
    found: dict[str, float] = {}

    def note(name: str, per_second: float) -> None:
        found[name] = per_second
        print(f"{name}: {per_second:,.0f} /s", flush=True)
        if options.json:
            content = {"machine": machine(), "device": describe_machine(torch.device(options.device))}
            options.json.write_text(json.dumps(content | {"per_second": found}, indent=1) + "\n")

    if options.device == "cuda":
        for networks in ON_GPU:
            note(f"GPU, {networks} together", measure(networks, "cuda", options.seconds))
    for networks in IN_ENGINE[options.device]:
        where = "GPU" if options.device == "cuda" else "cores"
        note(f"{where}, {networks} in an engine", measure_engine(networks, options.device, options.seconds))
    if options.device == "cpu" or options.cores:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        library = "with" if available_backends("cpu")["cpu"] is None else "without"
        note(f"{cores} cores, {library} the C++ library", measure_cores(cores, options.seconds))
        if options.device == "cuda":
            *on_gpu, on_cores = found.values()
            print(f"GPU / cores: {max(on_gpu) / on_cores:.1f}")


if __name__ == "__main__":
    main()
