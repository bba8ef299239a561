"""How much memory a study's networks and data take, estimated before any is taken."""

import math

import numpy as np
import psutil

from biotune.connectome import Connectome
from biotune.errors import UserError
from biotune.study.definition.study import Arm, Study
from biotune.topology import neuron_counts

BYTES_PER_EDGE = 60
"""Of a topology: both ends as int64, weight and value as float64, and copies while it is drawn."""

TRAINING_BYTES_PER_EDGE = 24
"""Of a network in training: indices, value, gradient and the optimiser's two moments."""

STATES = 3
"""Copies of all states of a batch that a training step keeps: states, their gradients, and what is between."""


def require_memory(study: Study, arm: Arm, connectome: Connectome, available: float | None = None) -> None:
    """Refuses an arm whose networks or data don't fit into this machine's memory.

    Args:
        study: with the arm.
        arm: whose topologies and data are meant.
        connectome: the arm's.
        available: bytes; None: this machine's memory.

    Raises:
        UserError: naming the key that takes most, the estimate and what there is.
    """
    available = psutil.virtual_memory().total if available is None else available
    config, task = study.config, study.task
    together = max(config.search.replicates, config.confirm.population)
    counts = neuron_counts(connectome, arm.topology.model_dump()["neurons_per_region"]).astype(np.float64)
    neurons, edges = float(counts.sum()), _edges(counts, arm, connectome)
    task_time, inputs, outputs = float(task.time), float(task.input_size), float(task.output_size)
    networks = edges * BYTES_PER_EDGE + together * edges * TRAINING_BYTES_PER_EDGE
    states = together * STATES * 4 * float(config.task.batch) * neurons * task_time
    data = together * 3 * 4 * float(config.task.trials) * task_time * (inputs + outputs)
    needs = {
        "topology.neurons_per_region": (networks, f"networks of {neurons:,.0f} neurons and some {edges:,.0f} edges"),
        "task.batch": (states, f"the states of {config.task.batch:,} trials of {task_time:,.0f} steps"),
        "task.trials": (data, f"the data of {config.task.trials:,} trials of {task_time:,.0f} steps"),
    }
    total = sum(need for need, _ in needs.values())
    if total > available:
        key, (most, what) = max(needs.items(), key=lambda item: item[1][0])
        raise UserError(
            f"needs about {_size(total)} of memory, and this machine has {_size(available)}: {what} take "
            f"{_size(most)}; lower {key}, the task's length, or the {together} networks that are trained together"
        )


def _edges(counts: np.ndarray, arm: Arm, connectome: Connectome) -> float:
    """About how many edges a topology has.

    Args:
        counts: float64 `[regions]`, neurons of each.
    """
    of_source = np.minimum(np.ceil(arm.topology.target_sparsity * counts), counts)
    between = float((of_source[connectome.source] * counts[connectome.target]).sum())
    within = (
        float((np.ceil(arm.topology.intrinsic_sparsity * counts) * counts).sum()) if arm.topology.intrinsic else 0.0
    )
    return between + within


def _size(size: float) -> str:
    power = min(int(math.log(max(size, 1), 1024)), 8)
    return f"{size / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB')[power]}"
