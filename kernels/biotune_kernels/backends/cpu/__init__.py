"""Backend `cpu`: the whole time loop in C++, batch columns of a row in vector registers while its edges are walked.

The library has a plain C interface and is not compiled against PyTorch. `interface.h` says what passes between the two,
`passes.h` how it is computed; results are the same, bit for bit, from run to run and with any number of threads.
"""

from ctypes import byref
from typing import Literal

import torch
from torch import Tensor

from biotune_kernels.backends.cpu.layout import Lines, block_size, lay_out, with_network
from biotune_kernels.backends.cpu.library import CBackward, CForward, CLines, CShape, CStrided, CWeights, library
from biotune_kernels.contract import NONLINEARITIES, Gradients, Nonlinearity
from biotune_kernels.pattern import Compressed, SparsePattern

_COLUMNS = {"rows": 64, "columns": 64, "weights": 128}
"""Batch columns whose states share the first-level cache in each pass: the widest chunk with AVX-512 and float32."""


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"it runs on cpu only, not on {device.type}"
    if library() is None:
        return "its library isn't compiled; install a C++17 compiler (g++ or clang++) and run pip install -e . again"
    return None


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    return None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return device.type == "cpu"  # each network is computed by itself, and every sum has a fixed order


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    time, population, _, batch = inputs.shape
    lines = _lines(pattern, "rows", values.element_size())
    arranged, kinds = values.new_zeros(lines.groups, 4), _kinds(nonlinearity, population)
    hidden = values.new_empty(time, population, pattern.size, batch)
    job = CForward(
        _shape(inputs, pattern, kinds),
        CLines.of(lines),
        arranged.data_ptr(),
        weight_ih.data_ptr(),
        bias.data_ptr(),
        CStrided.of(inputs),
        CStrided.of(hidden_0),
        hidden.data_ptr(),
    )
    _run("forward", values.dtype, byref(job), values.data_ptr(), arranged.data_ptr())
    return hidden


def backward(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
    wanted: frozenset[str],
) -> Gradients:
    kinds = _kinds(nonlinearity, pattern.population)
    shape = _shape(inputs, pattern, kinds)
    lines = _lines(pattern, "columns", values.element_size())
    arranged = values.new_zeros(lines.groups, 4)
    grad_pre = torch.empty_like(hidden)
    grad_hidden_0 = torch.empty_like(hidden[0]) if "hidden_0" in wanted else None
    states = CBackward(
        shape,
        CLines.of(lines),
        arranged.data_ptr(),
        hidden.data_ptr(),
        CStrided.of(grad),
        grad.shape[0],
        grad_pre.data_ptr(),
        None if grad_hidden_0 is None else grad_hidden_0.data_ptr(),
    )
    _run("backward", values.dtype, byref(states), values.data_ptr(), arranged.data_ptr())
    del arranged
    gradients = Gradients(
        hidden_0=grad_hidden_0, inputs=torch.matmul(weight_ih.mT, grad_pre) if "inputs" in wanted else None
    )
    if wanted.isdisjoint(("values", "weight_ih", "bias")):
        return gradients

    lines = _lines(pattern, "weights", values.element_size())
    sums = values.new_zeros(lines.groups, 4) if "values" in wanted else None
    grad_values = torch.empty_like(values) if "values" in wanted else None
    grad_weight_ih, grad_bias = torch.empty_like(weight_ih), values.new_empty(pattern.population, pattern.size)
    initial = None if hidden_0 is None else hidden_0.contiguous()
    weights = CWeights(
        shape,
        CLines.of(lines),
        hidden.data_ptr(),
        grad_pre.data_ptr(),
        CStrided.of(inputs),
        None if initial is None else initial.data_ptr(),
        None if sums is None else sums.data_ptr(),
        grad_weight_ih.data_ptr(),
        grad_bias.data_ptr(),
    )
    _run("weights", values.dtype, byref(weights), None if grad_values is None else grad_values.data_ptr())
    return gradients._replace(values=grad_values, weight_ih=grad_weight_ih, bias=grad_bias)


def _run(name: str, dtype: torch.dtype, *arguments: object) -> None:
    function = getattr(library(), f"sparse_rnn_{name}_{'float' if dtype == torch.float32 else 'double'}")
    if function(*arguments, torch.get_num_threads()):
        raise MemoryError(f"backend cpu: no memory for the {name} pass's scratch")


def _kinds(nonlinearity: Nonlinearity, population: int) -> Tensor:
    """The place of each network's nonlinearity in `NONLINEARITIES`, uint8 [population]."""
    if isinstance(nonlinearity, Tensor):
        return nonlinearity
    return torch.full((population,), NONLINEARITIES.index(nonlinearity), dtype=torch.uint8)


def _shape(inputs: Tensor, pattern: SparsePattern, kinds: Tensor) -> CShape:
    time, population, input_size, batch = inputs.shape
    return CShape(population, pattern.size, pattern.nnz, batch, time, input_size, kinds.data_ptr())


def _lines(pattern: SparsePattern, walk: Literal["rows", "columns", "weights"], element: int) -> Lines:
    """The edges in the order of a pass: by rows forward and for the weights, by columns backward.

    The weights have blocks of their own, since they take more batch columns at once.
    """
    if pattern.nnz >= 2**29:  # slots are 32-bit, and each edge may need a group of four
        raise ValueError(f"pattern: {pattern.nnz} edges per network; backend cpu takes fewer than {2**29}")

    def make(networks: slice) -> Lines:
        block = block_size(pattern.size, pattern.nnz, _COLUMNS[walk] * element)
        by = pattern.by_column if walk == "columns" else pattern.by_row
        some = Compressed(by.start[networks], by.other[networks], None if by.order is None else by.order[networks])
        # padding must add nothing: a row of zeros follows each block of states; the weights pass drops padding's sums
        return lay_out(some, pattern.size, block, fill=0 if walk == "weights" else block)

    def refresh(kept: list[Lines], network: int) -> None:
        kept[0] = with_network(kept[0], network, make(slice(network, network + 1)))

    return pattern.kept(("cpu", walk, element), lambda: [make(slice(None))], refresh)[0]
