"""What every reader returns: edges between numbered nodes, from which a connectome is made."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from biotune.errors import UserError


@dataclass(frozen=True)
class RawEdges:
    """Edges as a file has them, each pair once.

    Args:
        size: number of nodes.
        source, target: int64 `[edges]`.
        weight: float64 `[edges]`, not 0.
        labels: one name per node, if the file has them.
        notes: what a user has to know about how the file was read.
    """

    size: int
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    labels: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def kept(self, pattern: str, where: str) -> "RawEdges":
        """The nodes whose whole label a regular expression matches, and the edges between them.

        Raises:
            UserError: there are no labels, the pattern is no regular expression, or no edges are left.
        """
        if self.labels is None:
            raise UserError(f"{where}: connectome.keep needs labels, and there are none")
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise UserError(f"connectome.keep: {pattern!r} is no regular expression ({error})") from None
        chosen = np.array([expression.fullmatch(label) is not None for label in self.labels])
        inside = chosen[self.source] & chosen[self.target]
        if not inside.any():
            raise UserError(
                f"{where}: no edges between the {chosen.sum()} nodes that connectome.keep {pattern!r} keeps"
            )
        number = np.cumsum(chosen) - 1
        return RawEdges(
            int(chosen.sum()),
            number[self.source[inside]],
            number[self.target[inside]],
            self.weight[inside],
            tuple(label for label, wanted in zip(self.labels, chosen, strict=True) if wanted),
            (*self.notes, f"{chosen.sum()} of {self.size} nodes were kept, those whose label matches {pattern}"),
        )


def summed(
    size: int,
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    labels: tuple[str, ...] | None,
    notes: tuple[str, ...] = (),
) -> RawEdges:
    """Entries of the same pair are added up; pairs that sum to 0 are no edges, and a note says how many there were.

    Args:
        size: number of nodes.
        source, target: integers `[entries]`.
        weight: float64 `[entries]`.
        labels, notes: see `RawEdges`.
    """
    key = source.astype(np.int64) * size + target
    if np.any(key[1:] <= key[:-1]):
        order = np.argsort(key, kind="stable")
        key, weight = key[order], weight[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        if len(first) < len(key):
            key, weight = key[first], np.add.reduceat(weight, first)
    edge = weight != 0
    if not edge.all():
        zero = len(edge) - np.count_nonzero(edge)
        notes = (*notes, f"{zero} of {len(edge)} pairs have the weight 0, or weights that cancel, and are no edges")
        key, weight = key[edge], weight[edge]
    return RawEdges(size, key // size, key % size, weight, labels, notes)


def check_weights(weight: np.ndarray, signed: bool, where: str, entry: Callable[[int], str]) -> None:
    """Refuses weights that aren't finite, and negative ones unless `signed`.

    Args:
        weight: float64 `[entries]`.
        signed: whether negative weights mean inhibition.
        where: the file's name, for errors.
        entry: i -> what entry i is called, such as `row 3`.

    Raises:
        UserError: naming the first such weight.
    """
    bad = np.flatnonzero(~np.isfinite(weight) | ((weight < 0) & (not signed)))
    if len(bad):
        found = weight[bad[0]]
        hint = "; if it means inhibition, set connectome.signed to true" if np.isfinite(found) else ""
        raise UserError(f"{where}: {entry(bad[0])} is {found}; weights must be finite and not negative{hint}")
