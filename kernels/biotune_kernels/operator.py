"""sparse_rnn as an operator of `torch.library`: the form in which `torch.compile` and other tracers see it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from biotune_kernels.passes import outward, pass_of, run_backward, run_forward, wanted_of


@torch.library.custom_op("biotune_kernels::sparse_rnn", mutates_args=())
def sparse_rnn_operator(
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
    how = pass_of(inputs, target, source, size, nonlinearity, backend)
    return run_forward(how, inputs, values, weight_ih, bias, hidden_0)


@sparse_rnn_operator.register_fake
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
    return outward(inputs.new_empty(time, population, size, batch))


@torch.library.custom_op("biotune_kernels::sparse_rnn_backward", mutates_args=())
def sparse_rnn_backward_operator(
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
    asked: Sequence[bool],
) -> list[Tensor]:
    """The gradients of inputs, values, weight_ih, bias and hidden_0; an empty tensor for each one not asked for."""
    how = pass_of(inputs, target, source, size, nonlinearity, backend)
    found = run_backward(how, wanted_of(tuple(asked)), grad, hidden, inputs, values, weight_ih, hidden_0)
    gradients = (found.inputs, found.values, found.weight_ih, found.bias, found.hidden_0)
    return [
        gradient.contiguous() if wanted and gradient is not None else inputs.new_empty(0)
        for gradient, wanted in zip(gradients, asked, strict=True)
    ]


@sparse_rnn_backward_operator.register_fake
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
    asked: Sequence[bool],
) -> list[Tensor]:
    population, batch = inputs.shape[:2]
    shapes = (inputs.shape, values.shape, weight_ih.shape, (population, size), (population, batch, size))
    return [inputs.new_empty(shape if wanted else (0,)) for shape, wanted in zip(shapes, asked, strict=True)]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    sequence, values, weight_ih, _, hidden_0, target, source, *ctx.rest = inputs
    ctx.save_for_backward(output, sequence, values, weight_ih, hidden_0, target, source)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    asked = list(ctx.needs_input_grad[:5])
    found = sparse_rnn_backward_operator(grad, *ctx.saved_tensors, *ctx.rest, asked)
    return *(gradient if wanted else None for gradient, wanted in zip(found, asked, strict=True)), *(None,) * 5


sparse_rnn_operator.register_autograd(_differentiate, setup_context=_remember)
