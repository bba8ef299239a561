"""Backend `dense`: masked matrix products, the right choice for small matrices that are nearly full.

The gradient is computed for the whole matrix and read at the edges. A zero times an infinite state is NaN here, as in
any dense layer, where the sparse backends have no such product.
"""

import torch
from torch import Tensor

from kernels import stepwise
from kernels.backend import Gradients
from kernels.pattern import SparsePattern


class _Products:
    def __init__(self, pattern: SparsePattern, values: Tensor) -> None:
        if "dense" not in pattern.memo:
            pattern.memo["dense"] = pattern.target * pattern.size + pattern.source
        self.place: Tensor = pattern.memo["dense"]
        weights = values.new_zeros(pattern.population, pattern.size**2).scatter_(1, self.place, values)
        self.weights = weights.view(pattern.population, pattern.size, pattern.size)

    def times(self, state: Tensor, add: Tensor) -> Tensor:
        return torch.baddbmm(add, self.weights, state)

    def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
        return torch.baddbmm(add, self.weights.mT, state)

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        return stepwise.outer(left, right).flatten(1).gather(1, self.place)


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    return None


def independent(device: torch.device) -> bool:
    return device.type == "cpu"  # cuBLAS chooses its kernels by the number of matrices


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
) -> Tensor:
    return stepwise.forward(_Products(pattern, values), inputs, weight_ih, bias, hidden_0, nonlinearity)


def backward(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
    wanted: frozenset[str],
) -> Gradients:
    products = _Products(pattern, values)
    return stepwise.backward(products, grad, hidden, inputs, weight_ih, hidden_0, nonlinearity, wanted)
