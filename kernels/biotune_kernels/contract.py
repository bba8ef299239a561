"""What a backend is.

A backend is a module (or folder) `backends/<name>` with these functions, and its name in `NAMES`
(`backends/__init__.py`); nothing else in the package knows it:

    unusable(device, dtype) -> str | None
        None if it works here; otherwise why not and what would make it work, in one line.

    unsuitable(pattern, batch, time) -> str | None
        None if the backend is worth a try on these edges, with such a batch and so many time steps; otherwise why not,
        in one line. "auto" and the benchmark leave it out there. Asked for by name, it still works.

    independent(device, size, dtype) -> bool
        Whether a network's states and the gradients that training asks for are the same, bit for bit, whichever
        networks share its population and whatever its place among them.

    forward(inputs, values, weight_ih, bias, hidden_0, pattern, nonlinearity) -> hidden
        h_t = f(W_ih x_t + W_hh h_{t-1} + b) for t = 1 .. time, W_hh[target, source] = values.

    backward(grad, hidden, inputs, values, weight_ih, hidden_0, pattern, nonlinearity, wanted) -> Gradients
        The gradients of a scalar whose gradient by `hidden` is `grad`. `wanted` names those that are asked for; a
        backend may leave the others None.

Inside, time comes first and batch last, so that a step is one matrix [population * size, batch] and a neuron's
batch is contiguous:

    inputs     [time, population, input_size, batch], any strides
    values     [population, nnz], contiguous, in the order in which the pattern was given
    weight_ih  [population, size, input_size], contiguous
    bias       [population, size], contiguous
    hidden_0   [population, size, batch], any strides, or None for zeros
    hidden     [time, population, size, batch], contiguous; what forward returned
    nonlinearity  "tanh", "relu", or uint8 [population], contiguous: the place of each network's in `NONLINEARITIES`
    grad       as hidden, but with any strides: it often arrives transposed, or expanded from a single number; it may
               hold the last steps only, and is zero at the steps before

All tensors share one device and one dtype, all shapes have been checked, and population, batch and time are 1 or more;
nnz and input_size may be 0. The derivative is taken from `hidden`: 1 - h² for tanh, and for relu 0 if h <= 0 and else
1, so that NaN flows. Results must repeat bit for bit; a backend whose results do not, because of a library, is
`unsuitable`, which keeps "auto" from it. Autograd is off. A backend for which a shape is too large raises
one of `TOO_LARGE`. `pattern.by_row` and `pattern.by_column` hold the compressed orders, and `pattern.kept(name, …)`
keeps whatever else a backend derives from a pattern; with it the backend says how that is brought up to date in place
when a network's edges are rewritten, or that it can't be.

If a backend's three products are calls on matrices, `stepwise.functions` makes its `forward` and `backward`: see
`torch_csr.py`.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from biotune_kernels.pattern import SparsePattern

NONLINEARITIES = ("tanh", "relu")

MIXED = "mixed"
"""Stands for networks that differ in it, where a shape is verified or measured."""

Nonlinearity = str | Tensor
"""A name for all networks; or uint8 [population], the place of each one's in `NONLINEARITIES`."""


def nonlinearity_of(name: str, population: int, device: torch.device) -> Nonlinearity:
    """A name as `forward` and `backward` take it; `MIXED` becomes tanh and relu in turns."""
    if name != MIXED:
        return name
    return (torch.arange(population, device=device) % len(NONLINEARITIES)).to(torch.uint8)


def is_relu(nonlinearity: Tensor) -> Tensor:
    """Which networks have relu, [population, 1, 1]."""
    return nonlinearity.view(-1, 1, 1) == NONLINEARITIES.index("relu")


TRAINED = frozenset(("values", "weight_ih", "bias"))
"""The gradients that training asks for."""

TOO_LARGE = (RuntimeError, MemoryError)
"""What a backend raises at a shape that is too large for it, as PyTorch does: out of memory, no such kernel."""


class Gradients(NamedTuple):
    """Gradients in the inner layout, each shaped like what it is the gradient of; None if it was not wanted."""

    values: Tensor | None = None
    weight_ih: Tensor | None = None
    bias: Tensor | None = None
    inputs: Tensor | None = None
    hidden_0: Tensor | None = None


class Backend(Protocol):
    """The functions of a backend's module; see the text above."""

    @staticmethod
    def unusable(device: torch.device, dtype: torch.dtype) -> str | None: ...

    @staticmethod
    def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None: ...

    @staticmethod
    def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool: ...

    @staticmethod
    def forward(
        inputs: Tensor,
        values: Tensor,
        weight_ih: Tensor,
        bias: Tensor,
        hidden_0: Tensor | None,
        pattern: SparsePattern,
        nonlinearity: Nonlinearity,
    ) -> Tensor: ...

    @staticmethod
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
    ) -> Gradients: ...
