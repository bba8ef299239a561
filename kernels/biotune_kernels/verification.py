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
from biotune_kernels.contract import TRAINED, nonlinearity_of
from biotune_kernels.memory import Finding, describe_machine, versions
from biotune_kernels.pattern import SparsePattern

_STEPS, _FIRST = 5, 2
"""Time steps of the pass, and how many of the first ones the loss does not read. So a gradient is noticed that is wrong
only from the third step back, or only at steps without a loss."""

_NETWORKS, _COLUMNS, _EDGES = 2, 8, 2**17
"""How much is compared at most: networks (the first and the last), batch columns (one from each eighth of the batch, so
that every block of a kernel has one) and edges per network. All other edges have the value 0 and all other columns the
gradient 0, so that the definition can leave them out."""

_OPERATIONS = 1e9
"""If the pass would take more than this on a CPU, fewer networks and batch columns run. No backend's choice of a kernel
depends on them there, except how many columns `cpu` takes at once, which changes none of its sums."""

_TOLERANCES = {"highest": 2e-5, "high": 2e-3, "medium": 2e-2}
"""torch.get_float32_matmul_precision() -> largest deviation allowed in float32. With operands rounded to TF32 ("high")
it is 4e-4, with bfloat16 ("medium") 3e-3."""

_COMPARED = {"hidden", *TRAINED}

_verified: dict[tuple[Any, ...], "Verification"] = {}


@dataclass(frozen=True)
class Pass:
    """What training asks of a backend. Which kernel a backend takes may depend on any of it.

    Attributes:
        networks: in the population.
        neurons: per network.
        edges: per network.
        batch: trials.
        inputs: per time step.
        nonlinearity: "tanh", "relu", or "mixed" if networks differ in it.
        dtype: "float32" or "float64".
        precision: "highest", "high" or "medium", see `torch.get_float32_matmul_precision`.
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
        deviation: "hidden", "values", "weight_ih" or "bias" -> how far it is off.
        tolerance: the largest deviation allowed, by the precision asked for.
        machine: on which this was found.
        versions: with which this was found.
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
        return all(value <= self.tolerance for value in self.deviation.values())  # False for NaN

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.1g}" for name, value in self.deviation.items())
        used = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"backend {self.backend} deviates from its definition in float64 on {self.machine} by {found}; "
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
    """How far a backend is from the definition at this shape, on the pattern's device, with the present threads.

    It runs once per shape; a pass that succeeded is remembered on disk.

    Args:
        backend: a name of `available_backends()` that is usable on the device.
        pattern: the edges.
        batch: trials per pass.
        input_size: inputs per time step.
        nonlinearity: "tanh", "relu" or "mixed".
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
        if found.passed:  # if it did not, the next process tries again
            finding.write(seen)
        _verified[key] = found
    return _verified[key]


def tolerance(dtype: torch.dtype, precision: str) -> float:
    """The deviation that rounding explains."""
    return 1e-12 if dtype == torch.float64 else _TOLERANCES[precision]


class _Arguments(NamedTuple):
    """The arguments of a pass, in the layout of `contract.py`; `grad` only has the batch columns that are not 0."""

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
    """‖found - exact‖ / ‖exact‖ of "hidden", and of the gradients "values", "weight_ih" and "bias".

    Unlike `verify`, it always runs the pass. The arguments are the same.
    """
    pattern, batch = _part(pattern, batch, input_size)
    generator = torch.Generator().manual_seed(0)  # on the CPU, so that every device gets the same numbers
    edges, columns = (_one_of_each_part(*of, generator) for of in ((pattern.nnz, _EDGES), (batch, _COLUMNS)))
    networks = torch.tensor(sorted({0, pattern.population - 1}))
    given = _arguments(pattern, batch, input_size, dtype, edges, len(columns), generator)

    module, there = load(backend), pattern.device
    each = nonlinearity_of(nonlinearity, pattern.population, there)
    inner = given.inputs.to(there), given.values.to(there), given.weight_ih.to(there)
    hidden = module.forward(*inner, given.bias.to(there), None, pattern, each)
    grad = torch.zeros_like(hidden[_FIRST:])
    grad[..., columns.to(there)] = given.grad.to(there)
    gradients = module.backward(grad, hidden, *inner, None, pattern, each, TRAINED)

    def taken(tensor: Tensor | None, *places: Tensor) -> Tensor:
        """The part of a tensor [network, ...] that is compared."""
        assert tensor is not None
        return tensor[tuple(place.to(tensor.device) for place in places)].cpu()

    at_edges = networks[:, None], edges
    sample = SparsePattern(taken(pattern.target, *at_edges), taken(pattern.source, *at_edges), pattern.size)
    values, weight_ih = taken(given.values, *at_edges).double(), given.weight_ih[networks].double()
    inputs = given.inputs[:, networks][..., columns].double()
    definition = load(DEFINITION)
    of_sample = each if isinstance(each, str) else taken(each, networks)
    states = definition.forward(inputs, values, weight_ih, given.bias[networks].double(), None, sample, of_sample)
    reached = hidden[:, networks.to(there)][..., columns.to(there)].cpu().double()
    grad = given.grad[:, networks].double()
    exact = definition.backward(grad, reached, inputs, values, weight_ih, None, sample, of_sample, TRAINED)
    return {
        "bias": _relative(taken(gradients.bias, networks), exact.bias),
        "hidden": _relative(reached, states),
        "values": _relative(taken(gradients.values, *at_edges), exact.values),
        "weight_ih": _relative(taken(gradients.weight_ih, networks), exact.weight_ih),
    }


def _part(pattern: SparsePattern, batch: int, input_size: int) -> tuple[SparsePattern, int]:
    """The networks and the number of batch columns that run: on a GPU all, since its kernels' blocks depend on them."""
    networks = pattern.population
    if pattern.device.type == "cpu":
        one = 6 * _STEPS * (pattern.nnz + pattern.size * input_size) + 1  # of a network and a batch column
        if one * batch * networks > _OPERATIONS:
            networks = min(networks, _NETWORKS, max(int(_OPERATIONS / (one * batch)), 1))
            batch = min(batch, max(int(_OPERATIONS / (one * networks)), _COLUMNS))
        if networks == pattern.population:
            return pattern, batch
    # a new pattern: on a GPU, graphs recorded of its passes hold memory as long as the pattern lives
    return SparsePattern(pattern.target[:networks], pattern.source[:networks], pattern.size), batch


def _one_of_each_part(count: int, parts: int, generator: torch.Generator) -> Tensor:
    """Random numbers from 0 to count - 1, one from each of `parts` ranges of equal length."""
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
    """Random arguments on the CPU, scaled so that inputs and recurrence matter equally."""
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
    """The norm of their difference, divided by the norm of `exact` unless that is 0."""
    assert exact is not None
    norm = torch.linalg.vector_norm(exact)
    return float(torch.linalg.vector_norm(found.double() - exact) / (norm if norm > 0 else 1))
