"""Null models that keep each node's number of inputs and of outputs, and one that keeps its strengths too."""

import math
from dataclasses import replace

import numpy as np

from biotune.errors import UserError
from biotune.topology.arrays import shuffled_within
from biotune.topology.nulls.edges import Edges

DRAWS_PER_EDGE = 10
"""How often `degree_preserving` draws a new target for an edge, on average. Measured on the region-level connectomes
and their expansions, of densities 0.16 to 0.96: with more draws, no fewer edges are found where they were before."""

MIN_TRADES = 100
"""Smallest number of trades between two nodes, so that small graphs mix too."""

MAX_ROUNDS = 2000
"""Largest number of rounds of `degree_preserving`: more would be needed only if almost no edge can be swapped."""

STRENGTH_ROUNDS = 200
"""Rounds in which `strength_preserving` exchanges weights. Measured on the region-level connectomes: strengths end 0.1
to 5 % away from what they were, in sum; after `degree_preserving` it is 20 to 40 %. More rounds gain little."""

STRENGTH_DECADES = 6
"""Decades by which the heat of the annealing falls, from the mean strength squared, until only gains are accepted."""


def degree_preserving(edges: Edges, generator: np.random.Generator, null: str = "degree_preserving") -> Edges:
    """Directed edge swaps, `a -> b, c -> d` to `a -> d, c -> b`, many at once, in rounds of trades (curveball).

    In a round the nodes are paired at random. The two nodes of a pair, a and c, put the targets that only one of them
    has (and that are neither a nor c) into a common pool, and each draws as many from it as it gave. A trade is a
    sequence of edge swaps (Maslov & Sneppen 2002), none of which is rejected, so dense graphs mix as well as sparse
    ones. As with swaps, every graph that can be reached is equally likely in the end. An edge keeps its source and its
    weight; which of a source's weights goes to which of its targets is random.

    Sources: Maslov & Sneppen 2002, https://doi.org/10.1126/science.1065103; Strona et al. 2014,
    https://doi.org/10.1038/ncomms5114; Carstens, Berger & Strona 2018, https://doi.org/10.1016/j.mex.2018.06.018.

    Raises:
        UserError: no two edges can be swapped.
    """
    size, source, moving = edges.size, edges.source, edges.moving
    target = edges.target.copy()
    loops = edges.loops
    traded = 0
    for _ in range(_rounds(edges, loops)):
        order = generator.permutation(size)
        pair = np.empty(size, np.int64)
        pair[order] = np.arange(size) // 2
        partner = np.full(size, -1)  # -1: the node that is left over if their number is odd
        partner[order[0 : size - 1 : 2]], partner[order[1::2]] = order[1::2], order[0 : size - 1 : 2]

        pool = np.flatnonzero(moving & _only_one_has(pair[source] * size + target))
        if not loops:
            pool = pool[pair[target[pool]] != pair[source[pool]]]
        given = np.bincount(source[pool], minlength=size + 1)
        pool = pool[given[partner[source[pool]]] > 0]  # if the partner gives nothing, a node gets back what it gave
        target[pool] = shuffled_within(pair[source[pool]], target[pool], generator)
        traded += len(pool)
    if not traded:
        raise UserError(
            f"null {null}: no two of the {np.count_nonzero(moving)} edges that may move can be swapped "
            f"(of {len(source)} edges between {size} nodes): their degrees fix them; weights_shuffled would do"
        )
    target[moving] = shuffled_within(source[moving], target[moving], generator)
    return replace(edges, target=target)


def _rounds(edges: Edges, loops: bool) -> int:
    """Rounds of trades after which an edge has drawn a target `DRAWS_PER_EDGE` times, on average.

    A round draws for `a -> b` if a's partner is not b and has no edge to b; the chance of that depends only on b's
    number of inputs. To count the draws themselves and stop at a given number would favour graphs with many draws.
    """
    inputs = np.bincount(edges.target, minlength=edges.size)[edges.target[edges.moving]]
    chances = np.maximum(edges.size - 1 + loops - inputs, 0) / max(edges.size - 1, 1)
    if not chances.any():
        return 0
    rounds = max(DRAWS_PER_EDGE / chances.mean(), MIN_TRADES / (edges.size // 2))
    return min(MAX_ROUNDS, math.ceil(rounds))


def strength_preserving(edges: Edges, generator: np.random.Generator) -> Edges:
    """As `degree_preserving`, and the weights are then assigned so that each node's strengths are about what they were.

    This is simulated annealing, whose energy is the sum over nodes of the squared changes of input and output strength.
    A step pairs the nodes at random. The two nodes of a pair exchange the weights that they receive from one of the
    sources they have in common, or exchange nothing; each of these is drawn with probability `~ exp(-energy / heat)`.
    The next step does the same with the weights that two nodes send to a common target. How close the strengths come is
    limited by the weights that there are.

    Costs contain logarithms, whose last bit may differ between machines. This changes a draw only if the two least
    costs of an exchange are that close: about once in 10⁹ draws of a connectome of 50 regions, estimated from the
    number of exchanges (10⁵ to 10⁶) and a relative rounding error of 10⁻¹⁵.

    Source: Milisav, Bazinet, Betzel & Mišić 2025, Nature Computational Science 5, who also anneal after rewiring, but
    exchange any two weights.

    Raises:
        UserError: no two edges can be swapped.
    """
    rewired = degree_preserving(edges, generator, null="strength_preserving")
    movable = np.flatnonzero(edges.moving)
    ends = rewired.source[movable], rewired.target[movable]
    weight = rewired.weight[movable]
    excess = [
        np.bincount(now, weights=rewired.weight, minlength=edges.size)
        - np.bincount(before, weights=edges.weight, minlength=edges.size)
        for now, before in ((rewired.source, edges.source), (rewired.target, edges.target))
    ]
    mean_strength = np.abs(edges.weight).sum() / edges.size
    heat = mean_strength * mean_strength
    for _ in range(STRENGTH_ROUNDS):
        heat *= 10.0 ** (-STRENGTH_DECADES / STRENGTH_ROUNDS)
        _exchange_weights(ends[0], ends[1], weight, excess[1], heat, generator)
        _exchange_weights(ends[1], ends[0], weight, excess[0], heat, generator)
    dealt = rewired.weight.copy()
    dealt[movable] = weight
    return replace(rewired, weight=dealt)


def _exchange_weights(
    common: np.ndarray,
    end: np.ndarray,
    weight: np.ndarray,
    excess: np.ndarray,
    heat: float,
    generator: np.random.Generator,
) -> None:
    """Pairs the edges' ends at random; each pair exchanges two weights of edges with one `common` node, or none.

    Args:
        common, end: int64 `[edges]`, the node that stays, and the one whose strength changes.
        weight: `[edges]`, changed in place.
        excess: `[nodes]`, by how much each node's strength exceeds the wanted one, changed in place.
        heat: of the annealing, in units of squared weights.
    """
    size = len(excess)
    order = generator.permutation(size)
    seat = np.empty(size, np.int64)
    seat[order] = np.arange(size)
    pair = seat // 2
    key = pair[end] * size + common
    in_order = np.argsort(2 * key + seat[end] % 2, kind="stable")
    both = np.flatnonzero(np.diff(key[in_order]) == 0)
    if len(both) == 0:
        return
    one, other = in_order[both], in_order[both + 1]
    surplus = weight[one] - weight[other]
    wanted = (excess[end[one]] - excess[end[other]]) / 2
    first = np.flatnonzero(np.diff(pair[end[one]], prepend=-1))  # of each pair's possible exchanges
    # one of a pair's exchanges, or none of them, is drawn by the Gumbel trick
    cost = (surplus - wanted) ** 2 / heat - generator.gumbel(size=len(one))
    none = wanted[first] ** 2 / heat - generator.gumbel(size=len(first))
    least = np.minimum(np.minimum.reduceat(cost, first), none)
    take = np.flatnonzero(cost == np.repeat(least, np.diff(np.append(first, len(one)))))
    one, other, surplus = one[take], other[take], surplus[take]
    excess[end[one]] -= surplus
    excess[end[other]] += surplus
    weight[one], weight[other] = weight[other], weight[one]


def _only_one_has(key: np.ndarray) -> np.ndarray:
    """Whether each key occurs once."""
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    once = np.ones(len(key), bool)
    once[order[1:][same]] = False
    once[order[:-1][same]] = False
    return once
