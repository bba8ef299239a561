"""Optimisers of a population: each network has its own learning rate, weight decay, momentum and number of steps.

They work element by element, so that a network is trained in a population as it would be alone. All that they keep
stays in the same tensors, so that an update can be recorded once and replayed (`biotune.training.recorded`). On an
NVIDIA GPU a parameter's step is one launch (`biotune_kernels.fused.optimizers`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from biotune_kernels import fused_kernels

Number = float | Sequence[float]
"""The same for all networks, or one per network."""

_BETAS = 0.9, 0.999
"""Of Adam and AdamW: how much of the mean of the gradients, and of their squares, is kept at a step."""

_ALPHA = 0.99
"""Of RMSprop: how much of the mean of the squares is kept at a step."""

_EPSILON = 1e-8

_REGISTERS = 32
"""Numbers that fill whole vector registers on every processor, those of an unrolled loop too."""


class Optimizer:
    """Adam, AdamW, RMSprop or SGD over the parameters that are trained, with the constants that torch takes by default.

    Args:
        name: a key of `OPTIMIZERS`.
        parameters: each [population, ...]; frozen ones are left out.
        learning_rate: of each network.
        weight_decay: added to the gradient; for AdamW, taken off the weights (Loshchilov & Hutter 2019).
        momentum: for those of `WITH_MOMENTUM`.

    Attributes:
        parameters: those that are trained.
        steps: float64 [population], steps taken.
        decays: whether any network's weight decay is not 0.
        moments: of each parameter, the tensors that its update needs from one step to the next, shaped like it.

    Raises:
        ValueError: momentum for an optimiser that takes none.

    Source: Kingma & Ba 2015, https://arxiv.org/abs/1412.6980 (Adam); Loshchilov & Hutter 2019,
    https://arxiv.org/abs/1711.05101 (AdamW); Hinton, Srivastava & Swersky 2012, lecture 6e (RMSprop).
    """

    def __init__(
        self,
        name: str,
        parameters: Iterable[nn.Parameter],
        *,
        learning_rate: Number,
        weight_decay: Number = 0.0,
        momentum: Number = 0.0,
    ) -> None:
        self.name = name
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        first = self.parameters[0]

        def of_each(number: Number) -> Tensor:
            return torch.as_tensor(number, dtype=torch.float64, device=first.device).expand(len(first)).clone()

        self.learning_rate, self.weight_decay, self.momentum = map(of_each, (learning_rate, weight_decay, momentum))
        if bool(self.momentum.any()) and name not in WITH_MOMENTUM:
            raise ValueError(f"momentum {momentum} is for {' and '.join(WITH_MOMENTUM)}; {name} has no such option")
        self._update, moments = OPTIMIZERS[name]
        self.decays = bool(self.weight_decay.any())
        self.steps = torch.zeros_like(self.learning_rate)
        self.moments = [[torch.zeros_like(parameter) for _ in range(moments)] for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], scale: Tensor) -> None:
        """Updates the parameters in place.

        Args:
            gradients: one per parameter, in order; they are overwritten.
            scale: [population], by which each network's gradients are multiplied first.
        """
        self.steps += 1
        if (kernels := fused_kernels("optimizers", scale.device, scale.dtype)) is None:
            step = _Step(self, scale)
            for parameter, gradient, moments in zip(self.parameters, gradients, self.moments, strict=True):
                self._update(step, parameter, gradient.mul_(_each(scale, parameter)), *moments)
            return
        for parameter, gradient, moments in zip(self.parameters, gradients, self.moments, strict=True):
            kernels.step(
                self.name,
                parameter,
                gradient,
                moments,
                scale=scale,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                steps=self.steps,
                decays=self.decays,
                beta_1=_BETAS[0],
                beta_2=_ALPHA if self.name == "RMSprop" else _BETAS[1],
                epsilon=_EPSILON,
            )

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs."""
        return {"steps": self.steps.clone(), "moments": [[one.clone() for one in of] for of in self.moments]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to the state that `state_dict` returned, in the tensors that there are."""
        self.steps.copy_(state["steps"])
        for there, here in zip(state["moments"], self.moments, strict=True):
            for saved, moment in zip(there, here, strict=True):
                moment.copy_(saved)


def _each(numbers: Tensor, parameter: Tensor) -> Tensor:
    """[population] as [population, 1, ...], to multiply each network's elements by."""
    return numbers.view(-1, *[1] * (parameter.dim() - 1))


def _power(base: float, steps: Tensor) -> Tensor:
    """baseⁿ of each network, [population].

    On a CPU the last bit depends on whether a number shares vector registers with others; so there are always enough.
    (It is lost where these numbers become float32.)
    """
    padded = functional.pad(steps, (0, -len(steps) % _REGISTERS), value=1.0)
    return (base**padded)[: len(steps)]


class _Step:
    """The numbers [population] of one step, in the type of the parameters.

    Attributes:
        by: r / (1 - b1ⁿ) of Adam, which corrects for the mean's short memory.
        correction: √(1 - b2ⁿ), which does so for the mean square's.
        kept: 1 - r d of AdamW, what the decay leaves of a weight.
    """

    def __init__(self, optimizer: Optimizer, like: Tensor) -> None:
        self.of, self.dtype = optimizer, like.dtype
        self.learning_rate, self.weight_decay, self.momentum = (
            numbers.to(like.dtype) for numbers in (optimizer.learning_rate, optimizer.weight_decay, optimizer.momentum)
        )

    @cached_property
    def by(self) -> Tensor:
        return (self.of.learning_rate / (1 - _power(_BETAS[0], self.of.steps))).to(self.dtype)

    @cached_property
    def correction(self) -> Tensor:
        return (1 - _power(_BETAS[1], self.of.steps)).sqrt().to(self.dtype)

    @cached_property
    def kept(self) -> Tensor:
        return (1 - self.of.learning_rate * self.of.weight_decay).to(self.dtype)

    def decayed(self, gradient: Tensor, parameter: Tensor) -> Tensor:
        """The gradient plus the decay's."""
        return gradient.addcmul_(_each(self.weight_decay, parameter), parameter) if self.of.decays else gradient


def _adam(step: _Step, parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor) -> None:
    _adaptive_moments(step, parameter, step.decayed(gradient, parameter), mean, square)


def _adamw(step: _Step, parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor) -> None:
    if step.of.decays:
        parameter.mul_(_each(step.kept, parameter))
    _adaptive_moments(step, parameter, gradient, mean, square)


def _adaptive_moments(step: _Step, parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor) -> None:
    """m <- m + (1 - b1)(g - m),  v <- b2 v + (1 - b2) g²,  w <- w - r / (1 - b1ⁿ) · m / (√v / √(1 - b2ⁿ) + ε)."""
    mean.lerp_(gradient, 1 - _BETAS[0])
    square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
    denominator = square.sqrt().div_(_each(step.correction, parameter)).add_(_EPSILON)
    parameter.sub_((mean * _each(step.by, parameter)).div_(denominator))


def _rmsprop(step: _Step, parameter: Tensor, gradient: Tensor, velocity: Tensor, square: Tensor) -> None:
    """v <- a v + (1 - a) g²,  u <- μ u + g / (√v + ε),  w <- w - r u."""
    gradient = step.decayed(gradient, parameter)
    square.mul_(_ALPHA).addcmul_(gradient, gradient, value=1 - _ALPHA)
    velocity.mul_(_each(step.momentum, parameter)).addcdiv_(gradient, square.sqrt().add_(_EPSILON))
    parameter.sub_(velocity * _each(step.learning_rate, parameter))


def _sgd(step: _Step, parameter: Tensor, gradient: Tensor, velocity: Tensor) -> None:
    """u <- μ u + g,  w <- w - r u."""
    velocity.mul_(_each(step.momentum, parameter)).add_(step.decayed(gradient, parameter))
    parameter.sub_(velocity * _each(step.learning_rate, parameter))


OPTIMIZERS: dict[str, tuple[Callable[..., None], int]] = {
    "Adam": (_adam, 2),
    "AdamW": (_adamw, 2),
    "RMSprop": (_rmsprop, 2),
    "SGD": (_sgd, 1),
}
"""Name -> its update, and how many moments that keeps."""

WITH_MOMENTUM = ("RMSprop", "SGD")
