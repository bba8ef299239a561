"""The recurrence around three matrix products, shared by the backends that call a library for them.

forward    h_t = f(d_t + W h_{t-1}),  d_t = W_ih x_t + b for all steps at once
backward   g_t = f'(h_t) (∂L/∂h_t + Wᵀ g_{t+1}),  then  ∂L/∂W = Σ_t g_t h_{t-1}ᵀ  on the edges, once over all steps
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from biotune_kernels.contract import Gradients, Nonlinearity, is_relu
from biotune_kernels.pattern import SparsePattern


class Products(Protocol):
    """Products with the recurrent matrices of a population; states are [population, size, batch]."""

    def times(self, state: Tensor, add: Tensor) -> Tensor:
        """add + W state."""
        ...

    def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
        """add + Wᵀ state."""
        ...

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        """Σ_t left_t right_tᵀ at every edge, [population, nnz]; left, right [time, population, size, batch]."""
        ...


def functions(
    products_of: Callable[[SparsePattern, Tensor], Products],
) -> tuple[Callable[..., Tensor], Callable[..., Gradients]]:
    """The `forward` and `backward` of a backend, from what makes its products: a function of pattern and values."""

    def backend_forward(
        inputs: Tensor,
        values: Tensor,
        weight_ih: Tensor,
        bias: Tensor,
        hidden_0: Tensor | None,
        pattern: SparsePattern,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        return forward(products_of(pattern, values), inputs, weight_ih, bias, hidden_0, nonlinearity)

    def backend_backward(
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
        products = products_of(pattern, values)
        return backward(products, grad, hidden, inputs, weight_ih, hidden_0, nonlinearity, wanted)

    return backend_forward, backend_backward


def forward(
    products: Products,
    inputs: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    nonlinearity: Nonlinearity,
) -> Tensor:
    """All hidden states [time, population, size, batch]."""
    # the input's part of each step's preactivation; the step's state replaces it below
    hidden = torch.matmul(weight_ih, inputs).add_(bias[:, :, None])
    state = hidden_0
    for step in hidden:
        pre = step if state is None else products.times(state, add=step)
        state = _activate(pre, step, nonlinearity)
    return hidden


def backward(
    products: Products,
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    nonlinearity: Nonlinearity,
    wanted: frozenset[str],
) -> Gradients:
    """The wanted gradients; all follow from the gradient of each step's preactivation."""
    steps = hidden.shape[0]
    first = steps - grad.shape[0]
    nothing = torch.zeros_like(hidden[0]) if first or "hidden_0" in wanted else hidden[0]
    grad_pre = torch.empty_like(hidden)  # of each step's preactivation
    for t in reversed(range(steps)):
        from_loss = grad[t - first] if t >= first else nothing
        total = from_loss if t == steps - 1 else products.transposed_times(grad_pre[t + 1], add=from_loss)
        _through(total, hidden[t], grad_pre[t], nonlinearity)
    return Gradients(
        values=_edge_gradient(products, grad_pre, hidden, hidden_0) if "values" in wanted else None,
        weight_ih=outer(grad_pre, inputs) if "weight_ih" in wanted else None,
        bias=grad_pre.sum(dim=(0, 3)) if "bias" in wanted else None,
        inputs=torch.matmul(weight_ih.mT, grad_pre) if "inputs" in wanted else None,
        hidden_0=products.transposed_times(grad_pre[0], add=nothing) if "hidden_0" in wanted else None,
    )


def _activate(pre: Tensor, state: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    """f(pre), written to `state`."""
    if isinstance(nonlinearity, Tensor):
        relu = pre.clamp_min(0)
        return torch.where(is_relu(nonlinearity), relu, torch.tanh(pre, out=state), out=state)
    return torch.tanh(pre, out=state) if nonlinearity == "tanh" else torch.clamp_min(pre, 0, out=state)


def _through(total: Tensor, state: Tensor, grad_pre: Tensor, nonlinearity: Nonlinearity) -> None:
    """total * f', written to `grad_pre`."""
    by_tanh, by_relu = torch.ops.aten.tanh_backward, torch.ops.aten.threshold_backward
    if isinstance(nonlinearity, Tensor):
        # into a tensor laid out as it is for one name: PyTorch's rounding depends on that
        by_tanh.grad_input(total, state, grad_input=grad_pre)
        relu = by_relu.grad_input(total, state, 0, grad_input=torch.empty_like(grad_pre))
        torch.where(is_relu(nonlinearity), relu, grad_pre, out=grad_pre)
    elif nonlinearity == "tanh":
        by_tanh.grad_input(total, state, grad_input=grad_pre)
    else:
        by_relu.grad_input(total, state, 0, grad_input=grad_pre)


def outer(left: Tensor, right: Tensor) -> Tensor:
    """Σ_t left_t right_tᵀ, [population, rows, columns]."""
    total = left.new_zeros(left.shape[1], left.shape[2], right.shape[2])
    for left_t, right_t in zip(left, right, strict=True):
        total.baddbmm_(left_t, right_t.mT)
    return total


def _edge_gradient(products: Products, grad_pre: Tensor, hidden: Tensor, hidden_0: Tensor | None) -> Tensor:
    if hidden_0 is None:
        return products.edge_products(grad_pre[1:], hidden[:-1])
    return products.edge_products(grad_pre, torch.cat((hidden_0[None], hidden[:-1])))
