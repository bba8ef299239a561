"""Networks too large for a tile, and float64: every row gathers the states at the other ends of its edges.

A launch advances all networks by one step; each program advances one row, for a block of the batch. Programs can't wait
for one another inside a launch, and one program for a whole network would leave most of the GPU idle: so every step is
a launch of its own. A step of a network this large takes longer than its launch.
"""

# mypy: disable-error-code="no-untyped-def"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import torch
import triton
import triton.language as tl
from torch import Tensor

from biotune_kernels.backends import stepwise
from biotune_kernels.backends.triton.nonlinearity import activate, kind_of, named, through
from biotune_kernels.contract import Nonlinearity
from biotune_kernels.pattern import Compressed, SparsePattern

_EDGES_AT_ONCE = 1024
"""Edges times batch columns that a program loads at once: enough to hide the latency of memory."""


@triton.jit(do_not_specialize=["connected"])
def _forward(
    start,
    source,
    values,
    previous,
    state,
    kinds,
    connected,
    size,
    nnz,
    batch,
    NONLINEARITY: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """h_t = f(d_t + W h_{t-1}), where `state` holds d_t, the input's part of the preactivation, before."""
    network = (tl.program_id(0) // size).to(tl.int64)
    row = tl.program_id(0) % size
    column = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    place = tl.program_id(0).to(tl.int64) * batch + column
    pre = tl.load(state + place, mask=column < batch, other=0.0)
    previous += network * size * batch
    pre += _gather(start, source, values, previous, network, row, column, connected, size, nnz, batch, BLOCK_E, BLOCK_B)
    tl.store(state + place, activate(pre, kind_of(kinds, network, NONLINEARITY), NONLINEARITY), mask=column < batch)


@triton.jit(do_not_specialize=["connected"])
def _backward(
    start,
    target,
    values,
    following,
    grad,
    state,
    grad_pre,
    kinds,
    grad_network,
    grad_row,
    grad_column,
    connected,
    size,
    nnz,
    batch,
    NONLINEARITY: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """g_t = f'(h_t) (∂L/∂h_t + Wᵀ g_{t+1}); grad_*: strides of `grad`, ∂L/∂h_t."""
    network = (tl.program_id(0) // size).to(tl.int64)
    row = tl.program_id(0) % size
    column = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    place = tl.program_id(0).to(tl.int64) * batch + column
    grad += network * grad_network + row.to(tl.int64) * grad_row
    total = tl.load(grad + column.to(tl.int64) * grad_column, mask=column < batch, other=0.0)
    following += network * size * batch
    total += _gather(
        start, target, values, following, network, row, column, connected, size, nnz, batch, BLOCK_E, BLOCK_B
    )
    h = tl.load(state + place, mask=column < batch, other=0.0)
    kind = kind_of(kinds, network, NONLINEARITY)
    tl.store(grad_pre + place, through(total, h, kind, NONLINEARITY), mask=column < batch)


@triton.jit
def _gather(
    start,
    other,
    values,
    states,
    network,
    row,
    column,
    connected,
    size,
    nnz,
    batch,
    BLOCK_E: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """The sum over a row's edges of value times state at the other end, [BLOCK_B]; 0 unless connected."""
    start += network * (size + 1) + row
    first, end = tl.load(start), tl.load(start + 1)
    end = tl.where(connected != 0, end, first)
    total = tl.zeros((BLOCK_E, BLOCK_B), values.dtype.element_ty)
    for block in range(first, end, BLOCK_E):
        slot = block + tl.arange(0, BLOCK_E)
        place = network * nnz + slot
        at = tl.load(other + place, mask=slot < end, other=0).to(tl.int64)
        value = tl.load(values + place, mask=slot < end, other=0.0)
        inside = (slot < end)[:, None] & (column < batch)[None, :]
        total += value[:, None] * tl.load(states + at[:, None] * batch + column[None, :], mask=inside, other=0.0)
    return tl.sum(total, axis=0)


@triton.jit(do_not_specialize=["steps"])
def _edge_gradient(
    target,
    source,
    after,
    before,
    gradient,
    steps,
    size,
    nnz,
    batch,
    BLOCK_E: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Σ_t after_t[target] · before_t[source] for a block of edges; after, before [time, population, size, batch]."""
    network = tl.program_id(1).to(tl.int64)
    step = tl.num_programs(1).to(tl.int64) * size * batch
    edge = tl.program_id(0).to(tl.int64) * BLOCK_E + tl.arange(0, BLOCK_E)
    given = edge < nnz
    row = (network * size + tl.load(target + network * nnz + edge, mask=given, other=0))[:, None] * batch
    column = (network * size + tl.load(source + network * nnz + edge, mask=given, other=0))[:, None] * batch
    total = tl.zeros((BLOCK_E, BLOCK_B), gradient.dtype.element_ty)
    for _ in range(steps):
        for block in range(0, batch, BLOCK_B):
            b = block + tl.arange(0, BLOCK_B)[None, :]
            inside = given[:, None] & (b < batch)
            at_target = tl.load(after + row + b, mask=inside, other=0.0)
            total += at_target * tl.load(before + column + b, mask=inside, other=0.0)
        after += step
        before += step
    tl.store(gradient + network * nnz + edge, tl.sum(total, axis=1), mask=given)


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    steps, population, _, batch = inputs.shape
    hidden = inputs.new_empty(steps, population, pattern.size, batch)
    for step, x in zip(hidden, inputs, strict=True):
        torch.baddbmm(bias[:, :, None], weight_ih, x, out=step)
    values = _in_order(values, pattern.by_row)
    previous = hidden_0
    for state in hidden:
        _advance(pattern.by_row, values, previous, state, nonlinearity)
        previous = state
    return hidden


def _advance(
    lines: Compressed, values: Tensor, previous: Tensor | None, state: Tensor, nonlinearity: Nonlinearity
) -> None:
    """state = f(state + matrix @ previous), for the matrix whose lines are `lines`."""
    population, size, batch = state.shape
    name, kinds = named(nonlinearity)
    block_e, block_b = _blocks(batch)
    _forward[population * size, triton.cdiv(batch, block_b)](
        lines.start,
        lines.other,
        values,
        state if previous is None else previous,
        state,
        state if kinds is None else kinds,
        int(previous is not None),
        size,
        values.shape[1],
        batch,
        NONLINEARITY=name,
        BLOCK_E=block_e,
        BLOCK_B=block_b,
    )


def preactivation_gradient(
    grad: Tensor,
    hidden: Tensor,
    values: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> tuple[Tensor, None]:
    """The gradient of each step's preactivation, [time, population, size, batch]; no scale is needed."""
    steps, population, size, batch = hidden.shape
    if len(grad) < steps:
        grad = torch.cat((grad.new_zeros(steps - len(grad), *grad.shape[1:]), grad))
    grad_pre = torch.empty_like(hidden)
    values = _in_order(values, pattern.by_column)
    block_e, block_b = _blocks(batch)
    name, kinds = named(nonlinearity)
    for t in reversed(range(steps)):
        _backward[population * size, triton.cdiv(batch, block_b)](
            pattern.by_column.start,
            pattern.by_column.other,
            values,
            grad_pre[min(t + 1, steps - 1)],
            grad[t],
            hidden[t],
            grad_pre[t],
            hidden if kinds is None else kinds,
            *grad.stride()[1:],
            int(t + 1 < steps),
            size,
            pattern.nnz,
            batch,
            NONLINEARITY=name,
            BLOCK_E=block_e,
            BLOCK_B=block_b,
        )
    return grad_pre, None


def weight_gradients(
    grad_pre: Tensor,
    largest: None,
    hidden: Tensor,
    inputs: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of values, weight_ih and bias."""
    before, after = hidden[:-1], grad_pre[1:]
    if hidden_0 is not None:
        before, after = torch.cat((hidden_0[None], before)), grad_pre
    of_weight_ih = stepwise.outer(grad_pre, inputs)
    return _of_edges(after, before, pattern), of_weight_ih, grad_pre.sum(dim=(0, 3))


def _of_edges(after: Tensor, before: Tensor, pattern: SparsePattern) -> Tensor:
    """Σ_t after_t before_tᵀ at every edge, [population, nnz]."""
    steps, population, size, batch = after.shape
    gradient = after.new_empty(population, pattern.nnz)
    block_e, block_b = _blocks(batch)
    if pattern.nnz:
        _edge_gradient[triton.cdiv(pattern.nnz, block_e), population](
            pattern.target,
            pattern.source,
            after,
            before,
            gradient,
            steps,
            size,
            pattern.nnz,
            batch,
            BLOCK_E=block_e,
            BLOCK_B=block_b,
        )
    return gradient


def transposed_times(state: Tensor, values: Tensor, pattern: SparsePattern) -> Tensor:
    """Wᵀ state, [population, size, batch]."""
    product = torch.zeros_like(state)
    _advance(pattern.by_column, _in_order(values, pattern.by_column), state, product, "identity")
    return product


def _in_order(values: Tensor, lines: Compressed) -> Tensor:
    return values if lines.order is None else values.gather(1, lines.order)


def _blocks(batch: int) -> tuple[int, int]:
    """Edges and batch columns per program."""
    columns = min(128, triton.next_power_of_2(batch))
    return min(64, _EDGES_AT_ONCE // columns), columns
