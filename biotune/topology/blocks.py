"""A topology's matrix in blocks of regions: small enough to draw for any number of neurons."""

import numpy as np

from biotune.topology.topology import Topology

MOST_BINS = 200
"""Largest number of bins along each side; if there are more regions, consecutive ones share a bin."""


def region_blocks(topology: Topology, most_bins: int = MOST_BINS) -> dict[str, np.ndarray]:
    """The blocks of `W[target, source]` that hold an edge, its rows and columns binned by region, in O(edges).

    With `bins = min(regions, most_bins)`, region i lies in bin `⌊i · bins / regions⌋`.

    Args:
        topology: of any size; its full matrix is never built.
        most_bins: largest number of bins along each side.

    Returns:
        Columns `[blocks]`, sorted by (target, source): target and source (bins), edges, weight (sum of |weight|), pairs
        (of neurons, each with itself too: edges / pairs is the block's density), and regions and bins, which are the
        same in every row.
    """
    regions = int(topology.region.max(initial=-1)) + 1
    bins = min(regions, most_bins)
    bin_of = topology.region * bins // max(regions, 1)
    block = bin_of[topology.target] * bins + bin_of[topology.source]
    edges = np.bincount(block, minlength=bins * bins)
    weight = np.bincount(block, weights=np.abs(topology.weight), minlength=bins * bins)
    neurons = np.bincount(bin_of, minlength=bins)
    held = np.flatnonzero(edges)
    target, source = np.divmod(held, max(bins, 1))
    return {
        "target": target,
        "source": source,
        "edges": edges[held],
        "weight": weight[held],
        "pairs": neurons[target] * neurons[source],
        "regions": np.full(len(held), regions),
        "bins": np.full(len(held), bins),
    }
