"""Backend `dense`: masked matrix products, the right choice for small matrices that are nearly full.

The gradient is computed for the whole matrix and read at the edges. Zero times an infinite state is NaN here, as in any
dense layer; the sparse backends have no such product.

On a CPU, neurons and batch are padded with zeros to multiples of 16. Every network's matrices then start at a multiple
of 64 bytes. Otherwise BLAS might sum some networks in another order, and a network's numbers would depend on its place
in the population.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from biotune_kernels.backends import stepwise
from biotune_kernels.contract import Gradients, Nonlinearity
from biotune_kernels.pattern import SparsePattern, in_place

_ALIGNED = 16

_LEAST_DENSITY = 1 / 32
"""Below it a full matrix holds more than 32 times as many numbers as there are edges, and is not worth a try."""


class _Products:
    def __init__(self, pattern: SparsePattern, values: Tensor, size: int) -> None:
        def place(networks: slice) -> Tensor:
            return pattern.target[networks] * size + pattern.source[networks]

        self.place: Tensor = pattern.kept(("dense", size), lambda: place(slice(None)), in_place(place))
        weights = values.new_zeros(pattern.population, size**2).scatter_(1, self.place, values)
        self.weights = weights.view(pattern.population, size, size)

    def times(self, state: Tensor, add: Tensor) -> Tensor:
        return torch.baddbmm(add, self.weights, state)

    def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
        return torch.baddbmm(add, self.weights.mT, state)

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        return stepwise.outer(left, right).flatten(1).gather(1, self.place)


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    return None


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    if pattern.density < _LEAST_DENSITY:
        return f"its full matrices pay from a density of {_LEAST_DENSITY:.3g}; this one is {pattern.density:.2g}"
    return None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return device.type == "cpu"  # cuBLAS chooses its kernels by the number of matrices


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    batch = inputs.shape[3]
    rows, columns = _padding(inputs.device, pattern.size, batch)
    hidden = stepwise.forward(
        _Products(pattern, values, pattern.size + rows),
        pad(inputs, (0, columns)),
        pad(weight_ih, (0, 0, 0, rows)),
        pad(bias, (0, rows)),
        None if hidden_0 is None else pad(hidden_0, (0, columns, 0, rows)),
        nonlinearity,
    )
    return hidden[:, :, : pattern.size, :batch].contiguous()


def backward(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
    wanted: frozenset[str],
) -> Gradients:
    size, batch = pattern.size, inputs.shape[3]
    rows, columns = _padding(inputs.device, size, batch)
    padding = (0, columns, 0, rows)
    found = stepwise.backward(
        _Products(pattern, values, size + rows),
        pad(grad, padding),
        pad(hidden, padding),
        pad(inputs, (0, columns)),
        pad(weight_ih, (0, 0, 0, rows)),
        None if hidden_0 is None else pad(hidden_0, padding),
        nonlinearity,
        wanted,
    )
    return Gradients(
        values=found.values,
        weight_ih=None if found.weight_ih is None else found.weight_ih[:, :size],
        bias=None if found.bias is None else found.bias[:, :size],
        inputs=None if found.inputs is None else found.inputs[..., :batch],
        hidden_0=None if found.hidden_0 is None else found.hidden_0[:, :size, :batch],
    )


def _padding(device: torch.device, size: int, batch: int) -> tuple[int, int]:
    """How many neurons and batch columns to add."""
    return (-size % _ALIGNED, -batch % _ALIGNED) if device.type == "cpu" else (0, 0)
