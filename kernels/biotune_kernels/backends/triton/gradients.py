"""The gradients of a tile's weights, summed over all steps: edges, input weights and bias in one launch."""

# mypy: disable-error-code="no-untyped-def,assignment"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import triton
import triton.language as tl
from torch import Tensor

from biotune_kernels.backends.triton.pairs import edge_at_place, multiply, pair, powers, precision_asked
from biotune_kernels.backends.triton.tiling import blocks_of, padded
from biotune_kernels.pattern import SparsePattern


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
        factor_r, undo_r = powers(_largest(largest + row, batch_blocks, BLOCK_N, BLOCK_R))
        factor_c, undo_c = powers(_largest(largest + BLOCK_N + column, batch_blocks, BLOCK_N, BLOCK_C))
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
            l_high, l_low = pair(left * factor_r[:, None])
            r_high, r_low = pair(right * factor_c[None, :])
            total = multiply(l_high, l_low, r_high, r_low, total, PRODUCTS)
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
    block_n = padded(size)
    products, precision = precision_asked()
    of_values = hidden.new_empty(population, pattern.nnz)
    of_weight_ih = hidden.new_empty(population, size, input_size)
    of_bias = hidden.new_empty(population, size)
    blocks = blocks_of(hidden.device, population, size)
    block_i = 16 if input_size < 16 else 64
    columns = triton.cdiv(size, blocks.block_c) + triton.cdiv(input_size + 1, block_i)
    _gradients[population, triton.cdiv(size, blocks.block_r), columns](
        grad_pre,
        hidden,
        hidden if hidden_0 is None else hidden_0,
        inputs,
        largest,
        edge_at_place(pattern, block_n),
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
