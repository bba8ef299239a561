"""The definition of the sparse recurrent layer in plain torch; every backend is tested against it, and verified by it.

In float32 and float64. `sparse_rnn` lets autograd differentiate `forward`, so that derivatives of any order exist;
`backward` is the derivative that the other backends are compared with.
"""

import torch
from torch import Tensor

from biotune_kernels.contract import Gradients, Nonlinearity, is_relu
from biotune_kernels.pattern import SparsePattern

_MOST_PRODUCTS = 4e7
"""Edges times batch times steps, of all networks, up to which keeping every product is no burden."""


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    return None


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    products = pattern.population * pattern.nnz * batch * time
    if products > _MOST_PRODUCTS:
        return f"it would keep the product of every edge and state for autograd: {products:.1e} numbers"
    return None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return False  # in which order autograd sums may depend on the population


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    """h_t = f(W_ih x_t + W_hh h_{t-1} + b), where W_hh[target, source] = values; shapes as in `contract.py`."""
    time, population, _, batch = inputs.shape
    state = inputs.new_zeros(population, pattern.size, batch) if hidden_0 is None else hidden_0
    target, source = _rows(pattern)
    states = []
    for t in range(time):
        recurrent = _carried(state, values, source, target)
        state = _activate(weight_ih @ inputs[t] + recurrent + bias[:, :, None], nonlinearity)
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
    nonlinearity: Nonlinearity,
    wanted: frozenset[str],
) -> Gradients:
    """g_t = f'(h_t) (∂L/∂h_t + W_hhᵀ g_{t+1}); all gradients follow from it:

    ∂L/∂values = Σ_t g_t[target] h_{t-1}[source],  ∂L/∂W_ih = Σ_t g_t x_tᵀ,  ∂L/∂b = Σ_t g_t,  ∂L/∂x_t = W_ihᵀ g_t
    """
    steps = len(hidden)
    first = steps - len(grad)
    target, source = _rows(pattern)
    before = torch.zeros_like(hidden[0]) if hidden_0 is None else hidden_0
    total = torch.zeros_like(hidden[0])
    of_values, of_weight_ih, of_bias = torch.zeros_like(values), torch.zeros_like(weight_ih), total.sum(2)
    of_inputs = []
    for t in reversed(range(steps)):
        if t >= first:
            total = total + grad[t - first]
        h, previous = hidden[t], hidden[t - 1] if t else before
        grad_pre = _through(total, h, nonlinearity)
        of_values += (_at(grad_pre, target) * _at(previous, source)).sum(1).view_as(values)
        of_weight_ih += grad_pre @ inputs[t].mT
        of_bias += grad_pre.sum(2)
        of_inputs.append(weight_ih.mT @ grad_pre)
        total = _carried(grad_pre, values, target, source)
    return Gradients(of_values, of_weight_ih, of_bias, torch.stack(of_inputs[::-1]), total)


def _activate(pre: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    if isinstance(nonlinearity, Tensor):
        return torch.where(is_relu(nonlinearity), torch.relu(pre), torch.tanh(pre))
    return torch.relu(pre) if nonlinearity == "relu" else torch.tanh(pre)


def _through(total: Tensor, h: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    by_relu, by_tanh = torch.where(h <= 0, 0, total), (1 - h.square()) * total
    if isinstance(nonlinearity, Tensor):
        return torch.where(is_relu(nonlinearity), by_relu, by_tanh)
    return by_relu if nonlinearity == "relu" else by_tanh


def _rows(pattern: SparsePattern) -> tuple[Tensor, Tensor]:
    """The targets and the sources of all networks' edges, numbered through the whole population."""
    offset = torch.arange(pattern.population, device=pattern.device)[:, None] * pattern.size
    return (pattern.target + offset).flatten(), (pattern.source + offset).flatten()


def _at(state: Tensor, rows: Tensor) -> Tensor:
    """The state [population, size, batch] at one end of each edge, [population * nnz, batch]."""
    return state.flatten(0, 1).index_select(0, rows)


def _carried(state: Tensor, values: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """For each neuron, the sum over the edges that have it in `others` of value times the state in `rows`."""
    messages = values.flatten()[:, None] * _at(state, rows)
    return torch.zeros_like(state).flatten(0, 1).index_add(0, others, messages).view_as(state)
