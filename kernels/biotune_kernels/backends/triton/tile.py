"""Networks small enough to be one dense tile, which is zero where there is no edge: all time steps in one launch.

A program computes all steps of one network for a block of its batch, and needs nothing from any other program. How wide
that block is changes no sum, so a network's numbers do not depend on the others.

Numbers are multiplied as pairs of float16 (`pairs.py`). A step splits its state, each batch column with a power of two
of its own.

As many columns of the matrix as fit stay in shared memory through all steps. The others stream from L2 at every step.

Matrices are padded with zeros to BLOCK_N x BLOCK_N, a power of two.

A trap: Triton carries a name from one turn of a loop to the next only if the body, visited once by the compiler, gives
it a value that differs from the one before the loop. After `a = b` before a loop, `a = b` inside it is no such value:
`a` keeps its first value, however `b` changes. So no loop here assigns one name to another that the loop changes; the
previous step's address is computed from the present one.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import torch
import triton
import triton.language as tl
from torch import Tensor

from biotune_kernels.backends.triton import gradients
from biotune_kernels.backends.triton.nonlinearity import activate, kind_of, named, through
from biotune_kernels.backends.triton.pairs import as_pairs, magnitude, multiply, place_of_pair, precision_asked, split
from biotune_kernels.backends.triton.tiling import Tiling, tiling_of
from biotune_kernels.contract import Nonlinearity
from biotune_kernels.pattern import SparsePattern

INPUTS_AT_ONCE = 16
"""Inputs that are multiplied at once."""

_FEW_INPUTS = 8
"""Up to as many inputs are added one by one, without a matrix product."""


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
        return multiply(w_high, w_low, s_high, s_low, total, PRODUCTS)
    first_high, first_low = _first_rows(s_high, RESIDENT, BLOCK_B), _first_rows(s_low, RESIDENT, BLOCK_B)
    given = (row < size)[:, None]
    for start in range(RESIDENT, connected, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        m = pairs + start * BLOCK_N + row[:, None] * BLOCK_K + tl.arange(0, BLOCK_K)[None, :]
        s = passed + k[:, None] * BLOCK_B + column[None, :]
        m_high, k_high = tl.load(m, mask=given, other=0.0), tl.load(s)
        if PRODUCTS == 3:
            m_low, k_low = tl.load(m + BLOCK_N * BLOCK_N, mask=given, other=0.0), tl.load(s + BLOCK_N * BLOCK_B)
            total = multiply(m_high, m_low, k_high, k_low, total, PRODUCTS)
        else:
            total = tl.dot(m_high, k_high, total)
    return multiply(w_high, w_low, first_high, first_low, total, PRODUCTS)


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
    high, low, undo = split(state, 0)
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
    kinds,
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
    kind = kind_of(kinds, network, NONLINEARITY)
    if INPUTS:
        weight_ih += network * size * INPUTS
    else:
        weight_ih += network * BLOCK_N * tl.cdiv(input_size, BLOCK_I) * BLOCK_I

    w = pairs + place_of_pair(row, tl.arange(0, RESIDENT), BLOCK_N, BLOCK_K)
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
        state = tl.where(here, activate(pre, kind, NONLINEARITY), 0.0)
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
    kinds,
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
    kind = kind_of(kinds, network, NONLINEARITY)

    step_size = networks * size * batch
    w = pairs + place_of_pair(row, tl.arange(0, RESIDENT), BLOCK_N, BLOCK_K)
    w_high, w_low = tl.load(w), tl.load(w + BLOCK_N * BLOCK_N)
    nothing = tl.zeros((BLOCK_N, BLOCK_B), tl.float32)
    s_high, s_low, undo_s = _pass_on(nothing, passed, RESIDENT, BLOCK_N, BLOCK_B)
    if STARTED:
        nothing = tl.load(hidden_0 + network * size * batch + place, mask=here, other=0.0)
    largest_g = tl.zeros((BLOCK_N,), tl.int32)
    largest_h = tl.max(magnitude(nothing), 1)
    for step in tl.range(0, steps, num_stages=1):
        from_loss = tl.load(grad + grad_place, mask=here & (step < steps - first), other=0.0)
        h = tl.load(hidden + place, mask=here, other=0.0)
        connected = tl.where(step > 0, size, 0)  # columns of Wᵀ: none in the last step, which nothing follows
        before = passed + (step % 2) * 2 * BLOCK_N * BLOCK_B
        total = _recurrent(
            w_high, w_low, pairs, s_high, s_low, before, size, connected, PRODUCTS, RESIDENT, BLOCK_N, BLOCK_B, BLOCK_K
        )
        total = total * undo_s[None, :] * undo_w[:, None] + from_loss
        state = tl.where(here, through(total, h, kind, NONLINEARITY), 0.0)
        tl.store(grad_pre + place, state, mask=here)
        largest_g = tl.maximum(largest_g, tl.max(magnitude(state), 1))
        largest_h = tl.maximum(largest_h, tl.max(magnitude(h), 1))
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


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    steps, population, input_size, batch = inputs.shape
    tiling = tiling_of(inputs.device, population, pattern.size, batch)
    products, precision = precision_asked()
    name, kinds = named(nonlinearity)
    hidden = inputs.new_empty(steps, population, pattern.size, batch)
    one_by_one = 0 < input_size <= _FEW_INPUTS
    if not one_by_one:
        padding = (0, -input_size % INPUTS_AT_ONCE, 0, tiling.block_n - pattern.size)
        weight_ih = torch.nn.functional.pad(weight_ih, padding)
    blocks = triton.cdiv(batch, tiling.block_b)
    _forward[population, blocks](
        inputs,
        weight_ih,
        bias,
        *as_pairs(values, pattern, tiling),
        hidden if hidden_0 is None else hidden_0,
        hidden,
        _passed(hidden, blocks, tiling),
        hidden if kinds is None else kinds,
        *inputs.stride(),
        steps,
        pattern.size,
        batch,
        input_size,
        STARTED=hidden_0 is not None,
        NONLINEARITY=name,
        PRODUCTS=products,
        PRECISION=precision,
        RESIDENT=tiling.resident,
        INPUTS=input_size if one_by_one else 0,
        BLOCK_N=tiling.block_n,
        BLOCK_B=tiling.block_b,
        BLOCK_I=INPUTS_AT_ONCE,
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
    nonlinearity: Nonlinearity,
) -> tuple[Tensor, Tensor]:
    """The gradient of each step's preactivation, [time, population, size, batch], and its largest numbers."""
    steps, population, size, batch = hidden.shape
    tiling = tiling_of(hidden.device, population, size, batch)
    products, _ = precision_asked()
    name, kinds = named(nonlinearity)
    grad_pre = torch.empty_like(hidden)
    blocks = triton.cdiv(batch, tiling.block_b)
    largest = hidden.new_empty(population, blocks, 2, tiling.block_n, dtype=torch.int32)
    farthest = (size - 1) * grad.stride(2) + (batch - 1) * grad.stride(3)
    _backward[population, blocks](
        grad,
        hidden,
        *as_pairs(values, pattern, tiling, transposed=True),
        grad_pre,
        _passed(hidden, blocks, tiling),
        hidden if hidden_0 is None else hidden_0,
        largest,
        hidden if kinds is None else kinds,
        *grad.stride(),
        steps,
        steps - len(grad),
        size,
        batch,
        STARTED=hidden_0 is not None,
        OFFSET=tl.int32 if farthest < 2**31 else tl.int64,
        NONLINEARITY=name,
        PRODUCTS=products,
        RESIDENT=tiling.resident,
        BLOCK_N=tiling.block_n,
        BLOCK_B=tiling.block_b,
        BLOCK_K=tiling.block_k,
        num_warps=tiling.num_warps,
        num_stages=tiling.num_stages,
    )
    return grad_pre, largest


def transposed_times(state: Tensor, values: Tensor, pattern: SparsePattern) -> Tensor:
    """Wᵀ state, [population, size, batch]: as two steps back, through a nonlinearity of slope 1 at 0."""
    grad = torch.stack((torch.zeros_like(state), state))
    return preactivation_gradient(grad, torch.zeros_like(grad), values, None, pattern, "tanh")[0][0]


def _passed(hidden: Tensor, blocks: int, tiling: Tiling) -> Tensor:
    """Memory for what steps pass on to each other: two states, since one is written while the other is read."""
    numbers = 0 if tiling.resident == tiling.block_n else 2 * 2 * tiling.block_n * tiling.block_b
    return hidden.new_empty(hidden.shape[1] * blocks * numbers, dtype=torch.float16)


weight_gradients = gradients.weight_gradients
