"""Networks small enough to be one dense tile, which is zero where there is no edge: all time steps in one launch.

A program computes all steps of one network for a block of its batch, and needs nothing from any other program. How the
work is divided does not depend on the population, so neither do a network's numbers.

Tensor cores multiply float16 pairs: a number times a power of two is high + low, each float16, to 22 bits. Three
products of float16, all but low * low, are as exact as three of TF32, in half the time. The matrix is split once, each
row with a power of its own; a step splits its state, each batch column with a power of its own.

As many columns of the matrix as fit stay in shared memory through all steps. The others stream from L2 at every step.

Matrices are padded with zeros to BLOCK_N x BLOCK_N, a power of two.

A trap: Triton carries a name from one turn of a loop to the next only if the body, visited once by the compiler, gives
it a value that differs from the one before the loop. After `a = b` before a loop, `a = b` inside it is no such value:
`a` keeps its first value, however `b` changes. So no loop here assigns one name to another that the loop changes; the
previous step's address is computed from the present one.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

from functools import cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from biotune_kernels.backends.triton import interpreted
from biotune_kernels.backends.triton.nonlinearity import activate, through
from biotune_kernels.pattern import SparsePattern


@triton.jit
def _pairs(
    values,
    edge_at,
    pairs,
    scale,
    nnz,
    along_row,
    along_column,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    ROWS: tl.constexpr,
):
    """The matrix, each row times a power of two, as the sum of two float16 matrices; `scale` undoes the power.

    edge_at [population, BLOCK_N, BLOCK_N]: which edge is at a place, or -1; along_*: its strides.
    """
    network = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK_N)
    edge_at += network * BLOCK_N * BLOCK_N
    pairs += network * 2 * BLOCK_N * BLOCK_N
    edge = tl.load(edge_at + row[:, None] * along_row + column[None, :] * along_column)
    w = tl.load(values + network * nnz + edge, mask=edge >= 0, other=0.0)
    high, low, undo = _split(w, 1)
    place = _place(row, column, BLOCK_N, BLOCK_K)
    tl.store(pairs + place, high)
    tl.store(pairs + BLOCK_N * BLOCK_N + place, low)
    tl.store(scale + network * BLOCK_N + row, undo)


@triton.jit
def _place(row, column, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """Where a pair is in memory: BLOCK_K columns after BLOCK_K columns, so that what streams together lies together."""
    return (column // BLOCK_K * (BLOCK_N * BLOCK_K) + column % BLOCK_K)[None, :] + row[:, None] * BLOCK_K


@triton.jit
def _split(x, AXIS: tl.constexpr):
    """high, low, undo: x = (high + low) undo to 22 bits of the largest number along AXIS; `undo` is a power of two."""
    factor, undo = _powers(tl.max(_magnitude(x), AXIS))
    high, low = _pair(x * tl.expand_dims(factor, AXIS))
    return high, low, undo


@triton.jit
def _magnitude(x):
    """The bits of |x| as an integer: ordered as |x| is, and NaN above all."""
    return x.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def _powers(largest):
    """The power of two that brings the largest magnitude into [2^14, 2^15), and its inverse.

    So it stays below the overflow of float16, and its low part above the underflow.
    """
    exponent = tl.minimum(tl.maximum(largest >> 23, 15), 253)  # so that both powers are normal numbers
    factor = ((268 - exponent) << 23).to(tl.float32, bitcast=True)
    undo = ((exponent - 14) << 23).to(tl.float32, bitcast=True)
    return factor, undo


@triton.jit
def _pair(x):
    """float16 numbers whose sum is x, to 22 bits."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _multiply(m_high, m_low, s_high, s_low, total, PRODUCTS: tl.constexpr):
    """total + (m_high + m_low) @ (s_high + s_low), without the product of both low parts; or of the high parts alone"""
    if PRODUCTS == 3:
        total = tl.dot(m_low, s_high, total)
        total = tl.dot(m_high, s_low, total)
    return tl.dot(m_high, s_high, total)


@triton.jit
def _recurrent(
    w_high,
    w_low,
    pairs,
    s_high,
    s_low,
    passed,
    size,
    connected,
    PRODUCTS: tl.constexpr,
    RESIDENT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """The matrix times the state passed on by the step before, both as pairs and scaled.

    w_*: the first columns of the matrix, as many as are resident; s_*: the state, of which `passed` has the other rows.
    """
    row = tl.arange(0, BLOCK_N)
    column = tl.arange(0, BLOCK_B)
    total = tl.zeros((BLOCK_N, BLOCK_B), tl.float32)
    if RESIDENT == BLOCK_N:
        return _multiply(w_high, w_low, s_high, s_low, total, PRODUCTS)
    first_high, first_low = _first_rows(s_high, RESIDENT, BLOCK_B), _first_rows(s_low, RESIDENT, BLOCK_B)
    given = (row < size)[:, None]
    for start in range(RESIDENT, connected, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        m = pairs + start * BLOCK_N + row[:, None] * BLOCK_K + tl.arange(0, BLOCK_K)[None, :]
        s = passed + k[:, None] * BLOCK_B + column[None, :]
        m_high, k_high = tl.load(m, mask=given, other=0.0), tl.load(s)
        if PRODUCTS == 3:
            m_low, k_low = tl.load(m + BLOCK_N * BLOCK_N, mask=given, other=0.0), tl.load(s + BLOCK_N * BLOCK_B)
            total = _multiply(m_high, m_low, k_high, k_low, total, PRODUCTS)
        else:
            total = tl.dot(m_high, k_high, total)
    return _multiply(w_high, w_low, first_high, first_low, total, PRODUCTS)


@triton.jit
def _first_rows(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The first rows of a matrix: half of its rows, or half of those, and so on."""
    for _ in tl.static_range(4):
        if x.shape[0] > ROWS:
            x, _other = tl.split(tl.permute(tl.reshape(x, (2, x.shape[0] // 2, COLUMNS)), (1, 2, 0)))
    return x


@triton.jit
def _pass_on(state, passed, RESIDENT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_B: tl.constexpr):
    """The state as pairs, one scale per batch column: what the next step multiplies.

    Rows that meet columns of the matrix which stream must stream too: they go through memory.
    """
    high, low, undo = _split(state, 0)
    if RESIDENT < BLOCK_N:
        place = tl.arange(0, BLOCK_N)[:, None] * BLOCK_B + tl.arange(0, BLOCK_B)[None, :]
        streamed = (tl.arange(0, BLOCK_N) >= RESIDENT)[:, None]
        tl.store(passed + place, high, mask=streamed)
        tl.store(passed + BLOCK_N * BLOCK_B + place, low, mask=streamed)
        tl.debug_barrier()  # in the next step this program's threads read what its other threads have written
    return high, low, undo


@triton.jit(do_not_specialize=["steps", "size"])
def _forward(
    inputs,
    weight_ih,
    bias,
    pairs,
    scale,
    hidden_0,
    hidden,
    passed,
    input_time,
    input_network,
    input_row,
    input_column,
    steps,
    size,
    batch,
    input_size,
    STARTED: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    PRODUCTS: tl.constexpr,
    PRECISION: tl.constexpr,
    RESIDENT: tl.constexpr,
    INPUTS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """h_t = f(W_ih x_t + b + W h_{t-1}).

    input_*: strides of `inputs`. STARTED: there is a hidden_0. INPUTS: input_size if inputs are added one by one, or 0
    if they are multiplied as a matrix, W_ih then padded to [BLOCK_N, a multiple of BLOCK_I].
    """
    network = tl.program_id(0).to(tl.int64)
    networks = tl.num_programs(0).to(tl.int64)
    row = tl.arange(0, BLOCK_N)
    column = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    here = (row < size)[:, None] & (column < batch)[None, :]
    place = row[:, None] * batch + column[None, :]

    inputs += network * input_network
    hidden += network * size * batch
    hidden_0 += network * size * batch
    pairs += network * 2 * BLOCK_N * BLOCK_N
    passed += (network * tl.num_programs(1) + tl.program_id(1)) * 4 * BLOCK_N * BLOCK_B
    b = tl.load(bias + network * size + row, mask=row < size, other=0.0)
    undo_w = tl.load(scale + network * BLOCK_N + row)
    if INPUTS:
        weight_ih += network * size * INPUTS
    else:
        weight_ih += network * BLOCK_N * tl.cdiv(input_size, BLOCK_I) * BLOCK_I

    w = pairs + _place(row, tl.arange(0, RESIDENT), BLOCK_N, BLOCK_K)
    w_high, w_low = tl.load(w), tl.load(w + BLOCK_N * BLOCK_N)
    state = tl.load(hidden_0 + place, mask=here, other=0.0) if STARTED else tl.zeros((BLOCK_N, BLOCK_B), tl.float32)
    s_high, s_low, undo_s = _pass_on(state, passed, RESIDENT, BLOCK_N, BLOCK_B)
    for step in tl.range(0, steps, num_stages=1):
        given = ()
        for i in tl.static_range(INPUTS):  # loaded now, needed after the product
            x = tl.load(inputs + i * input_row + column * input_column, mask=column < batch, other=0.0)
            given = given + (x,)  # noqa: RUF005
        connected = size if STARTED else tl.where(step > 0, size, 0)  # columns of W: none in a step from h_0 = 0
        before = passed + (step % 2) * 2 * BLOCK_N * BLOCK_B
        total = _recurrent(
            w_high, w_low, pairs, s_high, s_low, before, size, connected, PRODUCTS, RESIDENT, BLOCK_N, BLOCK_B, BLOCK_K
        )
        pre = total * undo_s[None, :] * undo_w[:, None] + b[:, None]
        for i in tl.static_range(INPUTS):
            pre += tl.load(weight_ih + row * INPUTS + i, mask=row < size, other=0.0)[:, None] * given[i][None, :]
        if INPUTS == 0:
            pre = _times(
                pre, weight_ih, inputs, input_size, input_row, input_column, column, batch, PRECISION, BLOCK_N, BLOCK_I
            )
        state = tl.where(here, activate(pre, NONLINEARITY), 0.0)
        tl.store(hidden + place, state, mask=here)
        after = passed + (1 - step % 2) * 2 * BLOCK_N * BLOCK_B
        s_high, s_low, undo_s = _pass_on(state, after, RESIDENT, BLOCK_N, BLOCK_B)
        inputs += input_time
        hidden += networks * size * batch


@triton.jit(do_not_specialize=["steps", "first", "size"])
def _backward(
    grad,
    hidden,
    pairs,
    scale,
    grad_pre,
    passed,
    hidden_0,
    largest,
    grad_time,
    grad_network,
    grad_row,
    grad_column,
    steps,
    first,
    size,
    batch,
    STARTED: tl.constexpr,
    OFFSET: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    PRODUCTS: tl.constexpr,
    RESIDENT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """g_t = f'(h_t) (∂L/∂h_t + Wᵀ g_{t+1}), from the last step to the first.

    grad_*: strides of `grad`, which holds the steps from `first` on and is 0 before; OFFSET: of which type its indices
    within a step are. pairs, scale: of Wᵀ. largest: the magnitude of each neuron's largest g_t, and of its largest h_t,
    in this block of the batch.
    """
    network = tl.program_id(0).to(tl.int64)
    networks = tl.num_programs(0).to(tl.int64)
    row = tl.arange(0, BLOCK_N)
    column = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    here = (row < size)[:, None] & (column < batch)[None, :]
    place = row[:, None] * batch + column[None, :]

    last = (steps - 1).to(tl.int64)
    grad += (last - first) * grad_time + network * grad_network
    grad_place = row.to(OFFSET)[:, None] * grad_row + column.to(OFFSET)[None, :] * grad_column
    hidden += (last * networks + network) * size * batch
    grad_pre += (last * networks + network) * size * batch
    pairs += network * 2 * BLOCK_N * BLOCK_N
    passed += (network * tl.num_programs(1) + tl.program_id(1)) * 4 * BLOCK_N * BLOCK_B
    undo_w = tl.load(scale + network * BLOCK_N + row)

    step_size = networks * size * batch
    w = pairs + _place(row, tl.arange(0, RESIDENT), BLOCK_N, BLOCK_K)
    w_high, w_low = tl.load(w), tl.load(w + BLOCK_N * BLOCK_N)
    nothing = tl.zeros((BLOCK_N, BLOCK_B), tl.float32)
    s_high, s_low, undo_s = _pass_on(nothing, passed, RESIDENT, BLOCK_N, BLOCK_B)
    if STARTED:
        nothing = tl.load(hidden_0 + network * size * batch + place, mask=here, other=0.0)
    largest_g = tl.zeros((BLOCK_N,), tl.int32)
    largest_h = tl.max(_magnitude(nothing), 1)
    for step in tl.range(0, steps, num_stages=1):
        from_loss = tl.load(grad + grad_place, mask=here & (step < steps - first), other=0.0)
        h = tl.load(hidden + place, mask=here, other=0.0)
        connected = tl.where(step > 0, size, 0)  # columns of Wᵀ: none in the last step, which nothing follows
        before = passed + (step % 2) * 2 * BLOCK_N * BLOCK_B
        total = _recurrent(
            w_high, w_low, pairs, s_high, s_low, before, size, connected, PRODUCTS, RESIDENT, BLOCK_N, BLOCK_B, BLOCK_K
        )
        total = total * undo_s[None, :] * undo_w[:, None] + from_loss
        state = tl.where(here, through(total, h, NONLINEARITY), 0.0)
        tl.store(grad_pre + place, state, mask=here)
        largest_g = tl.maximum(largest_g, tl.max(_magnitude(state), 1))
        largest_h = tl.maximum(largest_h, tl.max(_magnitude(h), 1))
        after = passed + (1 - step % 2) * 2 * BLOCK_N * BLOCK_B
        s_high, s_low, undo_s = _pass_on(state, after, RESIDENT, BLOCK_N, BLOCK_B)
        grad -= grad_time
        hidden -= step_size
        grad_pre -= step_size
    largest += (network * tl.num_programs(1) + tl.program_id(1)) * 2 * BLOCK_N
    tl.store(largest + row, largest_g)
    tl.store(largest + BLOCK_N + row, largest_h)


@triton.jit
def _times(
    total,
    weight_ih,
    inputs,
    input_size,
    input_row,
    input_column,
    column,
    batch,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    """total + W_ih x, W_ih padded to [BLOCK_N, a multiple of BLOCK_I]"""
    row = tl.arange(0, BLOCK_N)
    width = tl.cdiv(input_size, BLOCK_I) * BLOCK_I
    for start in range(0, input_size, BLOCK_I):
        i = start + tl.arange(0, BLOCK_I)
        w = tl.load(weight_ih + row[:, None] * width + i[None, :])
        inside = (i < input_size)[:, None] & (column < batch)[None, :]
        x = tl.load(inputs + i[:, None] * input_row + column[None, :] * input_column, mask=inside, other=0.0)
        total = tl.dot(w, x, total, input_precision=PRECISION)
    return total


@triton.jit(do_not_specialize=["batch_blocks", "steps", "size"])
def _gradients(
    grad_pre,
    hidden,
    hidden_0,
    inputs,
    largest,
    edge_at,
    of_values,
    of_weight_ih,
    of_bias,
    input_time,
    input_network,
    input_row,
    input_column,
    batch_blocks,
    steps,
    size,
    batch,
    input_size,
    nnz,
    STARTED: tl.constexpr,
    PRODUCTS: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """∂L/∂W = Σ_t g_t h_{t-1}ᵀ at the edges, and ∂L/∂[W_ih; b] = Σ_t g_t [x_t; 1]ᵀ, one block per program."""
    network = tl.program_id(0).to(tl.int64)
    step_size = tl.num_programs(0).to(tl.int64) * size * batch
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    grad_pre += network * size * batch
    at_row = row[:, None] * batch
    real = (row < size)[:, None]
    blocks = tl.cdiv(batch, BLOCK_K)
    if tl.program_id(2) * BLOCK_C >= size:
        i = (tl.program_id(2) - tl.cdiv(size, BLOCK_C)) * BLOCK_I + tl.arange(0, BLOCK_I)
        inputs += network * input_network
        of_input = tl.zeros((BLOCK_R, BLOCK_I), tl.float32)
        for block in range(steps * blocks):
            step = (block // blocks).to(tl.int64)
            k = (block % blocks) * BLOCK_K + tl.arange(0, BLOCK_K)
            g = tl.load(grad_pre + step * step_size + at_row + k[None, :], mask=real & (k < batch)[None, :], other=0.0)
            x = tl.load(
                inputs + step * input_time + k[:, None] * input_column + i[None, :] * input_row,
                mask=(k < batch)[:, None] & (i < input_size)[None, :],
                other=0.0,
            )
            of_input = tl.dot(g, tl.where((i == input_size)[None, :], 1.0, x), of_input, input_precision=PRECISION)
        place_i = (network * size + row[:, None]) * input_size + i[None, :]
        tl.store(of_weight_ih + place_i, of_input, mask=real & (i < input_size)[None, :])
        place_1 = network * size + row[:, None] + 0 * i[None, :]
        tl.store(of_bias + place_1, of_input, mask=real & (i == input_size)[None, :])
    else:
        column = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
        largest += network * batch_blocks * 2 * BLOCK_N
        factor_r, undo_r = _powers(_largest(largest + row, batch_blocks, BLOCK_N, BLOCK_R))
        factor_c, undo_c = _powers(_largest(largest + BLOCK_N + column, batch_blocks, BLOCK_N, BLOCK_C))
        hidden += network * size * batch
        hidden_0 += network * size * batch
        total = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
        for block in range(0 if STARTED else blocks, steps * blocks):
            step = (block // blocks).to(tl.int64)
            k = (block % blocks) * BLOCK_K + tl.arange(0, BLOCK_K)
            at = step * step_size
            before = hidden + at - step_size
            if STARTED:
                before = tl.where(step > 0, before, hidden_0)
            left = tl.load(grad_pre + at + at_row + k[None, :], mask=real & (k < batch)[None, :], other=0.0)
            inside = (k < batch)[:, None] & (column < size)[None, :]
            right = tl.load(before + k[:, None] + column[None, :] * batch, mask=inside, other=0.0)
            l_high, l_low = _pair(left * factor_r[:, None])
            r_high, r_low = _pair(right * factor_c[None, :])
            total = _multiply(l_high, l_low, r_high, r_low, total, PRODUCTS)
        total = total * undo_r[:, None] * undo_c[None, :]
        place = row[:, None] * BLOCK_N + column[None, :]
        edge = tl.load(edge_at + network * BLOCK_N * BLOCK_N + place)
        tl.store(of_values + network * nnz + edge, total, mask=edge >= 0)


@triton.jit
def _largest(at, batch_blocks, BLOCK_N: tl.constexpr, LENGTH: tl.constexpr):
    """The largest magnitude over all blocks of the batch."""
    found = tl.zeros((LENGTH,), tl.int32)
    for block in range(batch_blocks):
        found = tl.maximum(found, tl.load(at + block * 2 * BLOCK_N))
    return found


class _Tiling(NamedTuple):
    """How a network is divided among programs, and how these multiply.

    block_n: neurons, with those that pad them. block_b: batch columns of a program. resident: columns of the matrix
    that stay in shared memory. block_k: columns that stream into it together; num_stages of them are there at once.
    """

    block_n: int
    block_b: int
    resident: int
    block_k: int
    num_warps: int
    num_stages: int


class _Blocks(NamedTuple):
    """How the gradients are divided among programs."""

    block_r: int
    block_c: int
    block_k: int
    num_warps: int
    num_stages: int


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
) -> Tensor:
    steps, population, input_size, batch = inputs.shape
    tiling = _tiling(inputs.device, population, pattern.size, batch)
    products, precision = _precision()
    hidden = inputs.new_empty(steps, population, pattern.size, batch)
    one_by_one = 0 < input_size <= _FEW_INPUTS
    if not one_by_one:
        padding = (0, -input_size % _BLOCK_I, 0, tiling.block_n - pattern.size)
        weight_ih = torch.nn.functional.pad(weight_ih, padding)
    blocks = triton.cdiv(batch, tiling.block_b)
    _forward[population, blocks](
        inputs,
        weight_ih,
        bias,
        *_as_pairs(values, pattern, tiling),
        hidden if hidden_0 is None else hidden_0,
        hidden,
        _passed(hidden, blocks, tiling),
        *inputs.stride(),
        steps,
        pattern.size,
        batch,
        input_size,
        STARTED=hidden_0 is not None,
        NONLINEARITY=nonlinearity,
        PRODUCTS=products,
        PRECISION=precision,
        RESIDENT=tiling.resident,
        INPUTS=input_size if one_by_one else 0,
        BLOCK_N=tiling.block_n,
        BLOCK_B=tiling.block_b,
        BLOCK_I=_BLOCK_I,
        BLOCK_K=tiling.block_k,
        num_warps=tiling.num_warps,
        num_stages=tiling.num_stages,
    )
    return hidden


def preactivation_gradient(
    grad: Tensor,
    hidden: Tensor,
    values: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
) -> tuple[Tensor, Tensor]:
    """The gradient of each step's preactivation, [time, population, size, batch], and its largest numbers."""
    steps, population, size, batch = hidden.shape
    tiling = _tiling(hidden.device, population, size, batch)
    products, _ = _precision()
    grad_pre = torch.empty_like(hidden)
    blocks = triton.cdiv(batch, tiling.block_b)
    largest = hidden.new_empty(population, blocks, 2, tiling.block_n, dtype=torch.int32)
    farthest = (size - 1) * grad.stride(2) + (batch - 1) * grad.stride(3)
    _backward[population, blocks](
        grad,
        hidden,
        *_as_pairs(values, pattern, tiling, transposed=True),
        grad_pre,
        _passed(hidden, blocks, tiling),
        hidden if hidden_0 is None else hidden_0,
        largest,
        *grad.stride(),
        steps,
        steps - len(grad),
        size,
        batch,
        STARTED=hidden_0 is not None,
        OFFSET=tl.int32 if farthest < 2**31 else tl.int64,
        NONLINEARITY=nonlinearity,
        PRODUCTS=products,
        RESIDENT=tiling.resident,
        BLOCK_N=tiling.block_n,
        BLOCK_B=tiling.block_b,
        BLOCK_K=tiling.block_k,
        num_warps=tiling.num_warps,
        num_stages=tiling.num_stages,
    )
    return grad_pre, largest


def weight_gradients(
    grad_pre: Tensor,
    largest: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of values, weight_ih and bias."""
    (steps, population, size, batch), input_size = hidden.shape, inputs.shape[2]
    block_n = _block_n(size)
    products, precision = _precision()
    of_values = hidden.new_empty(population, pattern.nnz)
    of_weight_ih = hidden.new_empty(population, size, input_size)
    of_bias = hidden.new_empty(population, size)
    blocks = _blocks(hidden.device, population, size)
    block_i = 16 if input_size < 16 else 64
    columns = triton.cdiv(size, blocks.block_c) + triton.cdiv(input_size + 1, block_i)
    _gradients[population, triton.cdiv(size, blocks.block_r), columns](
        grad_pre,
        hidden,
        hidden if hidden_0 is None else hidden_0,
        inputs,
        largest,
        _edge_at(pattern, block_n),
        of_values,
        of_weight_ih,
        of_bias,
        *inputs.stride(),
        largest.shape[1],
        steps,
        size,
        batch,
        input_size,
        pattern.nnz,
        STARTED=hidden_0 is not None,
        PRODUCTS=products,
        PRECISION=precision,
        BLOCK_N=block_n,
        BLOCK_R=blocks.block_r,
        BLOCK_C=blocks.block_c,
        BLOCK_I=block_i,
        BLOCK_K=blocks.block_k,
        num_warps=blocks.num_warps,
        num_stages=blocks.num_stages,
    )
    return of_values, of_weight_ih, of_bias


def transposed_times(state: Tensor, values: Tensor, pattern: SparsePattern) -> Tensor:
    """Wᵀ state, [population, size, batch]: as two steps back, through a nonlinearity of slope 1 at 0."""
    grad = torch.stack((torch.zeros_like(state), state))
    return preactivation_gradient(grad, torch.zeros_like(grad), values, None, pattern, "tanh")[0][0]


def _as_pairs(
    values: Tensor, pattern: SparsePattern, tiling: _Tiling, transposed: bool = False
) -> tuple[Tensor, Tensor]:
    """The matrices, or the transposed ones, as pairs [population, 2, block_n, block_n], and the scale of each row."""
    population, block_n = len(values), tiling.block_n
    pairs = values.new_empty(population, 2, block_n, block_n, dtype=torch.float16)
    scale = values.new_empty(population, block_n)
    rows = min(_ROWS, block_n)
    _pairs[population, block_n // rows](
        values,
        _edge_at(pattern, block_n),
        pairs,
        scale,
        pattern.nnz,
        *((1, block_n) if transposed else (block_n, 1)),
        BLOCK_N=block_n,
        BLOCK_K=tiling.block_k,
        ROWS=rows,
    )
    return pairs, scale


def _edge_at(pattern: SparsePattern, width: int) -> Tensor:
    """Which edge is at each place of a matrix [width, width], or -1; kept with the pattern."""
    if "triton" not in pattern.memo:
        edge = torch.arange(pattern.nnz, dtype=torch.int32, device=pattern.device).expand(pattern.population, -1)
        empty = torch.full((pattern.population, width**2), -1, dtype=torch.int32, device=pattern.device)
        pattern.memo["triton"] = empty.scatter_(1, pattern.target * width + pattern.source, edge)
    found: Tensor = pattern.memo["triton"]
    return found


def _passed(hidden: Tensor, blocks: int, tiling: _Tiling) -> Tensor:
    """Memory for what steps pass on to each other: two states, since one is written while the other is read."""
    numbers = 0 if tiling.resident == tiling.block_n else 2 * 2 * tiling.block_n * tiling.block_b
    return hidden.new_empty(hidden.shape[1] * blocks * numbers, dtype=torch.float16)


def _precision() -> tuple[int, str]:
    """How many float16 products stand for one of float32, and how Triton multiplies float32 itself."""
    full = torch.get_float32_matmul_precision() == "highest"
    if interpreted():  # the interpreter multiplies float32 exactly
        return 3 if full else 1, "ieee"
    return (3, "tf32x3") if full else (1, "tf32")


def _block_n(size: int) -> int:
    return max(16, triton.next_power_of_2(size))


def _tiling(device: torch.device, population: int, size: int, batch: int) -> _Tiling:
    """What fits the GPU; with few networks narrow blocks of the batch, so that more of it is busy.

    How wide they are changes no bit, since a column's sums do not know of other columns.
    """
    machine = _machine(device)
    block_n = _block_n(size)
    narrow = max(16, triton.next_power_of_2(batch))
    if population * triton.cdiv(batch, 16) <= machine.multiprocessors:
        narrow = 16
    for tiling in _TILINGS[block_n] if block_n in _TILINGS else _TILINGS[0]:
        tiling = tiling._replace(
            block_n=block_n,
            block_b=min(tiling.block_b, narrow),
            resident=tiling.resident or block_n,
            block_k=min(tiling.block_k, block_n),
        )
        if _shared_memory(tiling) <= machine.shared_memory and (machine.wide or tiling.resident <= _NOT_WIDE):
            return tiling
    raise RuntimeError(f"no tiling for networks of {size} neurons fits {machine.shared_memory} bytes of shared memory")


def _shared_memory(tiling: _Tiling) -> int:
    """Bytes of shared memory that a program takes, at most."""
    kept = tiling.resident * (tiling.block_n + tiling.block_b)
    streamed = tiling.num_stages * tiling.block_k * (tiling.block_n + tiling.block_b)
    if tiling.resident == tiling.block_n:
        return 4 * (kept + tiling.block_n * tiling.block_b)
    return 4 * (kept + streamed)


def _blocks(device: torch.device, population: int, size: int) -> _Blocks:
    """Large blocks, which load each state less often, if they keep the GPU busy; which ones changes no bit."""
    machine = _machine(device)
    narrow = max(16, triton.next_power_of_2(size))
    programs = population * triton.cdiv(size, _SMALL_BLOCKS.block_r) * (triton.cdiv(size, _SMALL_BLOCKS.block_c) + 1)
    few = programs <= 2 * machine.multiprocessors or not machine.wide
    blocks = _SMALL_BLOCKS if few else _LARGE_BLOCKS
    return blocks._replace(block_r=min(blocks.block_r, narrow), block_c=min(blocks.block_c, narrow))


class _Machine(NamedTuple):
    """multiprocessors: their number; shared_memory: bytes per program, at most; wide: Hopper or later."""

    multiprocessors: int
    shared_memory: int
    wide: bool


@cache
def _machine(device: torch.device) -> _Machine:
    if device.type != "cuda":
        return _Machine(1, 1 << 17, True)
    found = triton.runtime.driver.active.utils.get_device_properties(torch.cuda.current_device())
    wide = torch.cuda.get_device_capability(device) >= (9, 0)
    return _Machine(found["multiprocessor_count"], found["max_shared_mem"], wide)


_BLOCK_I = 16
"""Inputs that are multiplied at once."""

_FEW_INPUTS = 8
"""Up to as many inputs are added one by one, without a matrix product."""

_ROWS = 16
"""Rows of the matrix that a program makes pairs of."""

_NOT_WIDE = 64
"""Columns that may be resident before Hopper, whose tensor cores take the matrix from registers."""

_TILINGS = {
    256: (
        _Tiling(256, 32, 128, 32, num_warps=8, num_stages=2),
        _Tiling(256, 32, 64, 32, num_warps=8, num_stages=2),
        _Tiling(256, 16, 32, 16, num_warps=8, num_stages=2),
    ),
    128: (
        _Tiling(128, 32, 0, 32, num_warps=8, num_stages=2),
        _Tiling(128, 32, 32, 32, num_warps=8, num_stages=2),
    ),
    0: (_Tiling(0, 32, 0, 32, num_warps=4, num_stages=2),),
}
"""Padded size -> tilings, the first that fits is taken; 0: any smaller size, and a resident matrix."""

_LARGE_BLOCKS = _Blocks(128, 128, 32, num_warps=8, num_stages=3)
_SMALL_BLOCKS = _Blocks(64, 64, 32, num_warps=4, num_stages=3)
