"""Pairs of float16 numbers that stand for one of float32, and matrices of them.

Tensor cores multiply float16 twice as fast as TF32. A number times a power of two is high + low, each float16, to 22
bits. Three products of pairs, all but low * low, are as exact as three of TF32. A matrix is split once, each row with a
power of its own.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import torch
import triton
import triton.language as tl
from torch import Tensor

from biotune_kernels.backends.triton import interpreted
from biotune_kernels.backends.triton.tiling import Tiling
from biotune_kernels.pattern import SparsePattern, in_place

_ROWS = 16
"""Rows of the matrix that a program makes pairs of."""


@triton.jit
def _split_matrix(
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
    high, low, undo = split(w, 1)
    place = place_of_pair(row, column, BLOCK_N, BLOCK_K)
    tl.store(pairs + place, high)
    tl.store(pairs + BLOCK_N * BLOCK_N + place, low)
    tl.store(scale + network * BLOCK_N + row, undo)


@triton.jit
def place_of_pair(row, column, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """Where a pair is in memory: BLOCK_K columns after BLOCK_K columns, so that what streams together lies together."""
    return (column // BLOCK_K * (BLOCK_N * BLOCK_K) + column % BLOCK_K)[None, :] + row[:, None] * BLOCK_K


@triton.jit
def split(x, AXIS: tl.constexpr):
    """high, low, undo: x = (high + low) undo to 22 bits of the largest number along AXIS; `undo` is a power of two."""
    factor, undo = powers(tl.max(magnitude(x), AXIS))
    high, low = pair(x * tl.expand_dims(factor, AXIS))
    return high, low, undo


@triton.jit
def magnitude(x):
    """The bits of |x| as an integer: ordered as |x| is, and NaN above all."""
    return x.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def powers(largest):
    """The power of two that brings the largest magnitude into [2^14, 2^15), and its inverse.

    So it stays below the overflow of float16, and its low part above the underflow.
    """
    exponent = tl.minimum(tl.maximum(largest >> 23, 15), 253)  # so that both powers are normal numbers
    factor = ((268 - exponent) << 23).to(tl.float32, bitcast=True)
    undo = ((exponent - 14) << 23).to(tl.float32, bitcast=True)
    return factor, undo


@triton.jit
def pair(x):
    """float16 numbers whose sum is x, to 22 bits."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def multiply(m_high, m_low, s_high, s_low, total, PRODUCTS: tl.constexpr):
    """total + (m_high + m_low) @ (s_high + s_low), without the product of both low parts; or of the high parts alone"""
    if PRODUCTS == 3:
        total = tl.dot(m_low, s_high, total)
        total = tl.dot(m_high, s_low, total)
    return tl.dot(m_high, s_high, total)


def as_pairs(values: Tensor, pattern: SparsePattern, tiling: Tiling, transposed: bool = False) -> tuple[Tensor, Tensor]:
    """The matrices, or the transposed ones, as pairs [population, 2, block_n, block_n], and the scale of each row."""
    population, block_n = len(values), tiling.block_n
    pairs = values.new_empty(population, 2, block_n, block_n, dtype=torch.float16)
    scale = values.new_empty(population, block_n)
    rows = min(_ROWS, block_n)
    _split_matrix[population, block_n // rows](
        values,
        edge_at_place(pattern, block_n),
        pairs,
        scale,
        pattern.nnz,
        *((1, block_n) if transposed else (block_n, 1)),
        BLOCK_N=block_n,
        BLOCK_K=tiling.block_k,
        ROWS=rows,
    )
    return pairs, scale


def edge_at_place(pattern: SparsePattern, width: int) -> Tensor:
    """Which edge is at each place of a matrix [width, width], or -1; kept with the pattern."""

    def make(networks: slice) -> Tensor:
        place = pattern.target[networks] * width + pattern.source[networks]
        edge = torch.arange(pattern.nnz, dtype=torch.int32, device=pattern.device).expand(len(place), -1)
        empty = torch.full((len(place), width**2), -1, dtype=torch.int32, device=pattern.device)
        return empty.scatter_(1, place, edge)

    found: Tensor = pattern.kept(("triton", width), lambda: make(slice(None)), in_place(make))
    return found


def precision_asked() -> tuple[int, str]:
    """How many float16 products stand for one of float32, and how Triton multiplies float32 itself."""
    full = torch.get_float32_matmul_precision() == "highest"
    if interpreted():  # the interpreter multiplies float32 exactly
        return 3 if full else 1, "ieee"
    return (3, "tf32x3") if full else (1, "tf32")
