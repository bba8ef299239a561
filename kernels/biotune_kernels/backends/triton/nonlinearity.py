"""The nonlinearities and their derivatives inside Triton kernels; NaN and inf pass as they do in PyTorch."""

# mypy: disable-error-code="no-untyped-def"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import triton
import triton.language as tl
from torch import Tensor

from biotune_kernels.contract import Nonlinearity

EACH = "each"
"""Each network has its own."""


def named(nonlinearity: Nonlinearity) -> tuple[str, Tensor | None]:
    """How kernels are told the nonlinearity: its name, or `EACH` and the tensor that tells each network's."""
    return (EACH, nonlinearity) if isinstance(nonlinearity, Tensor) else (nonlinearity, None)


@triton.jit
def kind_of(kinds, network, NONLINEARITY: tl.constexpr):
    """The place of a network's nonlinearity in `NONLINEARITIES`, if each has its own."""
    kind = network  # of no use otherwise
    if NONLINEARITY == "each":
        kind = tl.load(kinds + network).to(tl.int64)
    return kind


@triton.jit
def activate(x, kind, NONLINEARITY: tl.constexpr):
    """f(x) for "tanh", "relu", "identity" or, by `kind`, "each"."""
    if NONLINEARITY == "identity":
        return x
    if NONLINEARITY == "relu":
        return _relu(x)
    if NONLINEARITY == "each":
        return tl.where(kind == 1, _relu(x), _tanh(x))
    return _tanh(x)


@triton.jit
def _relu(x):
    return tl.where(x < 0, 0.0, x)  # not a maximum, which would swallow NaN


@triton.jit
def _tanh(x):
    # written out, since Triton's interpreter has no tanh; exact to a few units in the last place
    decay = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - decay) / (1.0 + decay)
    far = tl.where(x < 0, -far, far)
    if x.dtype == tl.float64:
        return far
    squared = x * x  # near 0, 1 - decay would cancel: five terms of the series instead
    near = x * (1.0 + squared * (-1 / 3 + squared * (2 / 15 + squared * (-17 / 315 + squared * (62 / 2835)))))
    return tl.where(tl.abs(x) < 0.25, near, far)


@triton.jit
def through(grad, hidden, kind, NONLINEARITY: tl.constexpr):
    """grad * f'(x), where hidden = f(x)."""
    if NONLINEARITY == "relu":
        return tl.where(hidden <= 0, 0.0, grad)
    if NONLINEARITY == "each":
        return tl.where(kind == 1, tl.where(hidden <= 0, 0.0, grad), grad * (1.0 - hidden * hidden))
    return grad * (1.0 - hidden * hidden)
