"""A graph, of regions or of neurons, while it is rewired."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Edges:
    """Directed weighted edges, and what a null model may need to know of their nodes.

    Args:
        size: number of nodes.
        source, target, weight: `[edges]`.
        moving: bool `[edges]`, which of them the null may move.
        region: int64 `[size]`, each node's region, if the nodes are neurons; None if they are regions.
        positions: float64 `[regions, 3]`, the regions' centres, if they are known.
    """

    size: int
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    moving: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    region: np.ndarray | None = None
    positions: np.ndarray | None = None

    @property
    def loops(self) -> bool:
        """Whether there are edges from a node to itself."""
        return bool(np.any(self.source == self.target))
