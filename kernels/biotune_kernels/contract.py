"""What a backend is.

A backend is a module (or folder) `backends/<name>` with four functions, and its name in `NAMES`
(`backends/__init__.py`):

    unusable(device, dtype) -> str | None
        None where it works here, otherwise why not and what would make it work, in one line.

    independent(device) -> bool
        Whether a network's states and gradients are the same, bit for bit, whichever networks share its population and
        whatever its place among them.

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
    grad       as hidden, but with any strides: it often arrives transposed, or expanded from a single number; it may
               hold the last steps only, and is zero at the steps before

All tensors share one device and one dtype, all shapes have been checked, and population, batch and time are 1 or more;
nnz and input_size may be 0. The derivative is taken from `hidden`: 1 - h² for tanh, and 0 where h <= 0 for relu, so
that NaN flows. Results must repeat bit for bit. Autograd is off. `pattern.by_row` and `pattern.by_column` hold the
compressed orders, and `pattern.memo[name]` keeps whatever else a backend derives from a pattern.

A backend whose three products are calls on matrices is written with `stepwise.py` in some twenty lines: see `dense.py`.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from biotune_kernels.pattern import SparsePattern

NONLINEARITIES = ("tanh", "relu")

TRAINED = frozenset(("values", "weight_ih", "bias"))
"""The gradients that training asks for."""


class Gradients(NamedTuple):
    """Gradients in the inner layout, each shaped like what it belongs to; None where it was not wanted."""

    values: Tensor | None = None
    weight_ih: Tensor | None = None
    bias: Tensor | None = None
    inputs: Tensor | None = None
    hidden_0: Tensor | None = None


class Backend(Protocol):
    """The four functions of a backend's module; see the text above."""

    @staticmethod
    def unusable(device: torch.device, dtype: torch.dtype) -> str | None: ...

    @staticmethod
    def independent(device: torch.device) -> bool: ...

    @staticmethod
    def forward(
        inputs: Tensor,
        values: Tensor,
        weight_ih: Tensor,
        bias: Tensor,
        hidden_0: Tensor | None,
        pattern: SparsePattern,
        nonlinearity: str,
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
        nonlinearity: str,
        wanted: frozenset[str],
    ) -> Gradients: ...
