"""What runs on a worker: a plan, trained from its checkpoint if it has one, with a word now and then."""

import socket
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from traceback import clear_frames
from typing import Any

import numpy as np
import torch
from ray import tune
from ray._raylet import setproctitle  # type: ignore[attr-defined]  # a compiled module

from biotune.errors import StorageError
from biotune.network import load_checkpoint, save_checkpoint
from biotune.storage import Place
from biotune.study.trust import trusted_trial
from biotune.topology import measure_row, region_blocks
from biotune.training import ForeignState, Trial, TrialPlan, edges, free_memory, keep_freed_memory

REPORT_SECONDS = 1.0


def train(plan: TrialPlan, checkpoint: Place, every: float) -> Generator[tuple[Trial, float], None, None]:
    """Trains a plan, yielding after every epoch the trial and the seconds spent on it so far, setting it up included.

    A checkpoint is written every `every` seconds, and training goes on from it where there is one: its epoch is yielded
    first, since a kill may have come before that was reported.

    Raises:
        StorageError: the checkpoint cannot be kept.
        DamagedCheckpoint: the one that is there cannot be read; the driver sets it aside, and the plan is begun anew.
        ForeignState: the one that is there is of another plan, or of topologies that this machine draws otherwise.
        KernelError: the plan's kernels cannot be trusted on this machine.
    """
    folder = checkpoint.parent
    if isinstance(folder, Path) and not folder.is_dir():  # the driver made it; a machine must not make one of its own
        where = f"not seen on {socket.gethostname()}, where a trial was to run"
        raise StorageError(f"{folder}: {where}; let that machine see it")
    try:
        started = saved = time.monotonic()
        keep_freed_memory()
        state = load_checkpoint(checkpoint) if checkpoint.exists() else None
        trial, spent = trusted_trial(plan), 0.0
        if state is not None:
            spent = state["seconds"]
            try:
                trial.load_state_dict(state)
            except ForeignState as error:
                host = socket.gethostname()
                raise ForeignState(f"{checkpoint}: {error} ({host}); put back what belongs together") from None
            del state
        if trial.loop.epoch or trial.finished:  # before the first epoch, where every replicate diverged as it was drawn
            yield trial, spent
        while not trial.finished:
            trial.run_epoch()
            now = time.monotonic()
            if now - saved >= every:
                save_checkpoint(checkpoint, trial.state_dict() | {"seconds": spent + now - started})
                saved = now
            yield trial, spent + now - started
    except SystemExit as error:  # Ray would take it for its own way to end a worker
        raise RuntimeError(f"the task's code called sys.exit({error.code!r})") from error


def curves(trial: Trial, first: int = 0) -> dict[str, list[list[float | None]]]:
    """The evaluations from epoch `first` on, as the journal holds them."""
    loop = trial.loop
    nothing: list[float | None] = [None] * len(loop.population)
    training = [nothing, *(losses.tolist() for losses in loop.training_losses)]
    return {
        "training": training[first:],
        "validation": [losses.tolist() for losses in loop.validation_losses[first:]],
        "accuracy": [values.tolist() for values in loop.accuracies[first:]],
    }


def search_trial(
    config: Mapping[str, Any],
    plan: Callable[[str, Mapping[str, Any]], TrialPlan],
    checkpoints: Place,
    rungs: list[int],
    study: str,
    threads: int,
    every: float,
) -> None:
    """Ray Tune's trainable: one search trial, reporting at every rung, at its end, and about once a second between."""
    torch.set_num_threads(threads)
    name = f"{study}/{config['arm']}/{config['trial']}"
    print(f"{name} begins", flush=True)  # in its actor's log, which is of several
    made_from = plan(config["arm"], config["setting"])
    steps = train(made_from, checkpoints / f"{config['trial']}.pt", every)
    try:
        _report(steps, rungs, title=f"ray::{name}")
    finally:  # Tune stops a trial by an exception out of `report`, which would keep the trial's tensors alive
        steps.close()
        clear_frames(sys.exc_info()[2])
        free_memory(made_from.device)


def _report(steps: Iterable[tuple[Trial, float]], rungs: list[int], title: str) -> None:
    # an actor keeps the name that it was made with, but trains one trial after another; its process can be told apart
    setproctitle(title)
    reported, last = 0, time.monotonic()
    for trial, seconds in steps:
        max_epochs = trial.plan.max_epochs
        epoch, now = trial.loop.epoch, time.monotonic()
        finished = trial.finished
        # between the budget and the end nothing is reported: those evaluations only confirm a crossing. A trial that
        # diverged is, at once: it is stopped there, at an epoch that must not depend on the time
        if finished or trial.diverged or epoch in rungs or (now - last >= REPORT_SECONDS and epoch < max_epochs):
            outcome = trial.convergence()
            tune.report(
                {
                    "first": reported,
                    **curves(trial, reported),
                    "score": trial.score,
                    "finished": finished,
                    "seconds": seconds,
                    "mean_updates": float(np.mean([one.updates for one in outcome])),
                    "converged": sum(one.converged for one in outcome),
                    "diverged": sum(one.diverged for one in outcome),
                }
            )
            setproctitle(title)  # Ray has set its own when `report` returns
            reported, last = len(trial.loop.validation_losses), now


def confirm_block(plan: TrialPlan, checkpoint: Place, threads: int, every: float) -> dict[str, Any]:
    """A Ray task: some replicates at one setting, trained to the budget; `checkpoint` keeps the networks."""
    torch.set_num_threads(threads)
    for step in train(plan, checkpoint, every):
        trial, seconds = step
    networks = {"edges": edges(trial.topologies, trial.loop.population.sign)}
    save_checkpoint(checkpoint, trial.state_dict() | networks | {"seconds": seconds})
    tests = [None] * len(plan.replicates) if trial.test_losses is None else trial.test_losses.tolist()
    return {
        **curves(trial),
        "convergence": [
            asdict(outcome) | {"test_loss": test} for outcome, test in zip(trial.convergence(), tests, strict=True)
        ],
        "measures": [
            {"neurons": topology.size, "edges": topology.edges, "digest": topology.digest, "rewired": topology.rewired}
            | measure_row(topology, values)
            for topology, values in zip(trial.topologies, trial.initial_values, strict=True)
        ],
        "matrix": {name: column.tolist() for name, column in region_blocks(trial.topologies[0]).items()}
        if plan.replicates[0] == 0
        else None,
        "seconds": seconds,
    }
