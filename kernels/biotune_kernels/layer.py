"""sparse_rnn, the sparse recurrent layer: checks its arguments and runs a pass on any backend.

Run eagerly, the pass is an autograd function of this file; compiled or traced, it is the operator of `operator.py`.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import once_differentiable

from biotune_kernels.backends import DEFINITION, NAMES, load
from biotune_kernels.contract import NONLINEARITIES, Nonlinearity
from biotune_kernels.operator import sparse_rnn_operator
from biotune_kernels.passes import Pass, inward, outward, run_backward, run_forward, wanted_of
from biotune_kernels.pattern import SparsePattern
from biotune_kernels.select import resolve


def sparse_rnn(
    inputs: Tensor,
    values: Tensor,
    pattern: SparsePattern,
    weight_ih: Tensor,
    bias: Tensor,
    nonlinearity: Nonlinearity = "tanh",
    backend: str = "auto",
    hidden_0: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Hidden states of a population of Elman networks whose recurrent matrices are sparse.

    h_t = f(W_ih x_t + W_hh h_{t-1} + b),  W_hh[target, source] = values,  h_0 = 0 unless given.

    Differentiable by `values`, `weight_ih`, `bias`, `inputs` and `hidden_0` (once; twice with `backend="reference"`).

    Args:
        inputs: float32 or float64 [population, batch, time, input_size].
        values: [population, nnz], in the order of the pattern's edges.
        pattern: the edges.
        weight_ih: [population, size, input_size].
        bias: [population, size].
        nonlinearity: "tanh" or "relu"; or uint8 [population], 0 for a network that has tanh, 1 for one that has relu.
        backend: a name of `available_backends()`, used without verifying it (see `require_backend`), or "auto": the
            fastest for these shapes on this machine, of those that compute the right result here.
        hidden_0: [population, batch, size], or None for zeros.
        first: the first step whose state is returned. If a loss reads only the last steps, autograd then builds no
            gradient of zeros for the others, which would take as long as a small network's step.

    Returns:
        hidden [population, batch, time - first, size]; in memory, time comes first and batch last.

    Raises:
        ValueError: an argument of the wrong shape, dtype or device, or a backend that can't be used here and why.

    Source: Elman 1990, Cognitive Science 14:179.
    """
    _check(inputs, values, pattern, weight_ih, bias, nonlinearity, backend, hidden_0, first)
    if backend == DEFINITION:
        inner = inward(inputs), values, weight_ih, bias, None if hidden_0 is None else hidden_0.mT
        return outward(load(DEFINITION).forward(*inner, pattern, nonlinearity)[first:])
    if torch.compiler.is_compiling() or isinstance(inputs, FakeTensor):
        if isinstance(nonlinearity, Tensor):
            raise ValueError("nonlinearity: compiled, all networks of a population have the same; give its name")
        edges = pattern.target, pattern.source, pattern.size
        return sparse_rnn_operator(inputs, values, weight_ih, bias, hidden_0, *edges, nonlinearity, backend)[
            :, :, first:
        ]
    how = Pass(load(resolve(backend, inputs, pattern, nonlinearity)), pattern, nonlinearity)
    return cast(Tensor, _Eager.apply(inputs, values, weight_ih, bias, hidden_0, how, first))


class _Eager(torch.autograd.Function):
    """The operator without PyTorch's dispatcher in Python, which alone takes longer than a small network's step."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        values: Tensor,
        weight_ih: Tensor,
        bias: Tensor,
        hidden_0: Tensor | None,
        how: Pass,
        first: int,
    ) -> Tensor:
        hidden = run_forward(how, inputs, values, weight_ih, bias, hidden_0)
        ctx.how = how
        ctx.save_for_backward(hidden, inputs, values, weight_ih, hidden_0)
        return hidden[:, :, first:] if first else hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        found = run_backward(ctx.how, wanted_of(ctx.needs_input_grad[:5]), grad, *ctx.saved_tensors)
        return found.inputs, found.values, found.weight_ih, found.bias, found.hidden_0, None, None


def _check(
    inputs: Tensor,
    values: Tensor,
    pattern: SparsePattern,
    weight_ih: Tensor,
    bias: Tensor,
    nonlinearity: Nonlinearity,
    backend: str,
    hidden_0: Tensor | None,
    first: int,
) -> None:
    if not isinstance(pattern, SparsePattern):
        raise ValueError(f"pattern: expected a SparsePattern, got {type(pattern).__name__}")
    if isinstance(nonlinearity, Tensor):
        if nonlinearity.dtype != torch.uint8 or nonlinearity.shape != (pattern.population,):
            found = f"{nonlinearity.dtype} {list(nonlinearity.shape)}"
            raise ValueError(f"nonlinearity: expected uint8 [population] = [{pattern.population}], got {found}")
    elif nonlinearity not in NONLINEARITIES:
        raise ValueError(f"nonlinearity: expected one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
    if backend != "auto" and backend not in NAMES:
        raise ValueError(f"backend: expected auto or one of {', '.join(NAMES)}, got {backend!r}")
    tensors = {"inputs": inputs, "values": values, "weight_ih": weight_ih, "bias": bias}
    if hidden_0 is not None:
        tensors["hidden_0"] = hidden_0
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name}: expected a tensor, got {type(tensor).__name__}")
    if inputs.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"inputs: expected float32 or float64, got {inputs.dtype}")
    if inputs.dim() != 4 or 0 in inputs.shape[:3]:
        raise ValueError(
            f"inputs: expected [population, batch, time, input_size], the first three 1 or more, "
            f"got {list(inputs.shape)}"
        )
    population, batch, time, input_size = inputs.shape
    if not 0 <= first < time:
        raise ValueError(f"first: expected a step from 0 to {time - 1}, got {first}")
    if pattern.population != population:
        raise ValueError(
            f"inputs: a population of {population} (shape {list(inputs.shape)}), but the pattern has "
            f"{pattern.population}; both must be the same"
        )
    expected = {
        "values": ("[population, nnz]", (population, pattern.nnz)),
        "weight_ih": ("[population, size, input_size]", (population, pattern.size, input_size)),
        "bias": ("[population, size]", (population, pattern.size)),
        "hidden_0": ("[population, batch, size]", (population, batch, pattern.size)),
    }
    for name, tensor in tensors.items():
        if name in expected and tensor.shape != expected[name][1]:
            axes, shape = expected[name]
            raise ValueError(f"{name}: expected {axes} = {list(shape)}, got {list(tensor.shape)}")
        if tensor.dtype != inputs.dtype:
            raise ValueError(f"{name}: {tensor.dtype}, but inputs is {inputs.dtype}; all must be the same")
        if tensor.device != inputs.device:
            raise ValueError(f"{name}: on {tensor.device}, but inputs is on {inputs.device}; all must be the same")
    if pattern.device != inputs.device:
        raise ValueError(
            f"pattern: on {pattern.device}, but inputs is on {inputs.device}; move it with pattern.to(...)"
        )
