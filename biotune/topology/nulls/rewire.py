"""Applies a null to the regions of a connectome or to the neurons of a topology, to all edges or to a share."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from biotune.connectome import Connectome
from biotune.errors import UserError, unknown_name
from biotune.topology.nulls.catalogue import NULLS, weights_shuffled
from biotune.topology.nulls.edges import Edges
from biotune.topology.topology import Topology

WEIGHTS = ("carried", "shuffled")
"""What happens to the weights of rewired edges: each stays with its edge, or they are shuffled among these edges."""


def rewire_connectome(
    connectome: Connectome,
    null: str,
    *,
    weights: str = "carried",
    fraction: float = 1.0,
    generator: np.random.Generator,
) -> Connectome:
    """A null of the regions, which is expanded afterwards.

    Args:
        connectome: what is rewired.
        null: a name of `NULLS`.
        weights: `carried`: each stays with its edge; `shuffled` among the edges that may move.
        fraction: share of the edges that the null may move, drawn at random; the others stay.
        generator: the draw.

    Raises:
        UserError: the null isn't known, doesn't fit the connectome, or finds nothing in it that can be rewired; or an
            option is wrong.
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
        null, weights, fraction, generator: as of `rewire_connectome`.
        positions: `[regions, 3]`, the centres of the neurons' regions, for `distance_preserving`.

    Raises:
        UserError: as `rewire_connectome`.
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
    """Share of the edges of a null that the wiring didn't have: `|E' \\ E| / |E'|`; 0 if there are no edges.

    Args:
        before, after: the wiring and its null, of the same size.
    """
    was, now = (wiring.source * wiring.size + wiring.target for wiring in (before, after))
    return float(np.mean(~np.isin(now, was))) if len(now) else 0.0


def entries_changed(before: Connectome | Topology, after: Connectome | Topology) -> float:
    """Share of the entries that are another number under a null: `|{W' != W}| / |{W != 0 or W' != 0}|`, pairs [target,
    source]; 0 if all entries are 0.

    An edge that moves changes two entries, a weight that is dealt to another edge one, so this counts what
    `rewired_share` doesn't see: in a dense graph a null may leave most edges in place and change nearly all weights.

    Args:
        before, after: the wiring and its null, of the same size.
    """
    was, now = (
        sparse.csr_array((wiring.weight, (wiring.target, wiring.source)), shape=(wiring.size, wiring.size))
        for wiring in (before, after)
    )
    either = (abs(was) + abs(now)).count_nonzero()
    return float((was - now).count_nonzero() / either) if either else 0.0


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
