"""What every reader returns: edges between numbered nodes, from which a connectome is made."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

_AT_ONCE = 65_536
"""Edges whose reverse is looked for at once."""


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


def both_ways(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    undirected: np.ndarray,
    labels: Sequence[str] | None,
    where: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The entries, and those without a direction again from target to source.

    Args:
        source, target: integers `[entries]`.
        weight: float64 `[entries]`.
        undirected: bool `[entries]`, which of them have no direction.
        labels: one name per node, if there are names.
        where: the file's name, for errors.

    Raises:
        UserError: an entry without a direction stands there in both, so that its weight would count twice.
    """
    back = undirected & (source != target)
    size = int(max(source.max(), target.max(), 0)) + 1
    answered = np.isin(target[back] * size + source[back], source[back] * size + target[back])
    if answered.any():
        first = np.flatnonzero(back)[np.argmax(answered)]
        ends = " and ".join(str(end if labels is None else labels[end]) for end in (source[first], target[first]))
        raise UserError(
            f"{where}: the edge of {ends} has no direction and stands there in both, which would count it twice; "
            "if each direction stands there, set connectome.undirected to false"
        )
    return (
        np.concatenate([source, target[back]]),
        np.concatenate([target, source[back]]),
        np.concatenate([weight, weight[back]]),
    )


def with_directions(edges: RawEdges, undirected: bool | None, where: str) -> RawEdges:
    """Edges both ways if the user says that they have no direction; otherwise a note if it looks as if they had none.

    Args:
        edges: as the file has them.
        undirected: True: each goes both ways. None: the user says nothing.
        where: the file's name, for errors.

    Raises:
        UserError: edges without a direction stand there in both.
    """
    if undirected:
        every = np.ones(len(edges.source), bool)
        ends = both_ways(edges.source, edges.target, edges.weight, every, edges.labels, where)
        note = "its edges have no direction, as connectome.undirected says: each was taken both ways"
        return summed(edges.size, *ends, edges.labels, (*edges.notes, note))
    if undirected is None and _no_edge_is_answered(edges):
        note = (
            "no edge has a reverse edge: if its edges have no direction and each stands there once (one triangle of "
            "a symmetric matrix), set connectome.undirected to true"
        )
        return replace(edges, notes=(*edges.notes, note))
    return edges


def _no_edge_is_answered(edges: RawEdges) -> bool:
    between = edges.source != edges.target
    if np.count_nonzero(between) < 3:
        return False
    key = edges.source * edges.size + edges.target  # in order, see `summed`
    back = edges.target[between] * edges.size + edges.source[between]
    for part in np.array_split(back, len(back) // _AT_ONCE + 1):  # most files have an answered edge among the first
        place = np.minimum(np.searchsorted(key, part), len(key) - 1)
        if (key[place] == part).any():
            return False
    return True


def check_weights(
    weight: np.ndarray, reading: Reading, where: str, entry: Callable[[int], str], signed: bool | None = None
) -> None:
    """Refuses weights that aren't finite, and negative ones unless they mean inhibition.

    Args:
        weight: float64 `[entries]`.
        reading: how the file is read.
        where: the file's name, for errors.
        entry: i -> what entry i is called, such as `row 3`.
        signed: whether negative weights mean inhibition; None: as `reading` says.

    Raises:
        UserError: naming the first such weight.
    """
    signed = reading.signed if signed is None else signed
    bad = np.flatnonzero(~np.isfinite(weight) | ((weight < 0) & (not signed)))
    if len(bad):
        found = weight[bad[0]]
        if np.isnan(found):
            hint = "; if that means that there is no edge, set connectome.missing to none"
        else:
            hint = "; if it means inhibition, set connectome.signed to true" if np.isfinite(found) else ""
        raise UserError(f"{where}: {entry(bad[0])} is {found}; weights must be finite and not negative{hint}")
