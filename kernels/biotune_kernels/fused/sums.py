"""Sums of rows, the norm of a gradient, and a linear readout with its gradients, each in a fixed order."""

# mypy: disable-error-code="no-untyped-def"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

_CHUNK = 8192
"""Numbers that one program adds up."""

_AT_ONCE = 1024

_NEURONS, _TRIALS = 32, 64
"""A program's block of the states."""


@triton.jit(do_not_specialize=["stride"])
def _sums(values, sums, width, stride, SQUARED: tl.constexpr, CHUNK: tl.constexpr, AT_ONCE: tl.constexpr):
    """The sum of one chunk of a row, or of its squares; the sums of a row are `stride` after those of the row before"""
    row, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    total = tl.zeros((AT_ONCE,), values.dtype.element_ty)
    for start in range(0, CHUNK, AT_ONCE):
        place = chunk * CHUNK + start + tl.arange(0, AT_ONCE)
        value = tl.load(values + row * width + place, mask=place < width, other=0.0)
        total += value * value if SQUARED else value
    tl.store(sums + row * stride + chunk, tl.sum(total))


@triton.jit(do_not_specialize=["population", "neurons"])
def _readout(states, weight, bias, outputs, population, neurons, trials, BLOCK_N: tl.constexpr, BLOCK_B: tl.constexpr):
    """y = W h + b of one step of a network, one output, a block of the trials."""
    row, output, count = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64), tl.num_programs(1)
    of_network = (row % population) * count + output
    trial = tl.program_id(2) * BLOCK_B + tl.arange(0, BLOCK_B)
    total = tl.zeros((BLOCK_N, BLOCK_B), states.dtype.element_ty)
    for first in range(0, neurons, BLOCK_N):
        neuron = first + tl.arange(0, BLOCK_N)
        w = tl.load(weight + of_network * neurons + neuron, mask=neuron < neurons, other=0.0)
        inside = (neuron < neurons)[:, None] & (trial < trials)[None, :]
        h = tl.load(states + (row * neurons + neuron)[:, None] * trials + trial[None, :], mask=inside, other=0.0)
        total += w[:, None] * h
    y = tl.sum(total, axis=0) + tl.load(bias + of_network)
    tl.store(outputs + (row * count + output) * trials + trial, y, mask=trial < trials)


@triton.jit(do_not_specialize=["population", "count", "neurons"])
def _readout_to_states(
    grad, weight, to_states, population, count, neurons, trials, BLOCK_N: tl.constexpr, BLOCK_B: tl.constexpr
):
    """Wᵀ ∂L/∂y of one step of a network, for a block of the neurons and of the trials."""
    row = tl.program_id(0).to(tl.int64)
    weight += (row % population) * count * neurons
    neuron = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    trial = tl.program_id(2) * BLOCK_B + tl.arange(0, BLOCK_B)
    total = tl.zeros((BLOCK_N, BLOCK_B), grad.dtype.element_ty)
    for output in range(count):
        w = tl.load(weight + output * neurons + neuron, mask=neuron < neurons, other=0.0)
        g = tl.load(grad + (row * count + output) * trials + trial, mask=trial < trials, other=0.0)
        total += w[:, None] * g[None, :]
    inside = (neuron < neurons)[:, None] & (trial < trials)[None, :]
    tl.store(to_states + (row * neurons + neuron)[:, None] * trials + trial[None, :], total, mask=inside)


@triton.jit(do_not_specialize=["steps", "neurons"])
def _readout_to_weights(
    grad, states, to_weight, to_bias, steps, neurons, trials, BLOCK_N: tl.constexpr, BLOCK_B: tl.constexpr
):
    """Σ_t ∂L/∂y_t h_tᵀ of one output of a network, for a block of the neurons; the first one sums ∂L/∂y too."""
    network, population = tl.program_id(0).to(tl.int64), tl.num_programs(0).to(tl.int64)
    output, count = tl.program_id(1), tl.num_programs(1)
    neuron = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    total = tl.zeros((BLOCK_N, BLOCK_B), grad.dtype.element_ty)
    of_grad = tl.zeros((BLOCK_B,), grad.dtype.element_ty)
    for step in range(steps):
        row = step * population + network
        for first in range(0, trials, BLOCK_B):
            trial = first + tl.arange(0, BLOCK_B)
            g = tl.load(grad + (row * count + output) * trials + trial, mask=trial < trials, other=0.0)
            inside = (neuron < neurons)[:, None] & (trial < trials)[None, :]
            h = tl.load(states + (row * neurons + neuron)[:, None] * trials + trial[None, :], mask=inside, other=0.0)
            total += g[None, :] * h
            of_grad += g
    place = (network * count + output) * neurons + neuron
    tl.store(to_weight + place, tl.sum(total, axis=1), mask=neuron < neurons)
    if tl.program_id(2) == 0:
        tl.store(to_bias + network * count + output, tl.sum(of_grad))


def row_sums(values: Tensor) -> Tensor:
    """The sum over the last dimension.

    Args:
        values: [..., width], width 1 or more.

    Returns:
        [...].
    """
    rows = values.contiguous().flatten(0, -2) if values.dim() > 1 else values.contiguous()[None]
    return _row_sums(rows).view(values.shape[:-1])


def _row_sums(rows: Tensor) -> Tensor:
    while True:
        chunks = triton.cdiv(rows.shape[1], _CHUNK)
        sums = rows.new_empty(len(rows), chunks)
        _add_up(rows, sums, squared=False)
        if chunks == 1:
            return sums[:, 0]
        rows = sums


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of what each network has of all tensors together.

    Args:
        tensors: each [population, ...].

    Returns:
        [population].
    """
    rows = [tensor.contiguous().flatten(1) for tensor in tensors]
    chunks = [triton.cdiv(row.shape[1], _CHUNK) for row in rows]
    parts = rows[0].new_empty(len(rows[0]), sum(chunks))
    for row, part in zip(rows, parts.split(chunks, dim=1), strict=True):
        _add_up(row, part, squared=True)
    return _row_sums(parts).sqrt()


def _add_up(rows: Tensor, sums: Tensor, squared: bool) -> None:
    """sums [rows, chunks] of the chunks of each row."""
    _sums[sums.shape](rows, sums, rows.shape[1], sums.stride(0), SQUARED=squared, CHUNK=_CHUNK, AT_ONCE=_AT_ONCE)


def readout(states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """y = W h + b, [steps, population, outputs, trials].

    Args:
        states: [steps, population, neurons, trials].
        weight: [population, outputs, neurons].
        bias: [population, outputs].
    """
    (steps, population, neurons, trials), count = states.shape, weight.shape[1]
    outputs = states.new_empty(steps, population, count, trials)
    _readout[steps * population, count, triton.cdiv(trials, _TRIALS)](
        states.contiguous(),
        weight.contiguous(),
        bias.contiguous(),
        outputs,
        population,
        neurons,
        trials,
        BLOCK_N=_NEURONS,
        BLOCK_B=_TRIALS,
    )
    return outputs


def readout_gradients(grad: Tensor, states: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a readout's states, weight and bias.

    Args:
        grad: [steps, population, outputs, trials], ∂L/∂y. states, weight: as for `readout`.
    """
    (steps, population, neurons, trials), count = states.shape, weight.shape[1]
    grad, states = grad.contiguous(), states.contiguous()
    to_states, to_weight = torch.empty_like(states), weight.new_empty(weight.shape)
    to_bias = weight.new_empty(population, count)
    blocks = {"BLOCK_N": _NEURONS, "BLOCK_B": _TRIALS}
    _readout_to_states[steps * population, triton.cdiv(neurons, _NEURONS), triton.cdiv(trials, _TRIALS)](
        grad, weight.contiguous(), to_states, population, count, neurons, trials, **blocks
    )
    _readout_to_weights[population, count, triton.cdiv(neurons, _NEURONS)](
        grad, states, to_weight, to_bias, steps, neurons, trials, **blocks
    )
    return to_states, to_weight, to_bias
