"""Applying a null: at the level of regions or of neurons, to a share of the edges."""

from dataclasses import replace

import numpy as np

from biotune.connectome import Connectome
from biotune.errors import UserError, unknown_name
from biotune.topology.nulls.catalogue import NULLS, weights_shuffled
from biotune.topology.nulls.edges import Edges
from biotune.topology.topology import Topology

WEIGHTS = ("carried", "shuffled")
"""What becomes of the weights of rewired edges: each stays with its edge, or they change places among them."""


def rewire_connectome(
    connectome: Connectome,
    null: str,
    *,
    weights: str = "carried",
    fraction: float = 1.0,
    generator: np.random.Generator,
) -> Connectome:
    """A null of the regions: their edges rewired, to be expanded afterwards.

    Args:
        connectome: what is rewired.
        null: a name of `NULLS`.
        weights: `carried`, each with its edge, or `shuffled` among the edges that may move.
        fraction: share of the edges that the null may touch, drawn at random; the others stay.
        generator: the draw.

    Raises:
        UserError: the null isn't known, doesn't fit the connectome or finds no freedom in it, or an option is wrong.
    """
    edges = Edges(
        connectome.size, connectome.source, connectome.target, connectome.weight, positions=connectome.positions
    )
    edges = _rewire(edges, null, weights, fraction, generator)
    return connectome.with_edges(edges.source, edges.target, edges.weight)


def rewire_topology(
    topology: Topology,
    null: str,
    *,
    weights: str = "carried",
    fraction: float = 1.0,
    positions: np.ndarray | None = None,
    generator: np.random.Generator,
) -> Topology:
    """A null of the neurons: all edges of an expansion rewired, within and between regions alike.

    Args:
        topology: what is rewired.
        null, weights, fraction, generator: as of `rewire_connectome`, and its errors.
        positions: `[regions, 3]`, the centres of the neurons' regions, for `distance_preserving`.
    """
    edges = Edges(
        topology.size,
        topology.source,
        topology.target,
        topology.weight,
        region=topology.region,
        positions=positions,
    )
    edges = _rewire(edges, null, weights, fraction, generator)
    order = np.lexsort((edges.source, edges.target))
    return Topology(
        topology.size, edges.target[order], edges.source[order], edges.weight[order], region=topology.region
    )


def rewired_share(before: Connectome | Topology, after: Connectome | Topology) -> float:
    """Share of the edges that a null put where none was: `|E' \\ E| / |E'|`; 0 where there are no edges.

    Args:
        before, after: of one size, the wiring and its null.
    """
    was, now = (wiring.source * wiring.size + wiring.target for wiring in (before, after))
    return float(np.mean(~np.isin(now, was))) if len(now) else 0.0


def _rewire(edges: Edges, null: str, weights: str, fraction: float, generator: np.random.Generator) -> Edges:
    if null not in NULLS:
        raise unknown_name("null", null, NULLS)
    if weights not in WEIGHTS:
        raise unknown_name("weights of a null", weights, WEIGHTS)
    if weights == "shuffled" and NULLS[null].deals_weights:
        raise UserError(f"null {null}: keeps strengths, which shuffled weights would not; give weights: carried")
    if not 0 <= fraction <= 1:
        raise UserError(f"null {null}: fraction {fraction!r} is outside [0, 1]")
    count = len(edges.source)
    moving = np.zeros(count, bool)
    moving[generator.permutation(count)[: round(fraction * count)]] = True
    if not moving.any():
        return edges
    rewired = NULLS[null].rewire(replace(edges, moving=moving), generator)
    return weights_shuffled(rewired, generator) if weights == "shuffled" else rewired
