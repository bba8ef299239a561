"""What confirms replicates on a worker: a Ray task that trains them together, to the budget."""

from dataclasses import asdict
from typing import Any

import torch

from biotune.io.storage import Place
from biotune.network import save_checkpoint
from biotune.study.worker.train import curves, train
from biotune.topology import measure_row, region_blocks
from biotune.training import TrialPlan, edges


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
