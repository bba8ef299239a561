"""A network's numbers do not depend on which networks are trained beside it, nor on its place among them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biotune.connectome import load_connectome
from biotune.network import NetworkOptions
from biotune.results import PROPAGATION
from biotune.training import OPTIMIZERS, Trial, TrialPlan
from biotune_kernels import available_backends
from biotune_kernels.backends import load

INDEPENDENT = [
    name
    for name, reason in available_backends("cpu").items()
    if reason is None and load(name).independent(torch.device("cpu"), 220, torch.float32)
]


def trained(plan: TrialPlan, replicate: int) -> dict[str, Tensor]:
    """One network: how it starts, and its parameters and its losses after two epochs."""
    trial = Trial(plan)
    for _ in range(2):
        trial.run_epoch()
    place = plan.replicates.index(replicate)
    found = {name: tensor.detach()[place] for name, tensor in trial.loop.population.named_parameters()}
    for name in ("training_losses", "validation_losses"):
        found[name] = torch.stack(getattr(trial.loop, name))[:, place]
    start = trial.propagation[place]
    return found | {name: torch.tensor(start[name], dtype=torch.float64) for name in PROPAGATION}


def test_the_cpu_and_dense_backends_are_independent() -> None:
    assert {"dense", "cpu"} <= {*INDEPENDENT, *(name for name, why in available_backends("cpu").items() if why)}


@pytest.mark.parametrize("backend", INDEPENDENT)
@settings(max_examples=10)
@given(
    company=st.permutations(range(6)).flatmap(lambda order: st.integers(1, 6).map(lambda count: tuple(order[:count]))),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
    task=st.sampled_from(
        [{"name": "seq_mem", "pattern_length": 1}, {"name": "seq_mem", "pattern_length": 3}, {"name": "nback_mem"}]
    ),
    batch=st.sampled_from([7, 16, 17, 64]),
    neurons=st.sampled_from([1, 3, 4]),
    readout=st.sampled_from([1.0, 0.4]),
    threads=st.sampled_from([1, 2]),
)
def test_a_network_is_the_same_in_any_company(
    backend: str,
    company: tuple[int, ...],
    optimizer: str,
    nonlinearity: str,
    task: dict,
    batch: int,
    neurons: int,
    readout: float,
    threads: int,
) -> None:
    def plan(replicates: tuple[int, ...]) -> TrialPlan:
        return TrialPlan(
            task=task,
            trials=60,
            train_share=0.8,
            batch=batch,
            connectome=load_connectome("distance_rule:mouse_gamanut"),
            topology={"neurons_per_region": neurons},
            null=None,
            network=NetworkOptions(optimizer=optimizer, learning_rate=3e-3, nonlinearity=nonlinearity, readout=readout),
            seed=1,
            phase="confirm",
            replicates=replicates,
            max_epochs=3,
            level=1e-3,
            sustain=1,
            backend=backend,
        )

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        alone = trained(plan((company[-1],)), company[-1])
        beside = trained(plan(company), company[-1])
    finally:
        torch.set_num_threads(before)
    for name, tensor in alone.items():
        np.testing.assert_array_equal(beside[name], tensor, name)  # one that is left empty is NaN in both
