"""What a connectome is: directed, weighted edges between regions or neurons, and their provenance."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from biotune.errors import UserError


@dataclass(frozen=True)
class Provenance:
    """Where a connectome comes from, with all that a report says about it."""

    kind: str
    """`BIOTUNE_DATA` (a folder of the user's), `bio2art` (the installed package), `cache`, `download`, `file` (a file
    that the user named) or `generated`."""
    species: str
    citation: str
    """The paper that published the data or the rule, with its DOI."""
    licence: str
    orientation: str
    """How the file is stored, with the evidence; the edges of a `Connectome` are always source -> target."""
    path: str | None = None
    url: str | None = None
    sha256: str | None = None
    substitutes: str | None = None
    """The name that was asked for, if this connectome took its place."""
    reason: str | None = None
    """Why the connectome that was asked for could not be obtained."""
    notes: tuple[str, ...] = ()
    """What a user has to know about how the file was read, such as rows that are no edges."""


@dataclass(frozen=True, eq=False)
class Connectome:
    """Directed weighted edges between regions or neurons, always `source -> target`.

    The edges are sorted by (source, target) on construction; the arrays are read-only.

    Args:
        name: the catalogue's name, or the generator's with its species.
        size: number of regions (or neurons).
        source, target: int64 `[edges]`, each pair once.
        weight: float64 `[edges]`, not 0, in the data's own unit; negative if the data says that the edge inhibits.
        provenance: where it comes from.
        labels: one name per region (or neuron), if the data has them.
        positions: float64 `[size, 3]`, region centres in mm, if they are known.
        neuron_density: float64 `[size]`, neurons per mm³ in each region, NaN if that was not measured; see
            `biotune.connectome.with_neuron_density`.

    Raises:
        UserError: there are no edges, a pair occurs twice, an index is out of range, or a weight is 0 or not finite.
    """

    name: str
    size: int
    source: np.ndarray = field(repr=False)
    target: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    provenance: Provenance = field(repr=False)
    labels: tuple[str, ...] | None = field(default=None, repr=False)
    positions: np.ndarray | None = field(default=None, repr=False)
    neuron_density: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        source = np.asarray(self.source, np.int64)
        target = np.asarray(self.target, np.int64)
        weight = np.asarray(self.weight, np.float64)
        if not source.shape == target.shape == weight.shape == (len(source),):
            raise UserError(
                f"connectome {self.name}: source, target and weight must be vectors of one length, "
                f"not {source.shape}, {target.shape} and {weight.shape}"
            )
        if len(source) == 0:
            raise UserError(f"connectome {self.name}: it has no edges")
        if min(source.min(), target.min()) < 0 or max(source.max(), target.max()) >= self.size:
            raise UserError(f"connectome {self.name}: edges must join regions 0 to {self.size - 1}")
        bad = np.flatnonzero(~(np.isfinite(weight) & (weight != 0)))
        if len(bad):
            edge = bad[0]
            raise UserError(
                f"connectome {self.name}: weights must be numbers other than 0; "
                f"edge {source[edge]} -> {target[edge]} has {weight[edge]}"
            )
        key = source * self.size + target
        order = np.argsort(key, kind="stable")
        twice = np.flatnonzero(np.diff(key[order]) == 0)
        if len(twice):
            edge = order[twice[0]]
            raise UserError(f"connectome {self.name}: edge {source[edge]} -> {target[edge]} occurs twice")
        if self.labels is not None and len(self.labels) != self.size:
            raise UserError(f"connectome {self.name}: {len(self.labels)} labels for {self.size} regions")
        for name, array in (("source", source), ("target", target), ("weight", weight)):
            array = array[order]
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        return f"<Connectome {self.name}: {self.size} nodes, {self.edges} edges>"

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.source)

    @property
    def signed(self) -> bool:
        """Whether any edge inhibits, that is, has a negative weight."""
        return bool(np.any(self.weight < 0))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of size and edges: equal for two connectomes that give the same networks."""
        digest = hashlib.sha256(str(self.size).encode())
        for array in (self.source, self.target, self.weight):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def density(self) -> float:
        """Edges between different regions, over all ordered pairs of them."""
        between = int(np.count_nonzero(self.source != self.target))
        return between / (self.size * (self.size - 1)) if self.size > 1 else 0.0

    def matrix(self) -> np.ndarray:
        """The dense matrix, float64 `[target, source]` as a network's, 0 where there is no edge: for small checks."""
        matrix = np.zeros((self.size, self.size))
        matrix[self.target, self.source] = self.weight
        return matrix

    def with_positions(self, positions: np.ndarray) -> "Connectome":
        """The same regions with their centres, `[size, 3]` in mm."""
        return replace(self, positions=np.asarray(positions, np.float64))

    def with_edges(self, source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> "Connectome":
        """The same regions under other edges, e.g. a null's; checked and sorted as on construction."""
        return replace(self, source=source, target=target, weight=weight)
