"""SparsePattern: the edges of a whole population of networks.

The recurrent matrices of a population have the same size and the same number of edges, but each may have its edges in
other places. Together they are one block-diagonal sparse matrix. A pattern holds the edges as given (COO). Sorted by
rows, for products with the matrix, and by columns, for products with its transpose, they are derived once, when first
asked for.
"""

import weakref
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Kept = TypeVar("Kept")
Refresh = Callable[[Any, int], None]
"""Brings what a backend keeps up to date, in place, after the edges of one network were rewritten."""

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8)


class Compressed(NamedTuple):
    """The edges sorted by lines: by rows (targets), as in CSR, or by columns (sources), as in CSC.

    start: int32 (int64 from 2³¹ edges) [population, size + 1]; line i has the slots from start[i] to start[i + 1].
    other: int32 [population, nnz]; the other end of each slot's edge: its source by rows, its target by columns.
    order: int64 [population, nnz]; which of the edges as given is in each slot; None if they were given sorted.
    """

    start: Tensor
    other: Tensor
    order: Tensor | None


class SparsePattern:
    """The edges of a population of recurrent matrices, `W[target, source]`.

    Args:
        target: integer tensor [population, nnz], or [nnz] for one network; the row, the neuron that receives.
        source: integer tensor of the same shape; the column, the neuron that sends.
        size: number of neurons.

    Edges may come in any order, and values are given in that same order: `values[:, k]` belongs to
    `(target[:, k], source[:, k])`.

    Raises:
        ValueError: an impossible shape, dtype, device or index, or an edge given twice.
    """

    def __init__(self, target: Tensor, source: Tensor, size: int) -> None:
        target, source, size = _checked(target, source, size)
        self.size = size
        self.target = target
        self.source = source
        self._refuse_duplicates()
        _patterns[self.target] = weakref.ref(self)

    @property
    def population(self) -> int:
        return self.target.shape[0]

    @property
    def nnz(self) -> int:
        """Edges of one network."""
        return self.target.shape[1]

    @property
    def density(self) -> float:
        return self.nnz / self.size**2

    @property
    def device(self) -> torch.device:
        return self.target.device

    def to(self, device: torch.device | str) -> "SparsePattern":
        """This pattern on `device`; the same object if it is there already."""
        moved = self.target.to(device)
        return self if moved is self.target else _unchecked(moved, self.source.to(device), self.size)

    @cached_property
    def by_row(self) -> Compressed:
        """The edges by target, sources ascending: the order of a product with the matrix."""
        return self._compressed(self.target, self.source)

    @cached_property
    def by_column(self) -> Compressed:
        """The edges by source, targets ascending: the order of a product with the transposed matrix."""
        return self._compressed(self.source, self.target)

    @cached_property
    def memo(self) -> dict[Hashable, Any]:
        """What backends derive from this pattern and keep as long as it lives; see `kept`."""
        return {}

    @cached_property
    def _refreshes(self) -> dict[Hashable, Refresh | None]:
        return {}

    def kept(self, key: Hashable, make: Callable[[], Kept], refresh: Refresh | None = None) -> Kept:
        """What a backend keeps with this pattern, made when it is first asked for.

        Args:
            key: the backend's name, or a tuple that begins with it.
            make: makes it.
            refresh: called with it and the number of a network whose edges were rewritten. None: it can't be brought up
                to date in place, and is dropped then.
        """
        if key not in self.memo:
            self.memo[key] = make()
            self._refreshes[key] = refresh
        found: Kept = self.memo[key]
        return found

    def rewrite(self, network: int, target: Tensor, source: Tensor) -> bool:
        """Gives one network other edges, as many as it has, in the tensors that hold them.

        Args:
            network: its place in the population.
            target, source: integer tensors [nnz], on any device.

        Returns:
            Whether all that was derived from the edges is up to date at its place. If not, it was dropped and is
            derived anew; passes that were recorded in a CUDA graph must then be recorded again.

        Raises:
            ValueError: no such network, another number of edges, or what a new pattern raises.
        """
        if not 0 <= network < self.population:
            raise ValueError(f"network: expected 0 to {self.population - 1}, got {network}")
        new = SparsePattern(target, source, self.size)
        if new.population != 1 or new.nnz != self.nnz:
            found = f"{list(target.shape)}"
            raise ValueError(f"target, source: expected [nnz] = [{self.nnz}], as many edges as before, got {found}")
        self.target[network], self.source[network] = new.target[0], new.source[0]
        by_row, by_column = (self._recompress(name, network, new) for name in ("by_row", "by_column"))
        if not (by_row and by_column) or None in self._refreshes.values():
            self.memo.clear()
            self._refreshes.clear()
            return False
        for key, refresh in self._refreshes.items():
            assert refresh is not None
            refresh(self.memo[key], network)
        return True

    def _recompress(self, name: str, network: int, new: "SparsePattern") -> bool:
        """Brings one of the compressed orders up to date; False if it had to be dropped."""
        held: Compressed | None = self.__dict__.get(name)
        if held is None:
            return True
        found: Compressed = getattr(new, name)
        if held.order is None and found.order is not None:
            del self.__dict__[name]
            return False
        held.start[network], held.other[network] = found.start[0], found.other[0]
        if held.order is not None:
            held.order[network] = torch.arange(self.nnz) if found.order is None else found.order[0]
        return True

    def __repr__(self) -> str:
        return (
            f"SparsePattern(population={self.population}, size={self.size}, nnz={self.nnz}, "
            f"density={self.density:.3g}, device={str(self.device)!r})"
        )

    def _compressed(self, line: Tensor, index: Tensor) -> Compressed:
        key = line * self.size + index
        ascending = bool((key[:, 1:] > key[:, :-1]).all())
        order = None if ascending else key.argsort(dim=1)
        if order is not None:
            line, index = line.gather(1, order), index.gather(1, order)
        lines = torch.arange(self.size + 1, device=self.device).expand(self.population, -1)
        start = torch.searchsorted(line, lines.contiguous())
        wide = self.nnz >= 2**31
        return Compressed(start if wide else start.int(), index.int().contiguous(), order)

    def _refuse_duplicates(self) -> None:
        key = self.target * self.size + self.source
        if bool((key[:, 1:] > key[:, :-1]).all()):
            return
        key = key.sort(dim=1).values
        twice = (key[:, 1:] == key[:, :-1]).nonzero()
        if len(twice):
            replicate, slot = twice[0].tolist()
            t, s = divmod(int(key[replicate, slot]), self.size)
            raise ValueError(
                f"target, source: the edge {s} -> {t} of network {replicate} is given more than once; "
                "sum such edges into one"
            )


def in_place(make: Callable[[slice], Tensor]) -> Refresh:
    """The refresh of a tensor [population, ...] that `make` makes of some of the networks."""

    def refresh(kept: Tensor, network: int) -> None:
        kept[network : network + 1] = make(slice(network, network + 1))

    return refresh


_patterns: "WeakTensorKeyDictionary" = WeakTensorKeyDictionary()
"""Target tensor -> its pattern: an operator receives only tensors, and finds here what was derived from them."""


def pattern_of(target: Tensor, source: Tensor, size: int) -> SparsePattern:
    """The pattern that these tensors belong to, or a new one made from them without checking them."""
    known = _patterns.get(target)
    pattern = known() if known is not None else None
    return pattern if pattern is not None else _unchecked(target, source, size)


def _unchecked(target: Tensor, source: Tensor, size: int) -> SparsePattern:
    pattern = SparsePattern.__new__(SparsePattern)
    pattern.target, pattern.source, pattern.size = target, source, size
    _patterns[target] = weakref.ref(pattern)
    return pattern


def _checked(target: Tensor, source: Tensor, size: int) -> tuple[Tensor, Tensor, int]:
    for name, index in (("target", target), ("source", source)):
        if not isinstance(index, Tensor) or index.dtype not in _INTEGERS:
            found = index.dtype if isinstance(index, Tensor) else type(index).__name__
            raise ValueError(f"{name}: expected an integer tensor, got {found}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size: expected a number of neurons, 1 or more, got {size!r}")
    if size > 2**31 - 1:
        raise ValueError(f"size: at most {2**31 - 1} neurons (indices are 32-bit), got {size}")
    if target.shape != source.shape or target.dim() not in (1, 2):
        raise ValueError(
            f"target, source: expected two tensors of one shape, [population, nnz] or [nnz], "
            f"got {list(target.shape)} and {list(source.shape)}"
        )
    if target.device != source.device:
        raise ValueError(f"target, source: on different devices, {target.device} and {source.device}")
    if target.dim() == 1:
        target, source = target[None], source[None]
    if target.shape[0] == 0:
        raise ValueError("target, source: a population of 0 networks; the first dimension must be 1 or more")
    for name, index in (("target", target), ("source", source)):
        if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < size):
            raise ValueError(
                f"{name}: indices go from {int(index.min())} to {int(index.max())}, with size {size} "
                f"they must lie within 0 to {size - 1}"
            )
    # copies, so that a caller may reuse the tensors
    return target.to(torch.int64, copy=True).contiguous(), source.to(torch.int64, copy=True).contiguous(), size
