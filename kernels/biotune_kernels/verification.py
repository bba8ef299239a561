"""Whether a backend computes on this machine what it should: it is checked before it is trusted.

A short pass of the backend, with the problem's own edges, networks, batch and nonlinearity, is compared with the
definition (backend `reference`) in float64 on the CPU: the hidden states, and the gradients that training uses, of the
values, the input weights and the bias.

    deviation = ‖found - exact‖ / ‖exact‖

The exact gradients are computed at the hidden states that the backend found. Otherwise relu's kink would count against
it: a preactivation within rounding of 0 may come out on the other side.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from biotune_kernels.backends import DEFINITION, load
from biotune_kernels.contract import TRAINED
from biotune_kernels.memory import Finding, describe_machine, versions
from biotune_kernels.pattern import SparsePattern

_STEPS, _FIRST = 5, 2
"""Time steps of the pass, and those of them that the loss doesn't read: a gradient that is wrong from the third step
back is seen, and so is one that is wrong at steps without a loss."""

_NETWORKS, _COLUMNS, _EDGES = 2, 8, 2**17
"""Compared at most: networks, the first and the last; batch columns, one from each eighth of the batch, so that each
of a kernel's blocks has one; edges of a network. Other edges have the value 0, other batch columns the gradient 0, so
that the definition can do without them."""

_OPERATIONS = 1e9
"""On a CPU, fewer networks and batch columns run where the pass would be more than this: no backend's choice of a
kernel depends on them there, except how many columns `cpu` takes at once, which changes none of its sums."""

_TOLERANCES = {"highest": 2e-5, "high": 2e-3, "medium": 2e-2}
"""By how exactly float32 matrices are to be multiplied, in PyTorch's words. With operands rounded to TF32 ("high") the
deviation is 4e-4, with bfloat16 ("medium") 3e-3."""

_COMPARED = {"hidden", *TRAINED}

_verified: dict[tuple[Any, ...], "Verification"] = {}


@dataclass(frozen=True)
class Pass:
    """What training asks of a backend: its variants may depend on any of it.

    Attributes:
        networks: of a population. edges: of a network. inputs: a step.
        dtype: "float32" or "float64". precision: "highest", "high" or "medium", as PyTorch has it.
    """

    networks: int
    neurons: int
    edges: int
    batch: int
    inputs: int
    nonlinearity: str
    dtype: str
    precision: str

    def __str__(self) -> str:
        networks = f"{self.networks} networks" if self.networks > 1 else "a network"
        precision = "" if self.precision == "highest" else f", precision {self.precision}"
        return (
            f"{networks} of {self.neurons} neurons and {self.edges} edges, batch {self.batch}, {self.nonlinearity}, "
            f"{self.dtype}{precision}"
        )


@dataclass(frozen=True)
class Verification:
    """How far a backend is from the definition.

    Attributes:
        deviation: of "hidden", "values", "weight_ih" and "bias".
        tolerance: of each, by the precision asked for.
        machine, versions: where it was seen.
    """

    backend: str
    device: str
    asked: Pass
    deviation: Mapping[str, float]
    tolerance: float
    machine: str
    versions: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether the backend can be trusted here."""
        return all(value <= self.tolerance for value in self.deviation.values())  # NaN isn't

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.1g}" for name, value in self.deviation.items())
        used = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"backend {self.backend} deviates from its definition in float64 on {self.machine} by {found}, where "
            f"{self.tolerance:g} is allowed ({self.asked}; {used})"
        )


def verify(
    backend: str,
    pattern: SparsePattern,
    batch: int,
    input_size: int,
    nonlinearity: str = "tanh",
    dtype: torch.dtype = torch.float32,
) -> Verification:
    """How far a backend is from its definition at this shape, on the pattern's device, with the present threads.

    Seen once for a shape; that it passed is remembered on disk.

    Args:
        backend: a name of `available_backends()` that is usable on the device.
        pattern: the edges.
        batch: trials of a pass.
        input_size: inputs of a step.
        nonlinearity: "tanh" or "relu".
        dtype: of all tensors.
    """
    precision = torch.get_float32_matmul_precision()
    name = str(dtype).removeprefix("torch.")
    asked = Pass(pattern.population, pattern.size, pattern.nnz, batch, input_size, nonlinearity, name, precision)
    key = backend, asked, pattern.device, torch.get_num_threads()
    if key not in _verified:
        finding = Finding("deviation", pattern.device, backend=backend, asked=asdict(asked))
        seen = finding.read() or {}
        if set(seen) != _COMPARED:
            seen = deviation(backend, pattern, batch, input_size, nonlinearity, dtype)
        found = Verification(
            backend,
            pattern.device.type,
            asked,
            seen,
            tolerance(dtype, precision),
            describe_machine(pattern.device),
            versions(),
        )
        if found.passed:  # what did not is looked at again by the next process
            finding.write(seen)
        _verified[key] = found
    return _verified[key]


def tolerance(dtype: torch.dtype, precision: str) -> float:
    """The deviation that rounding explains."""
    return 1e-12 if dtype == torch.float64 else _TOLERANCES[precision]


class _Arguments(NamedTuple):
    """Of a pass; in the layout of `contract.py`, but for `grad`, which has those batch columns alone that are not 0."""

    inputs: Tensor
    values: Tensor
    weight_ih: Tensor
    bias: Tensor
    grad: Tensor


@torch.no_grad()
def deviation(
    backend: str,
    pattern: SparsePattern,
    batch: int,
    input_size: int,
    nonlinearity: str = "tanh",
    dtype: torch.dtype = torch.float32,
) -> dict[str, float]:
    """‖found - exact‖ / ‖exact‖ of "hidden", and of the gradients "values", "weight_ih" and "bias", seen now.

    The arguments are those of `verify`.
    """
    pattern, batch = _part(pattern, batch, input_size)
    generator = torch.Generator().manual_seed(0)  # one of the CPU, so that every device is given the same numbers
    edges, columns = (_one_of_each_part(*of, generator) for of in ((pattern.nnz, _EDGES), (batch, _COLUMNS)))
    networks = torch.tensor(sorted({0, pattern.population - 1}))
    given = _arguments(pattern, batch, input_size, dtype, edges, len(columns), generator)

    module, there = load(backend), pattern.device
    inner = given.inputs.to(there), given.values.to(there), given.weight_ih.to(there)
    hidden = module.forward(*inner, given.bias.to(there), None, pattern, nonlinearity)
    grad = torch.zeros_like(hidden[_FIRST:])
    grad[..., columns.to(there)] = given.grad.to(there)
    gradients = module.backward(grad, hidden, *inner, None, pattern, nonlinearity, TRAINED)

    def taken(tensor: Tensor | None, *places: Tensor) -> Tensor:
        """What is compared of a tensor [network, ...]."""
        assert tensor is not None
        return tensor[tuple(place.to(tensor.device) for place in places)].cpu()

    at_edges = networks[:, None], edges
    sample = SparsePattern(taken(pattern.target, *at_edges), taken(pattern.source, *at_edges), pattern.size)
    values, weight_ih = taken(given.values, *at_edges).double(), given.weight_ih[networks].double()
    inputs = given.inputs[:, networks][..., columns].double()
    definition = load(DEFINITION)
    states = definition.forward(inputs, values, weight_ih, given.bias[networks].double(), None, sample, nonlinearity)
    reached = hidden[:, networks.to(there)][..., columns.to(there)].cpu().double()
    grad = given.grad[:, networks].double()
    exact = definition.backward(grad, reached, inputs, values, weight_ih, None, sample, nonlinearity, TRAINED)
    return {
        "bias": _relative(taken(gradients.bias, networks), exact.bias),
        "hidden": _relative(reached, states),
        "values": _relative(taken(gradients.values, *at_edges), exact.values),
        "weight_ih": _relative(taken(gradients.weight_ih, networks), exact.weight_ih),
    }


def _part(pattern: SparsePattern, batch: int, input_size: int) -> tuple[SparsePattern, int]:
    """The networks and the number of batch columns that run: all on a GPU, whose kernels' blocks depend on them."""
    networks = pattern.population
    if pattern.device.type == "cpu":
        one = 6 * _STEPS * (pattern.nnz + pattern.size * input_size) + 1  # of a network and a batch column
        if one * batch * networks > _OPERATIONS:
            networks = min(networks, _NETWORKS, max(int(_OPERATIONS / (one * batch)), 1))
            batch = min(batch, max(int(_OPERATIONS / (one * networks)), _COLUMNS))
        if networks == pattern.population:
            return pattern, batch
    # a pattern of its own: on a GPU, graphs are recorded of its passes, which hold memory as long as it lives
    return SparsePattern(pattern.target[:networks], pattern.source[:networks], pattern.size), batch


def _one_of_each_part(count: int, parts: int, generator: torch.Generator) -> Tensor:
    """So many of 0 .. count - 1, one from each of as many parts of equal length."""
    parts = min(parts, count)
    ends = torch.linspace(0, count, parts + 1, dtype=torch.float64).long()
    return ends[:-1] + (torch.rand(parts, generator=generator) * ends.diff()).long()


def _arguments(
    pattern: SparsePattern,
    batch: int,
    input_size: int,
    dtype: torch.dtype,
    edges: Tensor,
    columns: int,
    generator: torch.Generator,
) -> _Arguments:
    """Random ones, on the CPU, of a scale at which inputs and recurrence count alike."""
    population, size = pattern.population, pattern.size

    def random(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*shape, generator=generator) * scale).to(dtype)

    values = torch.zeros(population, pattern.nnz, dtype=dtype)
    values[:, edges] = random(population, len(edges), scale=(size / max(len(edges), 1)) ** 0.5)
    return _Arguments(
        inputs=random(population, batch, _STEPS, input_size).permute(2, 0, 3, 1),  # strides as in training
        values=values,
        weight_ih=random(population, size, input_size, scale=max(input_size, 1) ** -0.5),
        bias=random(population, size, scale=0.1),
        grad=random(_STEPS - _FIRST, population, size, columns),
    )


def _relative(found: Tensor, exact: Tensor | None) -> float:
    """The norm of their difference, of that of `exact`; by itself where that is 0."""
    assert exact is not None
    norm = torch.linalg.vector_norm(exact)
    return float(torch.linalg.vector_norm(found.double() - exact) / (norm if norm > 0 else 1))
