"""What a topology is: a connectome laid out over neurons, as a sorted list of edges (COO)."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Topology:
    """Weighted edges between neurons: entry `weight` of `W[target, source]`, as in `h_t = f(W h_{t-1} + ...)`.

    Args:
        size: number of neurons.
        target, source: int64 `[edges]`, sorted by (target, source), each pair once.
        weight: float64 `[edges]`; negative if the edge inhibits, 0 for an edge within a region that has no other input.
        region: int64 `[size]`, each neuron's region.
        rewired: share of the edges that a null put where there was none, counted among the regions or among the
            neurons, whichever it rewired.
        entries_changed: share of the entries of the matrix that the null changed, of the same regions or neurons: see
            `biotune.topology.entries_changed`.

    Raises:
        ValueError: the arrays don't fit each other, or the edges are not sorted and unique, or out of range.
    """

    size: int
    target: np.ndarray = field(repr=False)
    source: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    region: np.ndarray = field(repr=False)
    rewired: float = 0.0
    entries_changed: float = 0.0

    def __post_init__(self) -> None:
        if not self.target.shape == self.source.shape == self.weight.shape or self.region.shape != (self.size,):
            raise ValueError("target, source and weight must be vectors of one length, region one of `size`")
        if len(self.target) == 0:
            return
        if (
            self.target[-1] >= self.size
            or self.target[0] < 0
            or self.source.max() >= self.size
            or self.source.min() < 0
        ):
            raise ValueError(f"edges must join neurons 0 to {self.size - 1}")
        key = self.target * self.size + self.source
        if not np.all(key[1:] > key[:-1]):
            raise ValueError("edges must be sorted by (target, source), each pair once")

    def __repr__(self) -> str:
        return f"<Topology: {self.size} neurons, {self.edges} edges>"

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.target)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of size, target and source (int64) and weight (float64), each little-endian, on every machine."""
        digest = hashlib.sha256(np.array(self.size, "<i8").tobytes())
        for array, kind in ((self.target, "<i8"), (self.source, "<i8"), (self.weight, "<f8")):
            digest.update(np.ascontiguousarray(array, kind).data)
        return digest.hexdigest()

    def matrix(self) -> np.ndarray:
        """The dense matrix, float64 `[target, source]`, 0 where there is no edge: for pictures and small checks."""
        matrix = np.zeros((self.size, self.size))
        matrix[self.target, self.source] = self.weight
        return matrix
