"""The benchmark's peers: what a user would pick instead of the sparse core, forward and backward for one network.

A peer takes a pattern and the tensors of one network (no population axis) and returns a function that runs it once.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biotune_kernels.backends import load
from biotune_kernels.pattern import SparsePattern

Run = Callable[[], object]

_MOST_GIB = 2.0
"""Dense matrices that take more are not tried."""


class Peer(NamedTuple):
    """What a user would pick.

    Attributes:
        runner: makes the function that runs one network once.
        unsuitable: why the peer is not tried on the networks of a pattern; None if it is.
    """

    runner: Callable[[SparsePattern, Tensor, Tensor, Tensor, Tensor, Tensor], Run]
    unsuitable: Callable[[SparsePattern], str | None]


def dense_indexed(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """`nn.RNN` with the absent edges at zero, their gradient set to zero by index, as the predecessor does."""
    rnn, absent = _dense(pattern, values, weight_ih, bias)
    index = absent.nonzero(as_tuple=True)

    def run() -> None:
        gradients = torch.autograd.grad(rnn(x)[0], list(rnn.parameters()), grad)
        gradients[1][index] = 0.0

    return run


def dense_masked(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """`nn.RNN` with the absent edges at zero, their gradient multiplied by a mask: the fastest dense way."""
    rnn, absent = _dense(pattern, values, weight_ih, bias)
    mask = (~absent).to(x.dtype)

    def run() -> None:
        gradients = torch.autograd.grad(rnn(x)[0], list(rnn.parameters()), grad)
        gradients[1].mul_(mask)

    return run


def torch_csr_autograd(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """A `torch.sparse` CSR matrix in a loop over time, differentiated by autograd."""
    rows = pattern.by_row
    order = torch.arange(pattern.nnz, device=x.device) if rows.order is None else rows.order[0]
    matrix = torch.sparse_csr_tensor(
        rows.start[0], rows.other[0], values[order], size=(pattern.size, pattern.size), check_invariants=False
    ).requires_grad_()
    parameters = [matrix, weight_ih.clone().requires_grad_(), bias.clone().requires_grad_()]
    return _loop(lambda state: matrix @ state, parameters, x, grad)


def torch_sparse_autograd(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """`torch_sparse.spmm` in a loop over time, differentiated by autograd."""
    from torch_sparse import spmm

    edges = torch.stack((pattern.target[0], pattern.source[0]))
    parameters = [tensor.clone().requires_grad_() for tensor in (values, weight_ih, bias)]
    return _loop(lambda state: spmm(edges, parameters[0], pattern.size, pattern.size, state), parameters, x, grad)


def _too_large(pattern: SparsePattern) -> str | None:
    gib = 4 * pattern.population * pattern.size**2 / 2**30
    return f"its matrix alone would take {gib:.0f} GiB" if gib > _MOST_GIB else None


def _not_installed(pattern: SparsePattern) -> str | None:
    return load("torch_sparse").unusable(pattern.device, torch.float32)


PEERS = {
    "nn.RNN, index": Peer(dense_indexed, _too_large),
    "nn.RNN, mask": Peer(dense_masked, _too_large),
    "CSR, autograd": Peer(torch_csr_autograd, lambda pattern: None),
    "torch_sparse, autograd": Peer(torch_sparse_autograd, _not_installed),
}


def _dense(pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor) -> tuple[nn.RNN, Tensor]:
    size = pattern.size
    rnn = nn.RNN(weight_ih.shape[1], size, batch_first=True, device=values.device, dtype=values.dtype)
    absent = torch.ones(size, size, dtype=torch.bool, device=values.device)
    absent[pattern.target[0], pattern.source[0]] = False
    with torch.no_grad():
        weight_hh = values.new_zeros(size, size)
        weight_hh[pattern.target[0], pattern.source[0]] = values
        for parameter, value in zip(
            rnn.parameters(), (weight_ih, weight_hh, bias, torch.zeros_like(bias)), strict=True
        ):
            parameter.copy_(value)
    return rnn, absent


def _loop(times: Callable[[Tensor], Tensor], parameters: list[Tensor], x: Tensor, grad: Tensor) -> Run:
    _, weight_ih, bias = parameters

    def run() -> None:
        state: Tensor | None = None
        states: list[Tensor] = []
        for t in range(x.shape[1]):
            given = weight_ih @ x[:, t].mT + bias[:, None]
            state = torch.tanh(given if state is None else given + times(state))
            states.append(state)
        torch.autograd.grad(torch.stack(states), parameters, grad.permute(1, 2, 0), allow_unused=True)

    return run
