"""sparse_rnn: the sparse recurrent layer as a PyTorch operator, whatever the backend.

The public layout is [population, batch, time, ...], a backend's is [time, population, ..., batch] (see `backend.py`).
The hidden states are returned as a view of the backend's layout, so that nothing is copied on the way out.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import once_differentiable

from kernels.backend import GRADIENTS, NAMES, NONLINEARITIES, load
from kernels.pattern import SparsePattern, pattern_of
from kernels.select import resolve


def sparse_rnn(
    inputs: Tensor,
    values: Tensor,
    pattern: SparsePattern,
    weight_ih: Tensor,
    bias: Tensor,
    nonlinearity: str = "tanh",
    backend: str = "auto",
    hidden_0: Tensor | None = None,
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
        nonlinearity: "tanh" or "relu".
        backend: a name of `backends()`, or "auto": the fastest for these shapes on this machine.
        hidden_0: [population, batch, size], or None for zeros.

    Returns:
        hidden [population, batch, time, size]; in memory, time comes first and batch last.

    Raises:
        ValueError: an argument of the wrong shape, dtype or device, or a backend that can't be used here and why.

    Source: Elman 1990, Cognitive Science 14:179.
    """
    _check(inputs, values, pattern, weight_ih, bias, nonlinearity, backend, hidden_0)
    if backend == "reference":
        inner = _inward(inputs), values, weight_ih, bias, None if hidden_0 is None else hidden_0.mT
        return _outward(load("reference").forward(*inner, pattern, nonlinearity))
    arguments = (
        inputs,
        values,
        weight_ih,
        bias,
        hidden_0,
        pattern.target,
        pattern.source,
        pattern.size,
        nonlinearity,
        backend,
    )
    if torch.compiler.is_compiling() or isinstance(inputs, FakeTensor):
        return _sparse_rnn(*arguments)
    return cast(Tensor, _Eager.apply(*arguments))


class _Eager(torch.autograd.Function):
    """The operator below without its dispatcher, which takes longer than a small network's step (70 against 210 µs)."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        hidden = _forward(*arguments)
        _remember(ctx, arguments, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _differentiate(ctx, grad, _backward)


def _forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    target: Tensor,
    source: Tensor,
    size: int,
    nonlinearity: str,
    backend: str,
) -> Tensor:
    pattern = pattern_of(target, source, size)
    name = resolve(backend, inputs, pattern, nonlinearity)
    hidden = load(name).forward(
        _inward(inputs),
        values.contiguous(),
        weight_ih.contiguous(),
        bias.contiguous(),
        None if hidden_0 is None else hidden_0.mT,
        pattern,
        nonlinearity,
    )
    return _outward(hidden)


_sparse_rnn = torch.library.custom_op("kernels::sparse_rnn", _forward, mutates_args=())


@_sparse_rnn.register_fake
def _(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    target: Tensor,
    source: Tensor,
    size: int,
    nonlinearity: str,
    backend: str,
) -> Tensor:
    population, batch, time, _ = inputs.shape
    return _outward(inputs.new_empty(time, population, size, batch))


def _backward(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    target: Tensor,
    source: Tensor,
    size: int,
    nonlinearity: str,
    backend: str,
    wanted: Sequence[bool],
) -> list[Tensor]:
    """The gradients named in `GRADIENTS`, in that order; an empty tensor for each that is not wanted."""
    pattern = pattern_of(target, source, size)
    name = resolve(backend, inputs, pattern, nonlinearity)
    gradients = load(name).backward(
        _inward(grad),
        _inward(hidden),
        _inward(inputs),
        values.contiguous(),
        weight_ih.contiguous(),
        None if hidden_0 is None else hidden_0.mT,
        pattern,
        nonlinearity,
        frozenset(name for name, asked in zip(GRADIENTS, wanted, strict=True) if asked),
    )
    like = (values, weight_ih, weight_ih, inputs, inputs)
    outer = (_same, _same, _same, _outward, _transposed)
    return [
        turn(gradient).contiguous() if asked and gradient is not None else tensor.new_empty(0)
        for gradient, turn, tensor, asked in zip(gradients, outer, like, wanted, strict=True)
    ]


_sparse_rnn_backward = torch.library.custom_op("kernels::sparse_rnn_backward", _backward, mutates_args=())


@_sparse_rnn_backward.register_fake
def _(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    target: Tensor,
    source: Tensor,
    size: int,
    nonlinearity: str,
    backend: str,
    wanted: Sequence[bool],
) -> list[Tensor]:
    population, batch = inputs.shape[:2]
    shapes = (values.shape, weight_ih.shape, (population, size), inputs.shape, (population, batch, size))
    return [inputs.new_empty(shape if asked else (0,)) for shape, asked in zip(shapes, wanted, strict=True)]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    sequence, values, weight_ih, _, hidden_0, target, source, ctx.size, ctx.nonlinearity, ctx.backend = inputs
    ctx.save_for_backward(output, sequence, values, weight_ih, hidden_0, target, source)


def _differentiate(ctx: Any, grad: Tensor, backward: Callable[..., list[Tensor]]) -> tuple[Tensor | None, ...]:
    inputs_wanted, values_wanted, weight_wanted, bias_wanted, hidden_0_wanted = ctx.needs_input_grad[:5]
    values, weight_ih, bias, inputs, hidden_0 = backward(
        grad,
        *ctx.saved_tensors,
        ctx.size,
        ctx.nonlinearity,
        ctx.backend,
        [values_wanted, weight_wanted, bias_wanted, inputs_wanted, hidden_0_wanted],
    )
    found = (inputs, values, weight_ih, bias, hidden_0)
    return *(g if asked else None for g, asked in zip(found, ctx.needs_input_grad, strict=False)), *(None,) * 5


_sparse_rnn.register_autograd(
    lambda ctx, grad: _differentiate(ctx, grad, _sparse_rnn_backward), setup_context=_remember
)


def _inward(tensor: Tensor) -> Tensor:
    """[population, batch, time, n] as a view [time, population, n, batch]."""
    return tensor.permute(2, 0, 3, 1)


def _outward(tensor: Tensor) -> Tensor:
    """[time, population, n, batch] as a view [population, batch, time, n]."""
    return tensor.permute(1, 3, 0, 2)


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.mT


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _check(
    inputs: Tensor,
    values: Tensor,
    pattern: SparsePattern,
    weight_ih: Tensor,
    bias: Tensor,
    nonlinearity: str,
    backend: str,
    hidden_0: Tensor | None,
) -> None:
    if not isinstance(pattern, SparsePattern):
        raise ValueError(f"pattern: expected a SparsePattern, got {type(pattern).__name__}")
    if nonlinearity not in NONLINEARITIES:
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
    population, batch, _, input_size = inputs.shape
    if pattern.population != population:
        raise ValueError(
            f"inputs: a population of {population} (shape {list(inputs.shape)}), where the pattern has "
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
            raise ValueError(f"{name}: {tensor.dtype}, where inputs is {inputs.dtype}; all must be the same")
        if tensor.device != inputs.device:
            raise ValueError(f"{name}: on {tensor.device}, where inputs is on {inputs.device}; all must be the same")
    if pattern.device != inputs.device:
        raise ValueError(
            f"pattern: on {pattern.device}, where inputs is on {inputs.device}; move it with pattern.to(...)"
        )
