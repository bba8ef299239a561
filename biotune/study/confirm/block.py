"""What confirms replicates on a worker: a Ray task that trains them together, to the budget."""

import torch

from biotune.io.storage import Place
from biotune.network import save_checkpoint
from biotune.study.worker.train import train
from biotune.training import BlockReport, TrialPlan, edges


def confirm_block(plan: TrialPlan, checkpoint: Place, threads: int, every: float) -> BlockReport:
    """A Ray task: some replicates at one setting, trained to the budget; `checkpoint` keeps the networks."""
    torch.set_num_threads(threads)
    for step in train(plan, checkpoint, every):
        trial, seconds = step
    networks = {"edges": edges(trial.topologies, trial.loop.population)}
    save_checkpoint(checkpoint, trial.state_dict() | networks | {"seconds": seconds})
    return BlockReport.of(trial, seconds)
