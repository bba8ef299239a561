"""Which neurons the readout sees."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.network import read_neurons
from biotune.network.readout import states_of

SHARES = st.floats(0.001, 1, exclude_max=True)


@given(size=st.integers(1, 500), share=SHARES, larger=SHARES, seed=st.integers(0, 99))
def test_a_share_is_of_neurons_in_order_and_a_larger_one_has_them_too(
    size: int, share: float, larger: float, seed: int
) -> None:
    assume(share <= larger and round(share * size) > 0)
    read, more = (read_neurons(size, one, np.random.default_rng(seed)) for one in (share, larger))
    assert read is not None
    assert more is not None
    assert len(read) == round(share * size)
    assert (np.diff(read) > 0).all()
    assert 0 <= read[0] <= read[-1] < size
    assert set(read) <= set(more)


def test_every_neuron_is_as_likely_to_be_read() -> None:
    generator = np.random.default_rng(0)
    counted = np.zeros(20)
    for _ in range(2000):
        counted[read_neurons(20, 0.4, generator)] += 1
    assert np.abs(counted / 2000 - 0.4).max() < 0.05  # 4.5 standard deviations


def test_all_are_read_without_a_draw_and_none_is_refused() -> None:
    assert read_neurons(5, 1, np.random.default_rng(0)) is None
    with pytest.raises(UserError, match=r"network\.readout: 0\.05 of 10 neurons comes to none; give a larger share"):
        read_neurons(10, 0.05, np.random.default_rng(0))


@given(
    steps=st.integers(1, 3),
    population=st.integers(1, 3),
    size=st.integers(1, 6),
    trials=st.integers(1, 3),
    data=st.data(),
)
def test_the_states_are_those_of_each_networks_own_neurons(
    steps: int, population: int, size: int, trials: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, size))
    neurons = torch.stack([torch.randperm(size)[:count] for _ in range(population)])
    states = torch.randn(steps, population, size, trials, requires_grad=True)
    found = states_of(neurons, states)
    expected = torch.stack([states[:, place, neurons[place]] for place in range(population)], 1)
    assert torch.equal(found, expected)
    weight = torch.randn(found.shape)
    assert torch.equal(*(torch.autograd.grad((of * weight).sum(), states)[0] for of in (found, expected)))
