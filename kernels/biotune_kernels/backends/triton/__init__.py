"""Backend `triton`: kernels for NVIDIA GPUs.

Networks of up to 256 neurons run as masked dense tiles, with the loop over time inside one launch (`tile.py`; the
gradients of the weights in `gradients.py`, the numbers that are multiplied in `pairs.py`, the division of the work in
`tiling.py`). Larger ones, and all in float64, run as gathered rows, with one launch per step (`rows.py`). The gradient
of the values is summed once, over all steps, each part by one program in a fixed order: there are no atomics, and
results repeat bit for bit.

Tiles multiply on tensor cores, as exactly as `torch.get_float32_matmul_precision()` asks. At "highest", PyTorch's
default, a number is the sum of two of float16, times a power of two, and three of their products make one of float32:
22 bits, twice as fast as three TF32 products. At "high" and "medium" one float16 product does, of 11 bits as in TF32.
States and sums are float32 always.

With TRITON_INTERPRET=1 set before Python starts, Triton's interpreter runs the kernels on CPU tensors: slowly, for
tests, and in float32 whatever the precision asked for.
"""

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor

from biotune_kernels.contract import TRAINED, Gradients, Nonlinearity
from biotune_kernels.pattern import SparsePattern

_TILE_SIZE = 256
"""A network with at most this many neurons is one tile."""


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton isn't installed; pip install triton, in the version made for this PyTorch"
    if interpreted():
        return None
    if device.type != "cuda" or torch.version.cuda is None:
        return "it needs an NVIDIA GPU; use device cuda (or, for tests, set TRITON_INTERPRET=1 before Python starts)"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a GPU of compute capability 8.0 or more (A100 and later); use another backend"
    return None


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    return "Triton's interpreter is for tests alone" if interpreted() else None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return _is_tile(size, dtype)  # rows call cuBLAS, which chooses its kernels by the number of matrices


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    hidden_0 = None if hidden_0 is None else hidden_0.contiguous()
    with _launching(inputs):
        return _kernels(pattern, values).forward(inputs, values, weight_ih, bias, hidden_0, pattern, nonlinearity)


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
    kernels = _kernels(pattern, values)
    with _launching(inputs):
        hidden_0 = None if hidden_0 is None else hidden_0.contiguous()
        grad_pre, largest = kernels.preactivation_gradient(grad, hidden, values, hidden_0, pattern, nonlinearity)
        of_values = of_weight_ih = of_bias = None
        if wanted & TRAINED:
            of_values, of_weight_ih, of_bias = kernels.weight_gradients(
                grad_pre, largest, hidden, inputs, hidden_0, pattern
            )
        return Gradients(
            values=of_values,
            weight_ih=of_weight_ih,
            bias=of_bias,
            inputs=torch.matmul(weight_ih.mT, grad_pre) if "inputs" in wanted else None,
            hidden_0=kernels.transposed_times(grad_pre[0], values, pattern) if "hidden_0" in wanted else None,
        )


@contextmanager
def _launching(inputs: Tensor) -> Iterator[None]:
    """Launches on the GPU that holds `inputs`; what Triton raises becomes a RuntimeError, as of any other backend."""
    from triton.errors import TritonError

    try:
        with torch.cuda.device_of(inputs):
            yield
    except TritonError as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _is_tile(size: int, dtype: torch.dtype) -> bool:
    return size <= _TILE_SIZE and dtype == torch.float32


def _kernels(pattern: SparsePattern, values: Tensor) -> ModuleType:
    """`tile` or `rows`, imported only when needed: Triton may not be installed, and loads slowly."""
    name = "tile" if _is_tile(pattern.size, values.dtype) else "rows"
    return importlib.import_module(f"biotune_kernels.backends.triton.{name}")
