"""Null models that scatter edges over the pairs of nodes of one kind: anywhere, within region blocks, at a distance.

All use one mechanism: the pairs of nodes form groups, and each edge moves to a pair of its own group.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist

from biotune.errors import UserError
from biotune.topology.arrays import ranges
from biotune.topology.nulls.edges import Edges

DISTANCE_BINS = 20
"""Number of bins, of equally many pairs of regions; `distance_preserving` treats a bin as one distance."""

MAX_POSITIONS = 5000
"""Largest number of regions whose distances are computed: the matrix of all pairs takes 200 MB."""


def erdos_renyi(edges: Edges, generator: np.random.Generator) -> Edges:
    """Every edge moves to a pair drawn from all free pairs: G(n, m) (Erdős & Rényi 1959)."""
    return _scatter_anywhere("erdos_renyi", edges, edges.loops, generator)


def edges_shuffled(edges: Edges, generator: np.random.Generator) -> Edges:
    """The entries off the diagonal are shuffled and those on it stay, as in Goulas, Damicelli & Hilgetag 2021."""
    apart = replace(edges, moving=edges.moving & (edges.source != edges.target))
    return _scatter_anywhere("edges_shuffled", apart, False, generator)


def block_preserving(edges: Edges, generator: np.random.Generator) -> Edges:
    """Each edge moves to another pair of neurons of the same two regions: a stochastic block model with fixed counts.

    Source: Holland, Laskey & Leinhardt 1983, https://doi.org/10.1016/0378-8733(83)90021-7.

    Raises:
        UserError: the nodes are regions, or no edge has a free pair in its block.
    """
    if edges.region is None:
        raise UserError(
            "null block_preserving: regions have no blocks to keep; give level: neuron, or use degree_preserving"
        )
    blocks = np.unique(_block(edges, edges.region))
    return _scatter("block_preserving", edges, edges.region, blocks, np.arange(len(blocks)), edges.loops, generator)


def distance_preserving(edges: Edges, generator: np.random.Generator) -> Edges:
    """Each edge moves to a pair of nodes about as far apart: the number of edges at each distance is kept.

    Distances are those between regions, in `DISTANCE_BINS` bins of equally many region pairs; pairs within a region are
    a bin of their own. So the distance rule stays, and so does the total wiring length, up to the width of the bins
    (after Betzel & Bassett 2018, https://doi.org/10.1073/pnas.1720186115, who keep degrees as well).

    Raises:
        UserError: the connectome has no positions, or too many to compute all distances, or no edge can move.
    """
    if edges.positions is None:
        raise UserError(
            "null distance_preserving: the connectome has no positions of its regions, so there are no distances to "
            "keep; one drawn by the distance rule has them, such as distance_rule:marmoset"
        )
    regions = len(edges.positions)
    if regions > MAX_POSITIONS:
        raise UserError(
            f"null distance_preserving: the connectome has {regions} positions; distances are computed for at most "
            f"{MAX_POSITIONS}"
        )
    region = np.arange(edges.size) if edges.region is None else edges.region
    if int(region.max()) + 1 != regions:
        raise ValueError(f"{regions} positions for {int(region.max()) + 1} regions")
    group = distance_bins(edges.positions).ravel()
    return _scatter("distance_preserving", edges, region, np.arange(regions**2), group, edges.loops, generator)


def distance_bins(positions: np.ndarray) -> np.ndarray:
    """The bin of each pair's distance, int64 `[regions, regions]`: 0 on the diagonal, from 1 elsewhere.

    Args:
        positions: `[regions, 3]`.
    """
    distance = cdist(positions, positions)
    apart = ~np.eye(len(positions), dtype=bool)
    bins = np.zeros(distance.shape, np.int64)
    if apart.any():
        inner = np.quantile(distance[apart], np.linspace(0, 1, DISTANCE_BINS + 1)[1:-1])
        bins[apart] = 1 + np.searchsorted(inner, distance[apart])
    return bins


def _scatter_anywhere(null: str, edges: Edges, loops: bool, generator: np.random.Generator) -> Edges:
    nowhere = np.zeros(1, np.int64)  # all nodes are in region 0, so there is one block, in one group
    return _scatter(null, edges, np.zeros(edges.size, np.int64), nowhere, nowhere, loops, generator)


def _block(edges: Edges, region: np.ndarray) -> np.ndarray:
    """The block of each edge, as one number: `source region * regions + target region`."""
    return region[edges.source] * (int(region.max()) + 1) + region[edges.target]


def _scatter(
    null: str,
    edges: Edges,
    region: np.ndarray,
    block: np.ndarray,
    group: np.ndarray,
    loops: bool,
    generator: np.random.Generator,
) -> Edges:
    """Moves edges, with their weights, to pairs of their group, drawn without replacement from those that are free.

    The pairs of nodes are called cells and are numbered consecutively: group after group, within a group block after
    block, within a block source after source. Cells are not listed one by one unless a group will be half full, so
    memory grows with the number of edges, not of pairs.

    Args:
        null: its name, for the error.
        edges: with loops=False no moving edge is a self-connection.
        region: int64 `[size]`, each node's region.
        block: int64 `[blocks]`, the blocks that edges may lie in, see `_block`.
        group: int64 `[blocks]`, the group that each block belongs to.
        loops: whether self-connections may be made.

    Raises:
        UserError: in no group with moving edges is there more than one way to place them.
    """
    order = np.argsort(group, kind="stable")
    blocks, group = block[order], group[order]
    regions = int(region.max()) + 1
    neurons = np.bincount(region, minlength=regions)
    first = np.cumsum(neurons) - neurons
    member = np.argsort(region, kind="stable")  # the nodes, sorted by region
    place = np.empty(edges.size, np.int64)
    place[member] = np.arange(edges.size) - first[region[member]]  # a node's rank within its region

    outer, inner = np.divmod(blocks, regions)
    width = neurons[inner] - ((outer == inner) & (not loops))  # number of possible targets of one source
    cells = neurons[outer] * width
    end = np.cumsum(cells)
    start = end - cells

    by_block = np.argsort(blocks, kind="stable")
    held = by_block[np.searchsorted(blocks[by_block], _block(edges, region))]  # the block that each edge lies in
    skip = (outer == inner)[held] & (not loops)  # within a region without loops a node isn't one of its own targets
    column = place[edges.target] - (skip & (place[edges.target] > place[edges.source]))
    cell = start[held] + place[edges.source] * width[held] + column

    staying = ~edges.moving & (loops | (edges.source != edges.target))
    group_of = group[held]
    groups = int(group[-1]) + 1
    size_of_group = np.bincount(group, weights=cells, minlength=groups).astype(np.int64)
    start_of_group = np.cumsum(size_of_group) - size_of_group
    left = size_of_group - np.bincount(group_of[staying], minlength=groups)
    asked = np.bincount(group_of[edges.moving], minlength=groups)
    if not np.any((asked > 0) & (left > asked)):
        raise UserError(
            f"null {null}: none of the {np.count_nonzero(edges.moving)} edges that may move has a free place to move "
            f"to (of {len(cell)} edges between {edges.size} nodes); weights_shuffled would do"
        )
    drawn = _draw_cells(
        group_of[edges.moving], start_of_group, size_of_group, np.sort(cell[staying]), left, asked, generator
    )
    held = np.searchsorted(end, drawn, side="right")
    row, column = np.divmod(drawn - start[held], width[held])
    column += ((outer == inner)[held] & (not loops)) & (column >= row)
    source, target = edges.source.copy(), edges.target.copy()
    source[edges.moving] = member[first[outer[held]] + row]
    target[edges.moving] = member[first[inner[held]] + column]
    return replace(edges, source=source, target=target)


def _draw_cells(
    group: np.ndarray,
    start: np.ndarray,
    size: np.ndarray,
    taken: np.ndarray,
    left: np.ndarray,
    asked: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """For each entry of `group` a free cell of that group, no cell twice: all ways to do so are equally likely.

    If a group will be half full or more, its free cells are listed and shuffled. In the other groups cells are drawn,
    and drawn again if they are taken, which takes few rounds and needs no list of cells.

    Args:
        group: int64 `[entries]`.
        start, size: int64 `[groups]`; a group's cells are `start` to `start + size - 1`.
        taken: int64, the cells that aren't free, sorted.
        left, asked: int64 `[groups]`, each group's number of free cells, and of entries.
    """
    drawn = np.empty(len(group), np.int64)
    full = (asked > 0) & (2 * (size - left + asked) >= size)
    listed = full[group]
    if listed.any():
        dense = np.flatnonzero(full)
        free = ranges(start[dense], size[dense])
        free = free[~_among(taken, free)]
        of_group = np.repeat(dense, left[dense])
        shuffled = free[np.lexsort((generator.random(len(free)), of_group))]
        before = np.cumsum(left[dense]) - left[dense]
        drawn[np.flatnonzero(listed)[np.argsort(group[listed], kind="stable")]] = shuffled[ranges(before, asked[dense])]
    waiting = np.flatnonzero(~listed)
    while len(waiting):
        tried = start[group[waiting]] + generator.integers(size[group[waiting]])
        drawn[waiting] = tried
        _, earliest = np.unique(tried, return_index=True)
        good = np.zeros(len(waiting), bool)
        good[earliest] = True
        good &= ~_among(taken, tried)
        taken = np.sort(np.concatenate([taken, tried[good]]))
        waiting = waiting[~good]
    return drawn


def _among(held: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Whether each value is in `held`, which is sorted."""
    if len(held) == 0:
        return np.zeros(len(value), bool)
    place = np.searchsorted(held, value)
    return held[np.minimum(place, len(held) - 1)] == value
