"""What confirms replicates on a worker: a Ray task that trains them together, to the budget."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from biotune.io.storage import Place
from biotune.network import save_checkpoint
from biotune.study.worker.train import REPORT_SECONDS, train
from biotune.training import BlockReport, Engines, TrialPlan, edges


@dataclass(frozen=True)
class Reached:
    """How far a block is: the epoch, and the seconds spent on it, setting it up included."""

    epoch: int = 0
    seconds: float = 0.0


def confirm_block(
    plan: TrialPlan, checkpoint: Place, threads: int, every: float, engines: Engines | None = None
) -> Iterator[Reached | BlockReport]:
    """A Ray task: some replicates of a cell, trained to their end, by engines if there are any; `checkpoint` keeps the
    networks.

    Yields:
        About once a second, and after the first epoch, how far it is; at the end the report.
    """
    torch.set_num_threads(threads)
    last = -REPORT_SECONDS
    for step in train(plan, checkpoint, every, engines):
        trial, seconds = step
        if (now := time.monotonic()) - last >= REPORT_SECONDS and trial.loop.epoch <= plan.max_epochs:
            yield Reached(trial.loop.epoch, seconds)
            last = now
    networks = {"edges": edges(trial.topologies, trial.loop.population)}
    save_checkpoint(checkpoint, trial.state_dict() | networks | {"seconds": seconds})
    trial.loop.close()
    yield BlockReport.of(trial, seconds)
