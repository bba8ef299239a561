"""Null models: what a connectome would look like if only this or that property of it mattered.

Every null keeps the number of edges and the set of weights, and makes no self-connection where there was none. One
implementation serves both levels: rewire the regions and expand afterwards, which asks about the connectome, or rewire
the neurons of an expansion, which asks about everything that the expansion keeps too, region blocks above all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from biotune.connectome import Connectome
from biotune.errors import UserError
from biotune.suggest import unknown_name
from biotune.topology.wiring import Topology

DRAWS_PER_EDGE = 10
"""How often `degree_preserving` draws a new target for an edge, on average. Measured on the region-level connectomes
and their expansions, of densities 0.16 to 0.96: the share of edges found where they were comes down no further."""

MIN_TRADES = 100
"""Fewest trades between two nodes, so that small graphs mix too."""

MAX_ROUNDS = 2000
"""Most rounds that `degree_preserving` goes through: only graphs with next to no freedom would have more."""


@dataclass(frozen=True)
class Edges:
    """A graph's edges, of either level, while they are rewired.

    Args:
        size: number of nodes.
        source, target, weight: `[edges]`.
        moving: bool `[edges]`, which of them the null may touch.
    """

    size: int
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    moving: np.ndarray = field(default_factory=lambda: np.empty(0, bool))


@dataclass(frozen=True)
class Null:
    """One null model.

    Args:
        keeps: what it keeps, and so does not test.
        rewire: edges -> the same edges rewired, those that aren't `moving` untouched.
    """

    keeps: str
    rewire: Callable[[Edges, np.random.Generator], Edges]


def rewire_connectome(
    connectome: Connectome, null: str, *, fraction: float = 1.0, generator: np.random.Generator
) -> Connectome:
    """A null of the regions: their edges rewired, to be expanded afterwards.

    Args:
        connectome: what is rewired.
        null: a name of `NULLS`.
        fraction: share of the edges that the null may touch, drawn at random; the others stay.
        generator: the draw.

    Raises:
        UserError: the null isn't known, the fraction is outside [0, 1], or the graph leaves the null no freedom.
    """
    edges = Edges(connectome.size, connectome.source, connectome.target, connectome.weight)
    edges = _rewire(edges, null, fraction, generator)
    return connectome.with_edges(edges.source, edges.target, edges.weight)


def rewire_topology(
    topology: Topology, null: str, *, fraction: float = 1.0, generator: np.random.Generator
) -> Topology:
    """A null of the neurons: all edges of an expansion rewired, within and between regions alike.

    Args and errors: as `rewire_connectome`.
    """
    edges = Edges(topology.size, topology.source, topology.target, topology.weight)
    edges = _rewire(edges, null, fraction, generator)
    order = np.lexsort((edges.source, edges.target))
    return Topology(
        topology.size, edges.target[order], edges.source[order], edges.weight[order], region=topology.region
    )


def _rewire(edges: Edges, null: str, fraction: float, generator: np.random.Generator) -> Edges:
    if null not in NULLS:
        raise unknown_name("null", null, NULLS)
    if not 0 <= fraction <= 1:
        raise UserError(f"null {null}: fraction {fraction!r} is outside [0, 1]")
    count = len(edges.source)
    moving = np.zeros(count, bool)
    moving[generator.permutation(count)[: round(fraction * count)]] = True
    if not moving.any():
        return edges
    return NULLS[null].rewire(replace(edges, moving=moving), generator)


def _weights_shuffled(edges: Edges, generator: np.random.Generator) -> Edges:
    """The weights change places, the edges stay."""
    weight = edges.weight.copy()
    weight[edges.moving] = generator.permutation(weight[edges.moving])
    return replace(edges, weight=weight)


def _erdos_renyi(edges: Edges, generator: np.random.Generator) -> Edges:
    """Every edge moves to a pair drawn from all that are free: G(n, m) (Erdős & Rényi 1959)."""
    loops = np.any(edges.source == edges.target)
    return _scatter(edges, with_diagonal=bool(loops), generator=generator)


def _edges_shuffled(edges: Edges, generator: np.random.Generator) -> Edges:
    """The entries off the diagonal are shuffled, those on it stay, as in Goulas, Damicelli & Hilgetag 2021."""
    moving = edges.moving & (edges.source != edges.target)
    return _scatter(replace(edges, moving=moving), with_diagonal=False, generator=generator)


def _scatter(edges: Edges, with_diagonal: bool, generator: np.random.Generator) -> Edges:
    """Moves edges, with their weights, to pairs drawn without replacement from those that no staying edge holds."""
    size, moving = edges.size, edges.moving
    taken = edges.source[~moving] * size + edges.target[~moving]
    if not with_diagonal:
        taken = np.union1d(taken, np.arange(size) * (size + 1))
    taken = np.sort(taken)
    free = size * size - len(taken)
    drawn = generator.choice(free, moving.sum(), replace=False)  # which of the free pairs, counted in order
    pair = drawn + np.searchsorted(taken - np.arange(len(taken)), drawn, side="right")
    source, target = edges.source.copy(), edges.target.copy()
    source[moving], target[moving] = np.divmod(pair, size)
    return replace(edges, source=source, target=target)


def _degree_preserving(edges: Edges, generator: np.random.Generator) -> Edges:
    """Directed edge swaps, `a -> b, c -> d` to `a -> d, c -> b`, many at once, in rounds of trades (curveball).

    In a round the nodes are paired at random, and the two of a pair, a and c, put the targets that only one of them has
    (and that are neither a nor c) in a common pool and draw them back, each as many as it gave. A trade is a sequence
    of edge swaps (Maslov & Sneppen 2002) that is never refused, so dense graphs mix as sparse ones do, and like swaps
    it has the uniform distribution over the graphs that it can reach. An edge keeps its source and its weight; which of
    a source's targets gets which of its weights is random.

    Sources: Maslov & Sneppen 2002, https://doi.org/10.1126/science.1065103; Strona et al. 2014,
    https://doi.org/10.1038/ncomms5114; Carstens, Berger & Strona 2018, https://doi.org/10.1016/j.mex.2018.06.018.

    Raises:
        UserError: no two edges can be swapped.
    """
    size, source, moving = edges.size, edges.source, edges.moving
    target = edges.target.copy()
    loops = bool(np.any(source == target))
    traded = 0
    for _ in range(_rounds(edges, loops)):
        order = generator.permutation(size)
        pair = np.empty(size, np.int64)
        pair[order] = np.arange(size) // 2
        partner = np.full(size, -1)  # none, for the one left over where the size is odd
        partner[order[0 : size - 1 : 2]], partner[order[1::2]] = order[1::2], order[0 : size - 1 : 2]

        pool = np.flatnonzero(moving & _only_one_has(pair[source] * size + target))
        if not loops:
            pool = pool[pair[target[pool]] != pair[source[pool]]]
        given = np.bincount(source[pool], minlength=size + 1)
        pool = pool[given[partner[source[pool]]] > 0]  # who gives alone can only get back what it gave
        target[pool] = _shuffled_within(pair[source[pool]], target[pool], generator)
        traded += len(pool)
    if not traded:
        raise UserError(
            f"null degree_preserving: no two of the {np.count_nonzero(moving)} edges that may move can be swapped "
            f"(of {len(source)} edges between {size} nodes): their degrees fix them; weights_shuffled would do"
        )
    target[moving] = _shuffled_within(source[moving], target[moving], generator)
    return replace(edges, target=target)


def _rounds(edges: Edges, loops: bool) -> int:
    """Rounds of trades after which an edge has drawn a target `DRAWS_PER_EDGE` times, on average.

    A round draws for `a -> b` if a's partner is not b and has no edge to b: with a chance that the number of b's inputs
    fixes. Counting the draws themselves, and stopping when they are enough, would favour graphs that draw often.
    """
    inputs = np.bincount(edges.target, minlength=edges.size)[edges.target[edges.moving]]
    chances = np.maximum(edges.size - 1 + loops - inputs, 0) / max(edges.size - 1, 1)
    if not chances.any():
        return 0
    rounds = max(DRAWS_PER_EDGE / chances.mean(), MIN_TRADES / (edges.size // 2))
    return min(MAX_ROUNDS, math.ceil(rounds))


def _shuffled_within(group: np.ndarray, value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The values in random order among the entries of each group (int64)."""
    shuffled = np.empty_like(value)
    shuffled[np.argsort(group)] = value[np.argsort(group + generator.random(len(group)))]
    return shuffled


def _only_one_has(key: np.ndarray) -> np.ndarray:
    """Whether each key occurs once."""
    order = np.argsort(key)
    same = key[order[1:]] == key[order[:-1]]
    once = np.ones(len(key), bool)
    once[order[1:][same]] = False
    once[order[:-1][same]] = False
    return once


NULLS: dict[str, Null] = {
    "weights_shuffled": Null("every edge; the weights change places among them", _weights_shuffled),
    "degree_preserving": Null("each node's number of inputs, number of outputs and output weights", _degree_preserving),
    "edges_shuffled": Null("the number of edges, and self-connections", _edges_shuffled),
    "erdos_renyi": Null("the number of edges alone", _erdos_renyi),
}
"""Name -> null model, the strictest first."""
