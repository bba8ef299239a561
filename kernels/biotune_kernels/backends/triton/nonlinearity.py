"""The nonlinearities and their derivatives inside Triton kernels; NaN and inf pass as they do in PyTorch."""

# mypy: disable-error-code="no-untyped-def"
# what a kernel is called with is not what its parameters are inside, so types would mislead

import triton
import triton.language as tl


@triton.jit
def activate(x, NONLINEARITY: tl.constexpr):
    """f(x) for "tanh", "relu" or "identity"."""
    if NONLINEARITY == "identity":
        return x
    if NONLINEARITY == "relu":
        return tl.where(x < 0, 0.0, x)  # not a maximum, which would swallow NaN
    # in the interpreter too, which has no tanh: exact to some units in the last place, in float32 and float64
    decay = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - decay) / (1.0 + decay)
    far = tl.where(x < 0, -far, far)
    if x.dtype == tl.float64:
        return far
    squared = x * x  # near 0 that difference cancels: five terms of the series
    near = x * (1.0 + squared * (-1 / 3 + squared * (2 / 15 + squared * (-17 / 315 + squared * (62 / 2835)))))
    return tl.where(tl.abs(x) < 0.25, near, far)


@triton.jit
def through(grad, hidden, NONLINEARITY: tl.constexpr):
    """grad * f'(x), where hidden = f(x)."""
    if NONLINEARITY == "relu":
        return tl.where(hidden <= 0, 0.0, grad)
    return grad * (1.0 - hidden * hidden)
