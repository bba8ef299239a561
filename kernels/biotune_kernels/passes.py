"""One pass through a backend: population first outside, time first and batch last inside."""

from functools import cache
from typing import NamedTuple

from torch import Tensor

from biotune_kernels.backends import load
from biotune_kernels.contract import Backend, Gradients
from biotune_kernels.pattern import SparsePattern, pattern_of
from biotune_kernels.select import resolve


class _How(NamedTuple):
    """Everything about a pass that is no tensor of it."""

    backend: Backend
    pattern: SparsePattern
    nonlinearity: str


def _how(inputs: Tensor, target: Tensor, source: Tensor, size: int, nonlinearity: str, backend: str) -> _How:
    pattern = pattern_of(target, source, size)
    return _How(load(resolve(backend, inputs, pattern, nonlinearity)), pattern, nonlinearity)


@cache
def _wanted(asked: tuple[bool, ...]) -> frozenset[str]:
    names = ("inputs", "values", "weight_ih", "bias", "hidden_0")
    return frozenset(name for name, wanted in zip(names, asked, strict=True) if wanted)


def _forward(
    how: _How, inputs: Tensor, values: Tensor, weight_ih: Tensor, bias: Tensor, hidden_0: Tensor | None
) -> Tensor:
    return _outward(
        how.backend.forward(
            _inward(inputs),
            values.contiguous(),
            weight_ih.contiguous(),
            bias.contiguous(),
            None if hidden_0 is None else hidden_0.mT,
            how.pattern,
            how.nonlinearity,
        )
    )


def _backward(
    how: _How,
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
        _inward(grad),
        _inward(hidden),
        _inward(inputs),
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
        inputs=None if found.inputs is None else _outward(found.inputs),
        hidden_0=None if found.hidden_0 is None else found.hidden_0.mT,
    )


def _inward(tensor: Tensor) -> Tensor:
    """[population, batch, time, n] as a view [time, population, n, batch]."""
    return tensor.permute(2, 0, 3, 1)


def _outward(tensor: Tensor) -> Tensor:
    """[time, population, n, batch] as a view [population, batch, time, n]."""
    return tensor.permute(1, 3, 0, 2)
