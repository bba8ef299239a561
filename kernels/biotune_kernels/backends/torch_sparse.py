"""Backend `torch_sparse`: `spmm` of the package of that name, if it is installed."""

import importlib.util

import torch
from torch import Tensor

from biotune_kernels.backends import stepwise
from biotune_kernels.pattern import SparsePattern


class _Products:
    """Products with one block-diagonal matrix in coordinates; the weights' gradient is gathered and summed per step."""

    def __init__(self, pattern: SparsePattern, values: Tensor) -> None:
        from torch_sparse import spmm

        self.spmm = spmm
        self.values = values
        self.edges: Tensor = pattern.kept("torch_sparse", lambda: _edges(pattern))

    def times(self, state: Tensor, add: Tensor) -> Tensor:
        return self._product(self.edges, state, add)

    def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
        return self._product(self.edges.flip(0), state, add)

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        total = torch.zeros_like(self.values)
        for left_t, right_t in zip(left, right, strict=True):
            at_target = left_t.flatten(0, 1)[self.edges[0]]
            at_source = right_t.flatten(0, 1)[self.edges[1]]
            total += (at_target * at_source).sum(dim=1).view_as(total)
        return total

    def _product(self, edges: Tensor, state: Tensor, add: Tensor) -> Tensor:
        length = state.shape[0] * state.shape[1]
        product = self.spmm(edges, self.values.flatten(), length, length, state.flatten(0, 1))
        return product.view_as(state) + add


def _edges(pattern: SparsePattern) -> Tensor:
    offset = torch.arange(pattern.population, device=pattern.device)[:, None] * pattern.size
    return torch.stack([pattern.target + offset, pattern.source + offset]).flatten(1)


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    if importlib.util.find_spec("torch_sparse") is None or importlib.util.find_spec("torch_scatter") is None:
        return "torch_sparse isn't installed; pip install --no-build-isolation torch-scatter torch-sparse compiles it"
    return None


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    return None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return False  # nothing promises it


forward, backward = stepwise.functions(_Products)
