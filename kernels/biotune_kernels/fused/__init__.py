"""What a training step does around the recurrence, in few launches on an NVIDIA GPU: sums, readout, optimisers.

A GPU takes about as long to begin a kernel as to add up the numbers of a small network. PyTorch's operations, one after
another as they run on a CPU, would take longer than the recurrence itself. Every sum is in an order that the length of
what is summed decides alone: a network's bits depend neither on the networks beside it nor on its place among them.
"""

import importlib
from functools import cache
from types import ModuleType
from typing import Literal

import torch

from biotune_kernels.backends import triton


@cache
def fused_kernels(what: Literal["sums", "optimizers"], device: torch.device, dtype: torch.dtype) -> ModuleType | None:
    """The module `biotune_kernels.fused.<what>` where it is usable, otherwise None; it loads Triton, slowly."""
    if triton.unusable(device, dtype) is not None:
        return None
    return importlib.import_module(f"biotune_kernels.fused.{what}")
