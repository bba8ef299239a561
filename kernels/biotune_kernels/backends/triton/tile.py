"""Networks small enough to be one dense tile, which is zero where there is no edge: all time steps in one launch.

A program computes all steps of one network for a block of its batch, and needs nothing from any other program. The
matrix stays in shared memory through all steps if it fits there in the precision chosen. Otherwise its columns stream
from L2 at every step, and the previous state, which this program has just written, comes back through L1.

Matrices are padded with zeros to BLOCK_N x BLOCK_N, a power of two, so that loading them needs no mask.

A trap: Triton carries a name from one turn of a loop to the next only if the body, visited once by the compiler, gives
it a value that differs from the one before the loop. After `a = b` before a loop, `a = b` inside it is no such value:
`a` keeps its first value, however `b` changes. So no loop here assigns one name to another that the loop changes; the
previous step's address is computed from the present one.
"""

# mypy: disable-error-code="no-untyped-def"
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

_BLOCK_I, _BLOCK_K = 16, 32


@triton.jit(do_not_specialize=["steps", "size"])
def _forward(
    inputs,
    weight_ih,
    bias,
    weights,
    hidden_0,
    hidden,
    steps,
    size,
    batch,
    input_size,
    STARTED: tl.constexpr,
    RESIDENT: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """h_t = f(W_ih x_t + b + W h_{t-1}), W_ih padded to [BLOCK_N, a multiple of BLOCK_I]. STARTED: has hidden_0."""
    network = tl.program_id(0).to(tl.int64)
    networks = tl.num_programs(0).to(tl.int64)
    row = tl.arange(0, BLOCK_N)
    column = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    here = (row < size)[:, None] & (column < batch)[None, :]
    place = row[:, None] * batch + column[None, :]

    inputs += network * input_size * batch
    hidden += network * size * batch
    hidden_0 += network * size * batch
    weights += network * BLOCK_N * BLOCK_N
    input_columns = tl.cdiv(input_size, BLOCK_I) * BLOCK_I
    weight_ih += network * BLOCK_N * input_columns
    b = tl.load(bias + network * size + row, mask=row < size, other=0.0)

    step_size = networks * size * batch
    if RESIDENT:
        w = tl.load(weights + row[:, None] * BLOCK_N + row[None, :])
        state = tl.load(hidden_0 + place, mask=here, other=0.0) if STARTED else tl.zeros((BLOCK_N, BLOCK_B), tl.float32)
    for step in range(steps):
        pre = tl.zeros((BLOCK_N, BLOCK_B), tl.float32) + b[:, None]
        pre = _times(pre, weight_ih, input_columns, inputs, input_size, column, batch, PRECISION, BLOCK_N, BLOCK_I)
        if RESIDENT:
            pre = tl.dot(w, state.to(w.dtype), pre, input_precision=PRECISION)
        else:
            previous = tl.where(step > 0, hidden - step_size, hidden_0)
            connected = size if STARTED else tl.where(step > 0, size, 0)  # columns of W: none in a step from h_0 = 0
            pre = _times(pre, weights, BLOCK_N, previous, connected, column, batch, PRECISION, BLOCK_N, BLOCK_K)
        state = tl.where(here, activate(pre, NONLINEARITY), 0.0)
        tl.store(hidden + place, state, mask=here)
        if not RESIDENT:
            tl.debug_barrier()  # in the next step this program's threads read what its other threads have written
        inputs += networks * input_size * batch
        hidden += step_size


@triton.jit(do_not_specialize=["steps", "size"])
def _backward(
    grad,
    hidden,
    transposed,
    grad_pre,
    grad_time,
    grad_network,
    grad_row,
    grad_column,
    steps,
    size,
    batch,
    RESIDENT: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """g_t = f'(h_t) (∂L/∂h_t + Wᵀ g_{t+1}), from the last step to the first; grad_*: strides of `grad`."""
    network = tl.program_id(0).to(tl.int64)
    networks = tl.num_programs(0).to(tl.int64)
    row = tl.arange(0, BLOCK_N)
    column = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    here = (row < size)[:, None] & (column < batch)[None, :]
    place = row[:, None] * batch + column[None, :]

    last = (steps - 1).to(tl.int64)
    grad += last * grad_time + network * grad_network
    grad_place = row.to(tl.int64)[:, None] * grad_row + column.to(tl.int64)[None, :] * grad_column
    hidden += (last * networks + network) * size * batch
    grad_pre += (last * networks + network) * size * batch
    transposed += network * BLOCK_N * BLOCK_N

    step_size = networks * size * batch
    if RESIDENT:
        w = tl.load(transposed + row[:, None] * BLOCK_N + row[None, :])
        state = tl.zeros((BLOCK_N, BLOCK_B), tl.float32)
    for step in range(steps):
        total = tl.load(grad + grad_place, mask=here, other=0.0)
        if RESIDENT:
            total = tl.dot(w, state.to(w.dtype), total, input_precision=PRECISION)
        else:
            following = grad_pre + step_size
            connected = tl.where(step > 0, size, 0)  # columns of Wᵀ: none in the last step, which nothing follows
            total = _times(total, transposed, BLOCK_N, following, connected, column, batch, PRECISION, BLOCK_N, BLOCK_K)
        h = tl.load(hidden + place, mask=here, other=0.0)
        state = tl.where(here, through(total, h, NONLINEARITY), 0.0)
        tl.store(grad_pre + place, state, mask=here)
        if not RESIDENT:
            tl.debug_barrier()
        grad -= grad_time
        hidden -= step_size
        grad_pre -= step_size


@triton.jit
def _times(
    total,
    matrix,
    width,
    states,
    depth,
    column,
    batch,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """total + matrix @ states[:depth, column], for a matrix padded to [BLOCK_N, width], width a multiple of BLOCK_K"""
    row = tl.arange(0, BLOCK_N)
    for start in range(0, depth, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        m = tl.load(matrix + row[:, None] * width + k[None, :])
        inside = (k < depth)[:, None] & (column < batch)[None, :]
        s = tl.load(states + k[:, None] * batch + column[None, :], mask=inside, other=0.0)
        total = tl.dot(m, s.to(m.dtype), total, input_precision=PRECISION)
    return total


@triton.jit
def _outer(
    left,
    right,
    product,
    steps,
    rows,
    columns,
    batch,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Σ_t left_t right_tᵀ, one block per program; left [time, population, rows, batch], right [.., columns, ..]"""
    network = tl.program_id(0).to(tl.int64)
    networks = tl.num_programs(0).to(tl.int64)
    row = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    left += network * rows * batch
    right += network * columns * batch
    total = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    blocks = tl.cdiv(batch, BLOCK_K)
    for block in range(steps * blocks):
        step = (block // blocks) * networks
        k = (block % blocks) * BLOCK_K + tl.arange(0, BLOCK_K)
        left_inside = (row < rows)[:, None] & (k < batch)[None, :]
        at_left = tl.load(left + step * rows * batch + row[:, None] * batch + k[None, :], mask=left_inside, other=0.0)
        right_inside = (k < batch)[:, None] & (column < columns)[None, :]
        at_right = tl.load(
            right + step * columns * batch + k[:, None] + column[None, :] * batch, mask=right_inside, other=0.0
        )
        total = tl.dot(at_left.to(OPERAND), at_right.to(OPERAND), total, input_precision=PRECISION)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    tl.store(product + network * rows * columns + row[:, None] * columns + column[None, :], total, mask=inside)


class _Tiling(NamedTuple):
    """How a population is divided among programs, and how these multiply."""

    operand: torch.dtype
    precision: str
    block_n: int
    block_b: int
    resident: bool
    num_warps: int


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
    hidden = inputs.new_empty(steps, population, pattern.size, batch)
    padding = (0, -input_size % _BLOCK_I, 0, tiling.block_n - pattern.size)
    _forward[population, triton.cdiv(batch, tiling.block_b)](
        inputs.contiguous(),
        torch.nn.functional.pad(weight_ih.to(tiling.operand), padding),
        bias,
        _full(values, _place(pattern, tiling.block_n), tiling.block_n).to(tiling.operand),
        hidden if hidden_0 is None else hidden_0,
        hidden,
        steps,
        pattern.size,
        batch,
        input_size,
        STARTED=hidden_0 is not None,
        RESIDENT=tiling.resident,
        NONLINEARITY=nonlinearity,
        PRECISION=tiling.precision,
        BLOCK_N=tiling.block_n,
        BLOCK_B=tiling.block_b,
        BLOCK_I=_BLOCK_I,
        BLOCK_K=min(_BLOCK_K, tiling.block_n),
        num_warps=tiling.num_warps,
        num_stages=2,
    )
    return hidden


def preactivation_gradient(
    grad: Tensor, hidden: Tensor, values: Tensor, pattern: SparsePattern, nonlinearity: str
) -> Tensor:
    """The gradient of each step's preactivation, [time, population, size, batch]."""
    steps, population, size, batch = hidden.shape
    tiling = _tiling(hidden.device, population, size, batch)
    grad_pre = torch.empty_like(hidden)
    _backward[population, triton.cdiv(batch, tiling.block_b)](
        grad,
        hidden,
        _full(values, _place(pattern, tiling.block_n, transposed=True), tiling.block_n).to(tiling.operand),
        grad_pre,
        *grad.stride(),
        steps,
        size,
        batch,
        RESIDENT=tiling.resident,
        NONLINEARITY=nonlinearity,
        PRECISION=tiling.precision,
        BLOCK_N=tiling.block_n,
        BLOCK_B=tiling.block_b,
        BLOCK_K=min(_BLOCK_K, tiling.block_n),
        num_warps=tiling.num_warps,
        num_stages=2,
    )
    return grad_pre


def edge_gradient(after: Tensor, before: Tensor, pattern: SparsePattern) -> Tensor:
    """Σ_t after_t before_tᵀ at every edge, [population, nnz]; the whole matrix is computed, since it is small."""
    return outer(after, before).flatten(1).gather(1, _place(pattern, pattern.size))


def outer(left: Tensor, right: Tensor) -> Tensor:
    """Σ_t left_t right_tᵀ, [population, rows, columns]; left, right [time, population, rows or columns, batch]."""
    (steps, population, rows, batch), columns = left.shape, right.shape[2]
    product = left.new_empty(population, rows, columns)
    operand, precision = _precision()
    block_r, block_c = (min(64, max(16, triton.next_power_of_2(n))) for n in (rows, columns))
    _outer[population, triton.cdiv(rows, block_r), triton.cdiv(columns, block_c)](
        left,
        right.contiguous(),
        product,
        steps,
        rows,
        columns,
        batch,
        OPERAND=tl.bfloat16 if operand == torch.bfloat16 else tl.float32,
        PRECISION=precision,
        BLOCK_R=block_r,
        BLOCK_C=block_c,
        BLOCK_K=_BLOCK_K,
    )
    return product


def transposed_times(state: Tensor, values: Tensor, pattern: SparsePattern) -> Tensor:
    """Wᵀ state, [population, size, batch]."""
    return torch.bmm(_full(values, _place(pattern, pattern.size, transposed=True), pattern.size), state)


def _full(values: Tensor, place: Tensor, width: int) -> Tensor:
    """Matrices with `values` at their places and zeros elsewhere, [population, width, width]."""
    return values.new_zeros(len(values), width**2).scatter_(1, place, values).view(-1, width, width)


def _place(pattern: SparsePattern, width: int, transposed: bool = False) -> Tensor:
    """Each edge's place in a flattened matrix [width, width]; kept with the pattern."""
    key = f"triton {width} {transposed}"
    if key not in pattern.memo:
        row, column = (pattern.source, pattern.target) if transposed else (pattern.target, pattern.source)
        pattern.memo[key] = row * width + column
    place: Tensor = pattern.memo[key]
    return place


def _precision() -> tuple[torch.dtype, str]:
    """The type of a product's operands, and how Triton multiplies float32 ones."""
    if interpreted():  # the interpreter multiplies float32 exactly, and bfloat16 wrongly
        return torch.float32, "ieee"
    asked = torch.get_float32_matmul_precision()
    return torch.bfloat16 if asked == "medium" else torch.float32, "tf32x3" if asked == "highest" else "tf32"


def _tiling(device: torch.device, population: int, size: int, batch: int) -> _Tiling:
    operand, precision = _precision()
    machine = _machine(device)
    block_n = max(16, triton.next_power_of_2(size))
    passes = 2 if precision == "tf32x3" else 1  # tf32x3 splits an operand into a high and a low part
    matrix, state = block_n**2 * operand.itemsize * passes, block_n * 32 * (operand.itemsize * passes + 4)
    resident = matrix + state + 2 * block_n * _BLOCK_I * 4 <= machine.shared_memory
    # The widest block of the batch that keeps half the GPU busy: narrower blocks load W more often. At most 32 columns
    # if the compiler would find no registers for 64.
    widths = (32,) if resident or not machine.wide else (64, 32)
    busy = [width for width in widths if population * triton.cdiv(batch, width) >= machine.multiprocessors / 2]
    block_b = min(max(busy, default=16), max(16, triton.next_power_of_2(batch)))
    return _Tiling(operand, precision, block_n, block_b, resident, num_warps=8 if block_n > 64 else 4)


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
