"""Sums in a fixed order, and the readout that is made of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biotune.network.sums import fixed_order_sum, readout


@given(rows=st.integers(1, 5), count=st.integers(1, 70), place=st.integers(0, 4))
def test_a_row_has_the_same_sum_whatever_the_other_rows(rows: int, count: int, place: int) -> None:
    values = torch.randn(rows, count, generator=torch.Generator().manual_seed(count))
    alone = fixed_order_sum(values[place % rows].clone())
    assert torch.equal(fixed_order_sum(values)[place % rows], alone)
    torch.testing.assert_close(alone.double(), values[place % rows].double().sum(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("steps", "population", "neurons", "trials", "outputs"), [(3, 2, 5, 4, 1), (1, 2, 7, 3, 3)])
def test_the_readout_is_linear_and_so_are_its_gradients(
    steps: int, population: int, neurons: int, trials: int, outputs: int
) -> None:
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    states, weight, bias = (
        random(steps, population, neurons, trials),
        random(population, outputs, neurons),
        random(population, outputs),
    )
    torch.testing.assert_close(readout(states, weight, bias), weight @ states + bias[:, :, None])
    assert torch.autograd.gradcheck(readout, (states, weight, bias))
    assert torch.autograd.gradcheck(fixed_order_sum, (states,))
