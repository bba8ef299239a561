"""How a pattern's edges lie in memory for the C++ passes: in blocks and groups of four, see `Lines` in interface.h."""

from dataclasses import dataclass

import torch
from torch import Tensor

from biotune_kernels.pattern import Compressed

_CACHES = (48 * 1024, 256 * 1024)  # bytes of a usual first-level cache, and of a part of a second-level one
_FEW = 9  # edges per line that must be saved from missing the cache to make up for starting the line once more
_LARGEST = 2**16 - 1  # places in a block are 16-bit numbers, and the row of zeros needs one


@dataclass(frozen=True)
class Lines:
    """A population's edges in groups of four, by replicate, block and line.

    Args:
        other: uint16 [groups, 4]; each edge's other end, counted from the start of its block.
        slot: int32 [population, nnz]; each edge's place among the groups of its replicate, for the edges as given.
        start: int64 [population * blocks * size + 1]; each line's first group.
        blocks: number of blocks.
        block: other ends per block.
    """

    other: Tensor
    slot: Tensor
    start: Tensor
    blocks: int
    block: int

    @property
    def groups(self) -> int:
        return self.other.shape[0]


def block_size(size: int, nnz: int, row_bytes: int) -> int:
    """How many other ends a block has, so that their states, of `row_bytes` each, stay in a cache if that pays.

    Each further block goes through every line once more. That pays if a line has many edges whose other ends would
    otherwise miss the cache. The sizes of caches are fixed, not read off the machine, so that sums have the same order
    everywhere.
    """
    for cache in _CACHES:
        most = max(cache // row_bytes, 1)
        if most >= size:
            break
        blocks = -(-size // most)
        if nnz / size * (1 - most / size) >= _FEW * (blocks - 1):
            return -(-size // blocks)
    return -(-size // -(-size // _LARGEST))


def with_network(lines: Lines, network: int, other: Lines) -> Lines:
    """The lines of a population in which one network, by its place, has those of `other`, a population of one."""
    slots = lines.slot.clone()
    slots[network] = other.slot[0]
    own = len(other.start) - 1  # lines of a network, in all blocks
    first, last = network * own, (network + 1) * own
    before, after = int(lines.start[first]), int(lines.start[last])
    end = before + other.groups
    return Lines(
        other=torch.cat((lines.other[:before], other.other, lines.other[after:])),
        slot=slots,
        start=torch.cat((lines.start[:first], other.start[:-1] + before, lines.start[last:] - after + end)),
        blocks=lines.blocks,
        block=lines.block,
    )


def lay_out(lines: Compressed, size: int, block: int, fill: int) -> Lines:
    """The compressed `lines` in groups; padding points at place `fill` of its block."""
    population, nnz = lines.other.shape
    blocks = -(-size // block)
    line = torch.repeat_interleave(torch.arange(population * size), lines.start.diff(dim=1).flatten())
    replicate, line = line // size, line % size
    other = lines.other.flatten().long()
    key = (replicate * blocks + other // block) * size + line
    position = key.argsort(stable=True) if blocks > 1 else torch.arange(population * nnz)
    key = key[position]
    count = torch.bincount(key, minlength=population * blocks * size)
    start = torch.zeros(population * blocks * size + 1, dtype=torch.int64)
    torch.cumsum((count + 3) // 4, dim=0, out=start[1:])
    first = count.cumsum(0) - count
    slot = 4 * start[key] + torch.arange(population * nnz) - first[key]
    slots = 4 * int(start[-1])
    edge = torch.arange(population * nnz)
    if lines.order is not None:
        edge = (lines.order + nnz * torch.arange(population)[:, None]).flatten()
    within = slot - 4 * start[:: blocks * size][replicate[position]]
    return Lines(
        other=torch.full((slots,), fill).scatter_(0, slot, other[position] % block).to(torch.uint16).view(-1, 4),
        slot=torch.empty_like(slot).scatter_(0, edge[position], within).int().view(population, nnz),
        start=start,
        blocks=blocks,
        block=block,
    )
