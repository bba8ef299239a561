"""The benchmark's peers: what a user would pick instead of the sparse core, forward and backward.

A peer takes a pattern and the tensors of one network (no population axis), or of all if it runs them together, and
returns a function that runs it once and returns the gradient of the recurrent weights.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

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
        runner: makes the function that runs one network once, or all.
        unsuitable: why the peer is not tried on the networks of a pattern; None if it is.
        together: whether it runs a population together.
        recordable: whether its pass can be recorded in a CUDA graph.
    """

    runner: Callable[[SparsePattern, Tensor, Tensor, Tensor, Tensor, Tensor], Run]
    unsuitable: Callable[[SparsePattern], str | None]
    together: bool = False
    recordable: bool = True


def dense_indexed(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """`nn.RNN` with the absent edges at zero, their gradient set to zero by index, as the predecessor does."""
    rnn, absent = _dense(pattern, values, weight_ih, bias)
    index = absent.nonzero(as_tuple=True)

    def run() -> Tensor:
        gradients = torch.autograd.grad(rnn(x)[0], list(rnn.parameters()), grad)
        gradients[1][index] = 0.0
        return gradients[1]

    return run


def dense_masked(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """`nn.RNN` with the absent edges at zero, their gradient multiplied by a mask: the fastest dense way."""
    rnn, absent = _dense(pattern, values, weight_ih, bias)
    mask = (~absent).to(x.dtype)

    def run() -> Tensor:
        gradients = torch.autograd.grad(rnn(x)[0], list(rnn.parameters()), grad)
        return gradients[1].mul_(mask)

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


def batched_dense(
    pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor
) -> Run:
    """All networks as one batch of dense matrices, the gradient multiplied by a mask."""
    size, place = pattern.size, pattern.target * pattern.size + pattern.source
    full = values.new_zeros(len(values), size**2)
    mask = full.scatter(1, place, 1.0).view(-1, size, size)
    weight_hh = full.scatter(1, place, values).view(-1, size, size)
    parameters = [tensor.clone().requires_grad_() for tensor in (weight_hh, weight_ih, bias)]
    weight_hh, weight_ih, bias = parameters
    given, towards = x.permute(2, 0, 3, 1), grad.permute(2, 0, 3, 1)

    def run() -> Tensor:
        drive = torch.matmul(weight_ih, given) + bias[:, :, None]
        state, states = None, []
        for step in drive:
            state = torch.tanh(step if state is None else torch.baddbmm(step, weight_hh, state))
            states.append(state)
        return torch.autograd.grad(torch.stack(states), parameters, towards)[0] * mask

    return run


def jax_scan(pattern: SparsePattern, values: Tensor, weight_ih: Tensor, bias: Tensor, x: Tensor, grad: Tensor) -> Run:
    """The same in JAX: `lax.scan` over time, `vmap` over networks, compiled; as exact as PyTorch is asked to be."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    import jax.numpy as jnp

    place = pattern.target * pattern.size + pattern.source
    full = values.new_zeros(len(values), pattern.size**2)
    given = [
        jnp.asarray(tensor.cpu().numpy(), device=jax.devices()[0])
        for tensor in (
            full.scatter(1, place, values).view(-1, pattern.size, pattern.size),
            full.scatter(1, place, 1.0).view(-1, pattern.size, pattern.size),
            weight_ih,
            bias,
            x.permute(0, 2, 3, 1),
            grad.permute(0, 2, 3, 1),
        )
    ]

    def loss(weights: Any, inputs: Any, towards: Any) -> Any:
        weight_hh, weight_ih, bias = weights

        def step(state: Any, at: Any) -> Any:
            state = jnp.tanh(weight_hh @ state + weight_ih @ at + bias[:, None])
            return state, state

        _, states = jax.lax.scan(step, jnp.zeros((weight_hh.shape[0], inputs.shape[-1]), inputs.dtype), inputs)
        return (states * towards).sum()

    @jax.jit
    def gradient(weight_hh: Any, mask: Any, weight_ih: Any, bias: Any, inputs: Any, towards: Any) -> Any:
        found = jax.vmap(jax.grad(loss))((weight_hh, weight_ih, bias), inputs, towards)
        return found[0] * mask, found[1], found[2]

    precision = "highest" if torch.get_float32_matmul_precision() == "highest" else "default"

    def run() -> Any:
        with jax.default_matmul_precision(precision):
            return gradient(*given)[0]

    return run


def _too_large(pattern: SparsePattern) -> str | None:
    gib = 4 * pattern.population * pattern.size**2 / 2**30
    return f"its matrix alone would take {gib:.0f} GiB" if gib > _MOST_GIB else None


def _full_gradient(pattern: SparsePattern) -> str | None:
    return _too_large(pattern) if pattern.device.type == "cuda" else None  # PyTorch makes a full gradient there


def _not_installed(pattern: SparsePattern) -> str | None:
    return load("torch_sparse").unusable(pattern.device, torch.float32)


def _no_jax(pattern: SparsePattern) -> str | None:
    if importlib.util.find_spec("jax") is None:
        return "JAX isn't installed; pip install jax"
    import jax

    if pattern.device.type == "cuda" and jax.default_backend() != "gpu":
        return "this JAX sees no GPU"
    return _too_large(pattern)


PEERS = {
    "nn.RNN, index": Peer(dense_indexed, _too_large),
    "nn.RNN, mask": Peer(dense_masked, _too_large),
    "dense, batched": Peer(batched_dense, _too_large, together=True),
    "JAX": Peer(jax_scan, _no_jax, together=True, recordable=False),
    "CSR, autograd": Peer(torch_csr_autograd, _full_gradient),
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

    def run() -> Tensor:
        state: Tensor | None = None
        states: list[Tensor] = []
        for t in range(x.shape[1]):
            given = weight_ih @ x[:, t].mT + bias[:, None]
            state = torch.tanh(given if state is None else given + times(state))
            states.append(state)
        return torch.autograd.grad(torch.stack(states), parameters, grad.permute(1, 2, 0), allow_unused=True)[0]

    return run
