"""The definition of the sparse recurrent layer in plain torch; every backend is tested against it.

Differentiable by autograd itself, in float32 and float64, as often as one likes.
"""

import torch
from torch import Tensor

from kernels.backend import Gradients
from kernels.pattern import SparsePattern


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    return None


def independent(device: torch.device) -> bool:
    return False  # autograd sums over the population as it likes


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
) -> Tensor:
    """h_t = f(W_ih x_t + W_hh h_{t-1} + b), where W_hh[target, source] = values; shapes as in `backend.py`."""
    time, population, _, batch = inputs.shape
    target = pattern.target[:, :, None].expand(-1, -1, batch)
    source = pattern.source[:, :, None].expand(-1, -1, batch)
    state = inputs.new_zeros(population, pattern.size, batch) if hidden_0 is None else hidden_0
    states = []
    for t in range(time):
        messages = values[:, :, None] * state.gather(1, source)
        recurrent = torch.zeros_like(state).scatter_add(1, target, messages)
        state = getattr(torch, nonlinearity)(weight_ih @ inputs[t] + recurrent + bias[:, :, None])
        states.append(state)
    return torch.stack(states)


def backward(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
    wanted: frozenset[str],
) -> Gradients:
    """By autograd, which `sparse_rnn` therefore leaves to it."""
    raise NotImplementedError("the reference is differentiated by autograd, through its forward")
