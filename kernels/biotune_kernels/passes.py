"""One pass through a backend, as both the eager layer and the operator make it.

The public layout is [population, batch, time, ...], a backend's is [time, population, ..., batch] (see `contract.py`).
One is a view of the other, so nothing is copied between them.
"""

from functools import cache
from typing import NamedTuple

from torch import Tensor

from biotune_kernels.backends import load
from biotune_kernels.contract import Backend, Gradients, Nonlinearity
from biotune_kernels.pattern import SparsePattern, pattern_of
from biotune_kernels.select import resolve


class Pass(NamedTuple):
    """What a pass needs besides its tensors."""

    backend: Backend
    pattern: SparsePattern
    nonlinearity: Nonlinearity


def pass_of(inputs: Tensor, target: Tensor, source: Tensor, size: int, nonlinearity: str, backend: str) -> Pass:
    """A pass with the pattern that `target` and `source` belong to and the backend that a name stands for."""
    pattern = pattern_of(target, source, size)
    return Pass(load(resolve(backend, inputs, pattern, nonlinearity)), pattern, nonlinearity)


@cache
def wanted_of(asked: tuple[bool, ...]) -> frozenset[str]:
    """The names of the gradients that autograd asks for, of inputs, values, weight_ih, bias and hidden_0."""
    names = ("inputs", "values", "weight_ih", "bias", "hidden_0")
    return frozenset(name for name, wanted in zip(names, asked, strict=True) if wanted)


def run_forward(
    how: Pass, inputs: Tensor, values: Tensor, weight_ih: Tensor, bias: Tensor, hidden_0: Tensor | None
) -> Tensor:
    """The hidden states in the public layout."""
    return outward(
        how.backend.forward(
            inward(inputs),
            values.contiguous(),
            weight_ih.contiguous(),
            bias.contiguous(),
            None if hidden_0 is None else hidden_0.mT,
            how.pattern,
            how.nonlinearity,
        )
    )


def run_backward(
    how: Pass,
    wanted: frozenset[str],
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
) -> Gradients:
    """The wanted gradients in the public layout."""
    found = how.backend.backward(
        inward(grad),
        inward(hidden),
        inward(inputs),
        values.contiguous(),
        weight_ih.contiguous(),
        None if hidden_0 is None else hidden_0.mT,
        how.pattern,
        how.nonlinearity,
        wanted,
    )
    if found.inputs is None and found.hidden_0 is None:
        return found
    return found._replace(
        inputs=None if found.inputs is None else outward(found.inputs),
        hidden_0=None if found.hidden_0 is None else found.hidden_0.mT,
    )


def inward(tensor: Tensor) -> Tensor:
    """[population, batch, time, n] as a view [time, population, n, batch]."""
    return tensor.permute(2, 0, 3, 1)


def outward(tensor: Tensor) -> Tensor:
    """[time, population, n, batch] as a view [population, batch, time, n]."""
    return tensor.permute(1, 3, 0, 2)
