"""What a dry run measures for the estimate, in processes that begin as a worker does and work as many at once."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Barrier
from statistics import fmean
from typing import Any

import torch

from biotune.errors import KernelError, UserError
from biotune.study.plans.plans import Plans
from biotune.study.resources.estimate import Costs, Measured
from biotune.study.resources.kernels import ask, backends_of, population_sizes
from biotune.study.worker.verification import Asked, Look, look
from biotune.training import DRAWN, BlockReport, Trial, TrialPlan, free_memory, keep_freed_memory

DRAW_SECONDS = 10.0
"""If drawing a trial's topologies takes longer than this, one network is drawn and timed, and stands for all."""
EPOCHS_SECONDS = 0.3
"""How long epochs are timed; if the first one, which also prepares what the others use, takes ten times as long, it is
the only one."""
START_SECONDS = 600.0
"""How long the processes wait for each other."""


def measure(plans: Plans, reading: float, *, together: int, threads: int) -> Measured:
    """Measures what a study takes on this machine.

    First one process chooses and verifies the kernels, alone, as a study's first worker does. Then `together` processes
    draw the topologies of every arm and phase, and train a trial of each kind, at the same time, since each is slower
    for the others.

    Args:
        plans: of the study, on the device to be timed.
        reading: seconds that loading them took.
        together: processes at once. threads: of each.

    Raises:
        KernelError: the kernels that the plans name cannot be used, or compute wrong results.
        UserError: the networks of an arm can't be made, or there is not enough memory to.
    """
    asked = ask(plans, 1)
    [(process, (kernels, seen))] = _at_once(1, threads, _look, asked)
    if seen.wrong and {one.plan.backend for one in asked} != {"auto"}:
        raise KernelError("; ".join(seen.wrong.values()))
    decided = replace(plans, backends=backends_of(asked, seen))
    timed = [costs for _, costs in _at_once(together, threads, time_trials, decided)]
    trials = {
        phase: {arm: _mean([one[phase][arm] for one in timed]) for arm in arms} for phase, arms in timed[0].items()
    }
    return Measured(process, reading, kernels, trials)


def time_trials(threads: int, plans: Plans) -> dict[str, dict[str, Costs]]:
    """Phase -> arm -> what a trial of it takes in this process, on backends that are decided.

    Topologies are drawn and timed for each arm; the rest once for all arms whose networks are alike: as many neurons
    and edges, the same kind of network and task.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    found: dict[str, dict[str, Costs]] = {}
    for phase, networks in population_sizes(plans.study).items():
        found[phase], alike = {}, {}
        for arm in plans.study.arms:
            plan = plans.plan(arm, plans.study.first_setting, phase, range(networks))
            topology, first = _timed(partial(DRAWN.of, plan, 0))
            made = networks if first * networks <= DRAW_SECONDS else 1
            others = sum(_timed(partial(DRAWN.of, plan, replicate))[1] for replicate in range(1, made))
            key = topology.size, topology.edges, made, plan.network, plan.backend, json.dumps(plan.task, sort_keys=True)
            if key not in alike:
                alike[key] = _time_trial(replace(plan, replicates=tuple(range(made))))
                free_memory(plans.device)
            begin, epoch, measured = (seconds * networks / made for seconds in alike[key])
            found[phase][arm] = Costs((first + others) * networks / made, begin, epoch, measured)
    return found


def _time_trial(plan: TrialPlan) -> tuple[float, float, float]:
    """Seconds to begin a trial whose topologies are drawn, of an epoch, and to measure its networks in the end."""
    Trial(replace(plan, replicates=plan.replicates[:1]))  # a process's first trial loads what the others use
    trial, begin = _timed(partial(Trial, plan))
    epochs = [_timed(trial.run_epoch)[1]]
    while len(epochs) == 1 or sum(epochs[1:]) < EPOCHS_SECONDS:
        if epochs[0] > 10 * EPOCHS_SECONDS:
            break
        epochs.append(_timed(trial.run_epoch)[1])
    measured = _timed(partial(BlockReport.of, trial, 0.0))[1] if plan.phase == "confirm" else 0.0
    return begin, fmean(epochs[1:] or epochs), measured


def _look(threads: int, asked: list[Asked]) -> tuple[float, Look]:
    found, seconds = _timed(lambda: look(asked, threads))
    return seconds, found


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    done = work()
    return done, time.perf_counter() - start


def _mean(costs: list[Costs]) -> Costs:
    return Costs(*(fmean(getattr(one, name) for one in costs) for name in ("draw", "begin", "epoch", "measure")))


def _at_once(processes: int, threads: int, work: Callable[..., Any], given: Any) -> list[tuple[float, Any]]:
    """Calls `work(threads, given)` in fresh processes at the same time.

    Returns:
        of each process, the seconds that it took to start, and what the call returned.

    Raises:
        UserError: one was killed.
    """
    context, begun = get_context("spawn"), time.time()
    barrier = context.Barrier(processes)
    with (
        _linear_algebra_on(threads),
        ProcessPoolExecutor(processes, context, initializer=_wait_for_all, initargs=(barrier,)) as pool,
    ):
        running = [pool.submit(_begin, begun, work, threads, given) for _ in range(processes)]
        try:
            return [one.result() for one in running]
        except BrokenProcessPool as error:
            raise UserError(
                f"trials cannot be timed, {processes} at once: a process was killed, which most often means that "
                "memory ran out; give --concurrency, so that fewer run at once"
            ) from error


@contextmanager
def _linear_algebra_on(threads: int) -> Iterator[None]:
    """Has the processes that are started meanwhile use so many threads for it, as Ray has its workers."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


_started = 0.0
"""When this process was ready to work; only in those of `_at_once`."""


def _wait_for_all(barrier: Barrier) -> None:
    global _started
    _started = time.time()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    barrier.wait(START_SECONDS)


def _end_with_the_parent() -> None:
    """Ends this process when the one that started it was killed, and so can't end it."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _begin(begun: float, work: Callable[..., Any], threads: int, given: Any) -> tuple[float, Any]:
    return _started - begun, work(threads, given)
