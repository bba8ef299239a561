"""What a training step does around the recurrence, in few launches on an NVIDIA GPU: sums, readout, optimisers.

A GPU takes about as long to begin a kernel as to add up the numbers of a small network. PyTorch's operations, one after
another as they run on a CPU, would take longer than the recurrence itself. Every sum is in an order that the length of
what is summed decides alone: a network's bits depend neither on the networks beside it nor on its place among them.
"""

from functools import cache
from types import ModuleType

import torch

from biotune_kernels.backends import triton


@cache
def _usable(device: torch.device, dtype: torch.dtype) -> bool:
    return triton.unusable(device, dtype) is None


def fused_sums(device: torch.device, dtype: torch.dtype) -> ModuleType | None:
    """The module `biotune_kernels.fused.sums` where it is usable, otherwise None."""
    if not _usable(device, dtype):
        return None
    from biotune_kernels.fused import sums  # loads Triton, slowly

    return sums


def fused_optimizers(device: torch.device, dtype: torch.dtype) -> ModuleType | None:
    """The module `biotune_kernels.fused.optimizers` where it is usable, otherwise None."""
    if not _usable(device, dtype):
        return None
    from biotune_kernels.fused import optimizers

    return optimizers
