"""Backend `torch_csr`: MKL or cuSPARSE through `torch.sparse`, a population as one block-diagonal CSR matrix.

The backward pass does less than autograd would: it multiplies with the transposed CSR matrix at every step, and samples
the weights' gradient at the edges once, over all steps (`sampled_addmm`).
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from biotune_kernels.backends import stepwise
from biotune_kernels.pattern import Compressed, SparsePattern


class _Block(NamedTuple):
    """The block-diagonal matrix of a population, or its transpose, without its values."""

    start: Tensor
    other: Tensor
    order: Tensor | None


class _Products:
    def __init__(self, pattern: SparsePattern, values: Tensor) -> None:
        self.pattern = pattern
        self.values = values
        self.rows, self.columns = pattern.kept(
            "torch_csr",
            lambda: tuple(_block_diagonal(lines, pattern.size) for lines in (pattern.by_row, pattern.by_column)),
        )

    def times(self, state: Tensor, add: Tensor) -> Tensor:
        return self._product(self.rows, state, add)

    def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
        return self._product(self.columns, state, add)

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        if left.shape[0] == 0 or self.pattern.nnz == 0:
            return torch.zeros_like(self.values)
        sampled = torch.sparse.sampled_addmm(
            self._matrix(self.rows), _side_by_side(left), _side_by_side(right).mT, beta=0.0
        )
        found = sampled.values().view_as(self.values)
        order = self.pattern.by_row.order
        return found if order is None else torch.empty_like(found).scatter_(1, order, found)

    def _product(self, block: _Block, state: Tensor, add: Tensor) -> Tensor:
        if self.pattern.nnz == 0:
            return add
        product = torch.addmm(add.flatten(0, 1), self._matrix(block), state.flatten(0, 1))
        return product.view_as(state)

    def _matrix(self, block: _Block) -> Tensor:
        values = self.values if block.order is None else self.values.gather(1, block.order)
        length = self.pattern.population * self.pattern.size
        with warnings.catch_warnings():  # once per process PyTorch says that its CSR layout is in beta
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
            return torch.sparse_csr_tensor(
                block.start, block.other, values.flatten(), size=(length, length), check_invariants=False
            )


def _block_diagonal(lines: Compressed, size: int) -> _Block:
    population, nnz = lines.other.shape
    wide = population * max(nnz, size) >= 2**31
    offset = torch.arange(population, device=lines.other.device)[:, None]
    start = (lines.start[:, :-1] + offset * nnz).flatten()
    end = torch.tensor([population * nnz], device=start.device)
    index = (lines.other + offset * size).flatten()
    dtype = torch.int64 if wide else torch.int32
    return _Block(torch.cat((start, end)).to(dtype), index.to(dtype), lines.order)


def _side_by_side(states: Tensor) -> Tensor:
    """[time, population, size, batch] as [population * size, time * batch]."""
    return states.permute(1, 2, 0, 3).flatten(2, 3).flatten(0, 1)


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type == "cpu" and not torch.backends.mkl.is_available():
        return "this build of PyTorch has no MKL, which its sparse products need on a CPU; install one that has"
    if device.type not in ("cpu", "cuda"):
        return f"PyTorch has no sparse CSR products on {device.type}; use cpu or cuda"
    return None


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    if pattern.device.type == "cuda":
        return "cuSPARSE's sums do not repeat bit for bit"
    return None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return False  # the order in which BLAS and cuSPARSE sum depends on the population


forward, backward = stepwise.functions(_Products)
