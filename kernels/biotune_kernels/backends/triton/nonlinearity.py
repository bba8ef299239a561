"""The nonlinearities and their derivatives inside Triton kernels; NaN and inf pass as they do in PyTorch."""

# mypy: disable-error-code="no-untyped-def"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import triton
import triton.language as tl


@triton.jit
def activate(x, NONLINEARITY: tl.constexpr):
    """f(x) for "tanh", "relu" or "identity"."""
    if NONLINEARITY == "identity":
        return x
    if NONLINEARITY == "relu":
        return tl.where(x < 0, 0.0, x)  # not a maximum, which would swallow NaN
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
def through(grad, hidden, NONLINEARITY: tl.constexpr):
    """grad * f'(x), where hidden = f(x)."""
    if NONLINEARITY == "relu":
        return tl.where(hidden <= 0, 0.0, grad)
    return grad * (1.0 - hidden * hidden)
