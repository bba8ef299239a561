"""The trials of the confirm phase of `search_spaces/seq_mem.yaml`, for a machine that lacks what reads that file.

PyTorch, NumPy and SciPy are enough. `tests/checks` compares these plans with those that the study itself makes.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from biotune.connectome import Connectome, load_connectome
from biotune.network import NetworkOptions
from biotune.tasks import make_task
from biotune.training import TrialPlan

_WHOLE: dict[str, Any] = {"weights": "carried", "fraction": 1.0}

ARMS: dict[str, Mapping[str, Any] | None] = {
    "marmoset": None,
    "weights": {"name": "weights_shuffled", "level": "region", **_WHOLE},
    "degrees": {"name": "degree_preserving", "level": "region", **_WHOLE},
    "random": {"name": "erdos_renyi", "level": "region", **_WHOLE},
}
"""Arm -> its null."""

REFERENCE_ARM = "marmoset"

LEARNING_RATE = 3e-3
"""Within the study's range, 3e-4 to 1e-2."""


def connectome() -> Connectome:
    """The marmoset's if BIOTUNE_DATA names a folder; otherwise its stand-in, which is drawn from a rule."""
    return load_connectome("marmoset" if os.environ.get("BIOTUNE_DATA") else "distance_rule:marmoset", seed=1)


def plan(
    arm: str,
    wired_by: Connectome,
    replicates: Sequence[int],
    max_epochs: int = 60,
    *,
    neurons: int = 4,
    device: str = "cpu",
) -> TrialPlan:
    """A trial of the confirm phase at `LEARNING_RATE`, with `neurons` per region."""
    task: dict[str, Any] = {"name": "seq_mem", "pattern_length": 10}
    return TrialPlan(
        task=task,
        trials=320,
        train_share=0.8,
        batch=64,
        connectome=wired_by,
        topology={
            "neurons_per_region": neurons,
            "target_sparsity": 0.8,
            "partition": "dirichlet",
            "intrinsic": True,
            "intrinsic_sparsity": 1.0,
            "intrinsic_weight": 0.8,
            "keep_diagonal": False,
        },
        null=ARMS[arm],
        network=NetworkOptions(
            remap="magnitude", radius=0.9, optimizer="Adam", learning_rate=LEARNING_RATE, nonlinearity="tanh"
        ),
        seed=1,
        phase="confirm",
        replicates=tuple(replicates),
        max_epochs=max_epochs,
        level=0.1 * make_task(**task).null_loss,
        sustain=3,
        device=device,
    )
