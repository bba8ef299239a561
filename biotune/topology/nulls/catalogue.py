"""Null models: random wirings that share chosen properties with a connectome, and nothing else.

Every null keeps the number of edges and the set of weights, and makes no self-connections if there were none. One
implementation serves both levels. A null of the regions is expanded afterwards: it tests the wiring of the connectome.
A null of the neurons rewires the expansion: it also tests what the expansion adds, above all the blocks of regions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from biotune.errors import UserError
from biotune.topology.nulls.edges import Edges
from biotune.topology.nulls.scatter import block_preserving, distance_preserving, edges_shuffled, erdos_renyi
from biotune.topology.nulls.trades import degree_preserving, strength_preserving


@dataclass(frozen=True)
class Null:
    """One null model.

    Args:
        keeps: the properties it keeps, which it therefore does not test.
        asks: the question that a difference from it answers.
        rewire: edges -> the same edges rewired; edges that aren't `moving` stay as they are.
        deals_weights: whether the null itself decides which edge gets which weight, so that weights can't be shuffled
            afterwards.
    """

    keeps: str
    asks: str
    rewire: Callable[[Edges, np.random.Generator], Edges]
    deals_weights: bool = False


def weights_shuffled(edges: Edges, generator: np.random.Generator) -> Edges:
    """The weights change places, the edges stay."""
    weight = edges.weight.copy()
    weight[edges.moving] = generator.permutation(weight[edges.moving])
    return replace(edges, weight=weight)


def direction_reversed(edges: Edges, generator: np.random.Generator) -> Edges:
    """Every edge `a -> b` becomes `b -> a`: the transposed matrix. Two opposite edges turn only if both may move.

    Raises:
        UserError: the graph is symmetric, so that reversed it is the same.
    """
    key = edges.source * edges.size + edges.target
    opposite = edges.target * edges.size + edges.source
    turned = edges.moving & ~np.isin(opposite, key[~edges.moving])
    source, target = np.where(turned, edges.target, edges.source), np.where(turned, edges.source, edges.target)
    if edges.moving.all():
        before, after = np.argsort(key, kind="stable"), np.argsort(opposite, kind="stable")
        if np.array_equal(key[before], opposite[after]) and np.array_equal(edges.weight[before], edges.weight[after]):
            raise UserError(
                "null direction_reversed: the wiring is symmetric, so reversed it is the same; "
                "a connectome whose edges have directions is needed, or another null"
            )
    return replace(edges, source=source, target=target)


NULLS: dict[str, Null] = {
    "weights_shuffled": Null(
        "every edge; the weights change places among them", "does it matter which edges are strong?", weights_shuffled
    ),
    "direction_reversed": Null(
        "everything but the direction of each edge: inputs become outputs",
        "does it matter which way the edges run?",
        direction_reversed,
    ),
    "strength_preserving": Null(
        "each node's number of inputs and of outputs and, as nearly as the weights allow, its strengths",
        "is there more to the wiring than degrees and strengths?",
        strength_preserving,
        deals_weights=True,
    ),
    "degree_preserving": Null(
        "each node's number of inputs, number of outputs and output weights",
        "is there more to the wiring than degrees?",
        degree_preserving,
    ),
    "block_preserving": Null(
        "the edges and weights between any two regions; it rewires neurons",
        "does it matter how neurons are wired within the blocks of two regions?",
        block_preserving,
    ),
    "distance_preserving": Null(
        "the number of edges at each distance, and their weights",
        "is there more to the wiring than its distance rule?",
        distance_preserving,
    ),
    "edges_shuffled": Null(
        "the number of edges, and self-connections",
        "does any structure matter? (the predecessor's null)",
        edges_shuffled,
    ),
    "erdos_renyi": Null("the number of edges alone", "does any structure matter?", erdos_renyi),
}
"""Name -> null model, the strictest first."""
