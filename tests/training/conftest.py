"""Small plans: a made-up cortex of a few regions, so that no data file is needed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from biotune.connectome import Connectome, Provenance
from biotune.network import NetworkOptions
from biotune.training import TrialPlan


def small_connectome(regions: int = 6, seed: int = 0) -> Connectome:
    draw = np.random.default_rng(seed)
    matrix = draw.random((regions, regions)) * (draw.random((regions, regions)) < 0.6)
    np.fill_diagonal(matrix, 0)
    source, target = np.nonzero(matrix)
    made_up = Provenance(kind="generated", species="none", citation="none", licence="none", orientation="none")
    return Connectome("made-up", regions, source, target, matrix[source, target], made_up)


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., TrialPlan]:
    def make(**changes: Any) -> TrialPlan:
        network = NetworkOptions(**{"learning_rate": 1e-2} | changes.pop("network", {}))
        content: dict[str, Any] = {
            "task": {"name": "seq_mem", "pattern_length": 2},
            "trials": 50,
            "train_share": 0.8,
            "batch": 16,
            "connectome": small_connectome(),
            "topology": {"neurons_per_region": 3, "target_sparsity": 0.7},
            "null": None,
            "seed": 1,
            "phase": "search",
            "replicates": (0, 1, 2),
            "max_epochs": 4,
            "level": 0.01,
            "sustain": 2,
            "backend": "reference",
        }
        return TrialPlan(**content | changes | {"network": network})

    return make
