"""How much memory a study takes, estimated before any is taken: for networks and data, and for all that is recorded."""

import math

import numpy as np
import psutil

from biotune.connectome import Connectome
from biotune.errors import UserError
from biotune.study.definition.study import Study
from biotune.topology import neuron_counts

BYTES_PER_EDGE = 60
"""Of a topology: both ends as int64, weight and value as float64, and copies while it is drawn."""

TRAINING_BYTES_PER_EDGE = 24
"""Of a network in training: indices, value, gradient and the optimiser's two moments."""

STATES = 3
"""Copies of all states of a batch that a training step keeps: states, their gradients, and what is between."""

BYTES_PER_EVALUATION = 40
"""Of a network after an epoch, as the driver keeps it: losses as float64, and their row while tables are written."""

Needs = dict[str, tuple[float, str]]
"""Key of the study -> the bytes that it is responsible for, and what takes them."""


def needs_of_drawing(study: Study, arm: str, condition: str, connectome: Connectome) -> Needs:
    """What it takes to draw a topology of an arm under a condition, at the first setting."""
    neurons, edges = _size_of(study, arm, condition, connectome)
    networks = f"networks of {neurons:,.0f} neurons and some {edges:,.0f} edges"
    return {"topology.neurons_per_region": (edges * BYTES_PER_EDGE, networks)}


def needs_of_training(study: Study, arm: str, condition: str, connectome: Connectome) -> Needs:
    """What a trial or a block of an arm takes under a condition, at the first setting, where it is trained."""
    config, under, task = study.config, study.conditions[condition], study.task_of(condition)
    together = max(config.search.replicates, config.confirm.population)
    neurons, edges = _size_of(study, arm, condition, connectome)
    needs = needs_of_drawing(study, arm, condition, connectome)
    drawn, networks = needs["topology.neurons_per_region"]
    steps, inputs, outputs = float(task.time), float(task.input_size), float(task.output_size)
    states = together * STATES * 4 * float(under.task.batch) * neurons * steps
    data = together * 3 * 4 * float(under.task.trials) * steps * (inputs + outputs)
    trained = f", of which {together} are trained together,"
    return {
        "topology.neurons_per_region": (drawn + together * edges * TRAINING_BYTES_PER_EDGE, networks + trained),
        "task.batch": (states, f"the states of {under.task.batch:,} trials of {task.time:,} steps"),
        "task.trials": (data, f"the data of {under.task.trials:,} trials of {task.time:,} steps"),
    }


def needs_of_record(study: Study) -> Needs:
    """What the driver keeps of all trials and blocks until the study has ended, at most."""
    search, confirm, arms = study.config.search, study.config.confirm, len(study.arms)
    searched = arms * search.trials_per_arm * search.replicates * (search.max_epochs + 1)
    beside = sum(replicates for _, replicates in study.beside_primary)
    # the reference is confirmed at the setting of every pair: of one like any other arm, and of the others besides
    others = max(arms - 2, 0)
    networks = arms * (2 * confirm.replicates + beside) + others * (confirm.replicates + beside)
    confirmed = networks * (confirm.max_epochs + 1)
    return {
        "search.trials_per_arm": (
            float(searched * BYTES_PER_EVALUATION),
            f"up to {searched:,} evaluations in the search ({arms} arms × {search.trials_per_arm:,} trials × "
            f"{search.replicates:,} networks × {search.max_epochs:,} epochs)",
        ),
        "confirm.replicates": (
            float(confirmed * BYTES_PER_EVALUATION),
            f"up to {confirmed:,} evaluations in the confirmation ({networks:,} networks, over all arms, settings and "
            f"conditions, × {confirm.max_epochs:,} epochs)",
        ),
    }


def require_memory(needs: Needs, available: float | None = None, where: str = "this machine") -> None:
    """Refuses what doesn't fit into memory.

    Args:
        needs: what is to be held at once.
        available: bytes; None: this machine's memory.
        where: whose memory that is.

    Raises:
        UserError: naming the key that takes most, the estimate and what there is.
    """
    available = psutil.virtual_memory().total if available is None else available
    total = sum(need for need, _ in needs.values())
    if total > available:
        key, (most, what) = max(needs.items(), key=lambda item: item[1][0])
        raise UserError(
            f"needs about {spelled_size(total)} of memory, and {where} has {spelled_size(available)}: {what} take "
            f"{spelled_size(most)}; lower {key} or what else is in that product"
        )


def _size_of(study: Study, arm: str, condition: str, connectome: Connectome) -> tuple[float, float]:
    """The neurons of an arm's topologies, and about how many edges they have."""
    topology = study.conditions[condition].of(study.arms[arm], study.first_setting).topology
    counts = neuron_counts(connectome, topology.model_dump()["neurons_per_region"]).astype(np.float64)
    of_source = np.minimum(np.ceil(topology.target_sparsity * counts), counts)
    between = float((of_source[connectome.source] * counts[connectome.target]).sum())
    within = float((np.ceil(topology.intrinsic_sparsity * counts) * counts).sum())
    return float(counts.sum()), between + (within if topology.intrinsic else 0.0)


def spelled_size(size: float) -> str:
    """A number of bytes: `1.5 GiB`."""
    power = min(int(math.log(max(size, 1), 1024)), 8)
    return f"{size / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB')[power]}"
