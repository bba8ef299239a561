"""The predecessor's networks, trained here as it trained them, reach the losses that were measured with it.

It is bio_rnn_mem (Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011), run five times a
row of `MEASURED` on PyTorch 2.13: the marmoset's connectome at four neurons a region with parts from stick-breaking,
every edge backwards, values remapped by signed rank and left at the spectral radius that gives, gradients as they are.
Ours differ in what can't be drawn alike (trials, weights, order), in having one bias where `torch.nn.RNN` has two, and
in running in single precision.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from biotune.connectome import Connectome, load_connectome
from biotune.network import NetworkOptions
from biotune.training import Trial, TrialPlan

NULLS = {"connectome": "direction_reversed", "shuffled": "edges_shuffled"}

MEASURED = {
    # (nonlinearity, arm): validation loss at epochs 200 and 499 (counted from 0), least and largest of five runs
    ("tanh", "connectome"): {200: (1.7e-5, 7.9e-5), 499: (1.4e-5, 2.4e-5)},
    ("tanh", "shuffled"): {200: (1.3e-5, 2.1e-5), 499: (1.2e-5, 1.8e-5)},
    ("relu", "connectome"): {200: (6.7e-5, 5.8e-4), 499: (4.0e-6, 1.8e-5)},
    ("relu", "shuffled"): {200: (9.9e-5, 9.0e-4), 499: (5.7e-6, 1.6e-5)},
}

FACTOR = 3
"""How far our median may lie from the middle, in logarithms, of what was measured."""


@pytest.fixture(scope="module")
def marmoset() -> Connectome:
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the marmoset's connectome is needed: set BIOTUNE_DATA to a folder that has it")
    return load_connectome("marmoset")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices this small gain nothing from a second thread, and wait for it long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(marmoset: Connectome, nonlinearity: str, arm: str, *, replicates: int, epochs: int) -> np.ndarray:
    """Validation losses [epochs + 1, replicates]; row e + 1 is the predecessor's epoch e."""
    plan = TrialPlan(
        task={"name": "seq_mem", "pattern_length": 3},
        trials=500,
        train_share=0.8,
        batch=128,
        connectome=marmoset,
        topology={"neurons_per_region": 4, "target_sparsity": 0.8, "partition": "stick_breaking"},
        null={"name": NULLS[arm], "level": "neuron", "weights": "carried", "fraction": 1.0},
        network=NetworkOptions(
            initialisation="default",
            remap="signed",
            radius=None,
            nonlinearity=nonlinearity,
            optimizer="Adam",
            learning_rate=1e-4,
            gradient_clip=1e9,
        ),
        seed=1,
        phase="search",
        replicates=tuple(range(replicates)),
        max_epochs=epochs,
        level=1e-9,
        sustain=1,
    )
    trial = Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    return torch.stack(trial.loop.validation_losses).numpy()


def ratios(losses: np.ndarray, nonlinearity: str, arm: str) -> dict[int, float]:
    """Epoch -> our median over the middle of what was measured, for the epochs that were trained."""
    return {
        epoch: float(np.median(losses[epoch + 1]) / np.sqrt(low * high))
        for epoch, (low, high) in MEASURED[nonlinearity, arm].items()
        if epoch + 1 < len(losses)
    }


@pytest.mark.slow
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_predecessors_loss_is_reached_by_epoch_200(marmoset: Connectome, nonlinearity: str) -> None:
    losses = train(marmoset, nonlinearity, "connectome", replicates=1, epochs=201)
    assert losses[0, 0] > 0.05  # before training, about as good as guessing
    found = ratios(losses, nonlinearity, "connectome")
    assert found
    assert all(1 / FACTOR < ratio < FACTOR for ratio in found.values()), found


@pytest.mark.long
@pytest.mark.parametrize(("nonlinearity", "arm"), MEASURED, ids=lambda value: value)
def test_the_predecessors_losses_are_reached(marmoset: Connectome, nonlinearity: str, arm: str) -> None:
    found = ratios(train(marmoset, nonlinearity, arm, replicates=5, epochs=500), nonlinearity, arm)
    assert len(found) == 2
    assert all(1 / FACTOR < ratio < FACTOR for ratio in found.values()), found
