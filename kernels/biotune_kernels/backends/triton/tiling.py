"""How the work on tiles is divided among programs: by what fits a GPU, and what was fastest on an H200.

Widths of blocks may depend on the population, since they change no bit of a network; the order of a sum may not.
"""

from functools import cache
from typing import NamedTuple

import torch
import triton


class Tiling(NamedTuple):
    """How a network is divided among programs, and how these multiply.

    block_n: neurons, with those that pad them. block_b: batch columns of a program. resident: columns of the matrix
    that stay in shared memory. block_k: columns that stream into it together; num_stages of them are there at once.
    """

    block_n: int
    block_b: int
    resident: int
    block_k: int
    num_warps: int
    num_stages: int


class Blocks(NamedTuple):
    """How the gradients are divided among programs."""

    block_r: int
    block_c: int
    block_k: int
    num_warps: int
    num_stages: int


class Machine(NamedTuple):
    """multiprocessors: their number; shared_memory: bytes per program, at most; wide: Hopper or later."""

    multiprocessors: int
    shared_memory: int
    wide: bool


RESIDENT_BEFORE_HOPPER = 64
"""Columns that may be resident before Hopper, whose tensor cores take the matrix from registers."""


TILINGS = {
    256: (
        Tiling(256, 32, 128, 32, num_warps=8, num_stages=2),
        Tiling(256, 32, 64, 32, num_warps=8, num_stages=2),
        Tiling(256, 16, 32, 16, num_warps=8, num_stages=2),
    ),
    128: (
        Tiling(128, 32, 0, 32, num_warps=8, num_stages=2),
        Tiling(128, 32, 32, 32, num_warps=8, num_stages=2),
    ),
    0: (Tiling(0, 32, 0, 32, num_warps=4, num_stages=2),),
}
"""Padded size -> tilings, the first that fits is taken; 0: any smaller size, and a resident matrix."""


LARGE_BLOCKS = Blocks(128, 128, 32, num_warps=8, num_stages=3)
SMALL_BLOCKS = Blocks(64, 64, 32, num_warps=4, num_stages=3)


def padded(size: int) -> int:
    return max(16, triton.next_power_of_2(size))


def tiling_of(device: torch.device, population: int, size: int, batch: int) -> Tiling:
    """What fits the GPU; with few networks narrow blocks of the batch, so that more of it is busy.

    How wide they are changes no bit, since a column's sums do not know of other columns. How many columns of the matrix
    are resident does, so that is decided before, by the size and the batch alone.
    """
    machine = machine_of(device)
    block_n = padded(size)
    most = block_n if machine.wide else RESIDENT_BEFORE_HOPPER
    widest = max(16, triton.next_power_of_2(batch))
    few = population * triton.cdiv(batch, 16) <= machine.multiprocessors
    for tiling in TILINGS[block_n] if block_n in TILINGS else TILINGS[0]:
        tiling = tiling._replace(
            block_n=block_n,
            block_b=min(tiling.block_b, widest),
            resident=tiling.resident or block_n,
            block_k=min(tiling.block_k, block_n),
        )
        if _shared_memory(tiling) <= machine.shared_memory and tiling.resident <= most:
            return tiling._replace(block_b=16) if few else tiling
    raise RuntimeError(f"no tiling for networks of {size} neurons fits {machine.shared_memory} bytes of shared memory")


def _shared_memory(tiling: Tiling) -> int:
    """Bytes of shared memory that a program takes, at most."""
    kept = tiling.resident * (tiling.block_n + tiling.block_b)
    streamed = tiling.num_stages * tiling.block_k * (tiling.block_n + tiling.block_b)
    if tiling.resident == tiling.block_n:
        return 4 * (kept + tiling.block_n * tiling.block_b)
    return 4 * (kept + streamed)


def blocks_of(device: torch.device, population: int, size: int) -> Blocks:
    """Large blocks, which load each state less often, if they keep the GPU busy; which ones changes no bit."""
    machine = machine_of(device)
    narrow = max(16, triton.next_power_of_2(size))
    programs = population * triton.cdiv(size, SMALL_BLOCKS.block_r) * (triton.cdiv(size, SMALL_BLOCKS.block_c) + 1)
    few = programs <= 2 * machine.multiprocessors or not machine.wide
    blocks = SMALL_BLOCKS if few else LARGE_BLOCKS
    return blocks._replace(block_r=min(blocks.block_r, narrow), block_c=min(blocks.block_c, narrow))


@cache
def machine_of(device: torch.device) -> Machine:
    if device.type != "cuda":
        return Machine(1, 1 << 17, True)
    found = triton.runtime.driver.active.utils.get_device_properties(torch.cuda.current_device())
    wide = torch.cuda.get_device_capability(device) >= (9, 0)
    return Machine(found["multiprocessor_count"], found["max_shared_mem"], wide)
