"""An optimiser's step of one parameter of a population in one launch; `biotune.training.optimizers` has the equations.

Each network has its own learning rate, weight decay, momentum and number of steps.
"""

# mypy: disable-error-code="no-untyped-def"
# a kernel's parameters have other types inside than what it is called with, so annotations would mislead

import math
from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

_CHUNK = 4096
"""Numbers that one program updates."""

_AT_ONCE = 1024


@triton.jit
def _step(
    parameter,
    gradient,
    first,
    second,
    scale,
    learning_rate,
    weight_decay,
    momentum,
    steps,
    width,
    NAME: tl.constexpr,
    DECAYS: tl.constexpr,
    BETA_1: tl.constexpr,
    BETA_2: tl.constexpr,
    LOG2_BETA_1: tl.constexpr,
    LOG2_BETA_2: tl.constexpr,
    EPSILON: tl.constexpr,
    CHUNK: tl.constexpr,
    AT_ONCE: tl.constexpr,
):
    """For RMSprop, BETA_2 stands for its constant, `first` for the velocity; for SGD `first` is all there is."""
    network, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    kind = parameter.dtype.element_ty
    rate, decay = tl.load(learning_rate + network), tl.load(weight_decay + network)
    kept, shrink = tl.load(momentum + network).to(kind), (1.0 - rate * decay).to(kind)
    added, clipped = decay.to(kind), tl.load(scale + network)
    correction = kept
    if NAME == "Adam" or NAME == "AdamW":
        n = tl.load(steps + network)  # float64, since 1 - βⁿ cancels
        rate = rate / (1.0 - tl.exp2(n * LOG2_BETA_1))
        correction = tl.sqrt(1.0 - tl.exp2(n * LOG2_BETA_2)).to(kind)
    by = rate.to(kind)
    for start in range(0, CHUNK, AT_ONCE):
        within = chunk * CHUNK + start + tl.arange(0, AT_ONCE)
        inside, place = within < width, network * width + within
        w = tl.load(parameter + place, mask=inside, other=0.0)
        g = tl.load(gradient + place, mask=inside, other=0.0) * clipped
        a = tl.load(first + place, mask=inside, other=0.0)
        if DECAYS and NAME == "AdamW":
            w = w * shrink
        elif DECAYS:
            g += added * w
        if NAME == "SGD":
            a = kept * a + g
            w -= by * a
        else:
            b = tl.load(second + place, mask=inside, other=0.0)
            b = BETA_2 * b + (1.0 - BETA_2) * g * g
            if NAME == "RMSprop":
                a = kept * a + g / (tl.sqrt(b) + EPSILON)
                w -= by * a
            else:
                a += (1.0 - BETA_1) * (g - a)
                w -= by * a / (tl.sqrt(b) / correction + EPSILON)
            tl.store(second + place, b, mask=inside)
        tl.store(first + place, a, mask=inside)
        tl.store(parameter + place, w, mask=inside)


def step(
    name: str,
    parameter: Tensor,
    gradient: Tensor,
    moments: Sequence[Tensor],
    *,
    scale: Tensor,
    learning_rate: Tensor,
    weight_decay: Tensor,
    momentum: Tensor,
    steps: Tensor,
    decays: bool,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Updates a parameter and its moments in place.

    Args:
        name: "Adam", "AdamW", "RMSprop" or "SGD".
        parameter: [population, ...], contiguous, as are `gradient` and `moments`.
        moments: the mean and the mean square; the velocity and the mean square (RMSprop); or the velocity (SGD).
        scale: [population], by which gradients are multiplied first.
        learning_rate, weight_decay, momentum: float64 [population].
        steps: float64 [population], this one included.
        decays: whether any weight decay is not 0.
        beta_1, beta_2, epsilon: of the equations; RMSprop's constant is `beta_2`.
    """
    width = parameter[0].numel()
    _step[len(parameter), triton.cdiv(width, _CHUNK)](
        parameter,
        gradient.contiguous(),
        moments[0],
        moments[-1],
        scale,
        learning_rate,
        weight_decay,
        momentum,
        steps,
        width,
        NAME=name,
        DECAYS=decays,
        BETA_1=beta_1,
        BETA_2=beta_2,
        LOG2_BETA_1=math.log2(beta_1),
        LOG2_BETA_2=math.log2(beta_2),
        EPSILON=epsilon,
        CHUNK=_CHUNK,
        AT_ONCE=_AT_ONCE,
    )
