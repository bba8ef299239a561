"""What several measures of a topology need, each computed once: pattern, paths, profiles, communities, eigenvalues."""

from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from biotune.errors import UserError
from biotune.topology import spectrum
from biotune.topology.topology import Topology

PAIRS_SIZE = 3000
"""Largest size at which all pairs of neurons are compared: a matrix takes 36 MB, a product of two one second."""

TWO_PATHS = 10**9
"""Largest number of paths of two edges that are followed in a sparse pattern: it takes about 20 seconds."""

DENSE_PATTERN = 0.05
"""From this density on, paths are found by multiplying dense matrices; below it, by a search from every neuron."""

SMALL_EIGEN = 500
"""Largest matrix whose leading eigenvector is computed directly."""


class NotMeasured(Exception):
    """Why a measure has no value for a topology."""


class Graph:
    """A topology with the weights that are measured.

    Args:
        topology: what is measured.
        weight: float64 `[edges]`, in the order of the topology's edges.

    Attributes:
        size: number of neurons.
        target, source: int64, the edges between different neurons.
        in_degree, out_degree: int64 `[size]`, without self-connections.
    """

    def __init__(self, topology: Topology, weight: np.ndarray) -> None:
        self.topology, self.weight, self.size = topology, weight, topology.size
        apart = topology.target != topology.source
        self.target, self.source = topology.target[apart], topology.source[apart]
        self.in_degree = np.bincount(self.target, minlength=self.size)
        self.out_degree = np.bincount(self.source, minlength=self.size)

    @property
    def edges(self) -> int:
        """Number of edges between different neurons."""
        return len(self.target)

    @property
    def density(self) -> float:
        """Edges between different neurons, over all ordered pairs of them."""
        if self.size < 2:
            raise NotMeasured("one neuron has no pairs")
        return self.edges / (self.size * (self.size - 1))

    @cached_property
    def pattern(self) -> scipy.sparse.csr_array:
        """The pattern without self-connections, 0 and 1, float64 `[target, source]`."""
        shape = (self.size, self.size)
        return scipy.sparse.csr_array((np.ones(self.edges), (self.target, self.source)), shape=shape)

    @cached_property
    def clustering(self) -> float:
        """Mean directed clustering coefficient; see `biotune.topology.measures.catalogue`."""
        both = (self.pattern + self.pattern.T).tocsr()
        neighbours = np.diff(both.indptr).astype(np.int64)
        if self.size > PAIRS_SIZE and int((neighbours**2).sum()) > TWO_PATHS:
            raise NotMeasured(f"more than {TWO_PATHS:,} paths over two edges")
        factor = both.toarray() if self.size <= PAIRS_SIZE else both
        cycles = both.multiply(factor @ factor).sum(axis=1)  # `both` is symmetric
        degree = both.sum(axis=1)
        reciprocal = self.pattern.multiply(self.pattern.T).sum(axis=1)
        possible = 2 * (degree * (degree - 1) - 2 * reciprocal)
        return float(np.mean(np.divide(cycles, possible, out=np.zeros(self.size), where=possible > 0)))

    @cached_property
    def hops(self) -> np.ndarray:
        """Fewest edges from j to i, float32 `[i, j]`: 0 on the diagonal, infinite if there is no path."""
        self.require_pairs()
        if self.edges < DENSE_PATTERN * self.size**2:
            steps = scipy.sparse.csgraph.shortest_path(self.pattern.T.tocsr(), unweighted=True)
            return steps.T.astype(np.float32)
        step = self.pattern.toarray().astype(np.float32)
        hops = np.full((self.size, self.size), np.inf, np.float32)
        np.fill_diagonal(hops, 0)
        reached, length = np.eye(self.size, dtype=np.float32), 0
        while reached.any():
            length += 1
            new = (step @ reached > 0) & np.isinf(hops)
            hops[new] = length
            reached = new.astype(np.float32)
        return hops

    @cached_property
    def profiles(self) -> scipy.sparse.csr_array:
        """Each neuron's inputs and outputs, scaled to length 1 (0 if it has none): float64 `[size, 2 size]`."""
        profile = scipy.sparse.csr_array(scipy.sparse.hstack([self.pattern, self.pattern.T]))
        norm = np.sqrt(profile.sum(axis=1))  # entries are 0 and 1
        scale = np.divide(1.0, norm, out=np.zeros(self.size), where=norm > 0)
        return profile.multiply(scale[:, None]).tocsr()

    @cached_property
    def similarity(self) -> np.ndarray:
        """Cosine similarity of connection profiles, float32 `[size, size]`."""
        self.require_pairs()
        profiles = self.profiles.toarray().astype(np.float32)
        return profiles @ profiles.T

    @cached_property
    def region_members(self) -> scipy.sparse.csr_array:
        """1 if a neuron belongs to a region, else 0: float64 `[regions, size]`."""
        regions = int(self.topology.region.max(initial=-1)) + 1
        entries = (np.ones(self.size), (self.topology.region, np.arange(self.size)))
        return scipy.sparse.csr_array(entries, shape=(regions, self.size))

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of the weight matrix, all of them or the six largest; see `spectrum.leading_eigenvalues`."""
        try:
            return spectrum.leading_eigenvalues(self.size, self.topology.target, self.topology.source, self.weight)
        except UserError as error:
            raise NotMeasured("the eigenvalue iteration did not converge") from error

    def modularity(self, community: np.ndarray) -> float:
        """`Q = sum_c (m_c / m - in_c out_c / m^2)`: m_c of the m edges within c, in_c and out_c its inputs and outputs.

        Args:
            community: int64 `[size]`, each neuron's community.

        Source: Leicht & Newman 2008, https://doi.org/10.1103/PhysRevLett.100.118703.
        """
        if not self.edges:
            raise NotMeasured("no edges between different neurons")
        within = np.count_nonzero(community[self.target] == community[self.source])
        inputs = np.bincount(community, weights=self.in_degree)
        outputs = np.bincount(community, weights=self.out_degree)
        return float(within / self.edges - inputs @ outputs / self.edges**2)

    @cached_property
    def communities(self) -> np.ndarray:
        """Communities of high modularity, int64 `[size]`, by repeated spectral bisection.

        A group is split by the signs of the leading eigenvector of its part of `B + B^T`, `B = A - in out^T / m`, with
        each row's sum subtracted from the diagonal. Splitting goes on as long as it raises Q (Leicht & Newman 2008).
        """
        self.require_pairs()
        if not self.edges:
            raise NotMeasured("no edges between different neurons")
        excess = self.pattern.toarray()
        excess -= np.outer(self.in_degree, self.out_degree) / self.edges
        excess += excess.T
        community, count = np.zeros(self.size, np.int64), 1
        waiting = [np.arange(self.size)]
        while waiting:
            group = waiting.pop()
            part = excess[np.ix_(group, group)]
            part[np.diag_indices_from(part)] -= part.sum(axis=1)
            side = _leading_eigenvector(part) > 0
            sign = np.where(side, 1.0, -1.0)
            if side.all() or not side.any() or sign @ part @ sign <= 1e-9 * self.edges:
                continue
            community[group[side]] = count
            count += 1
            waiting += [group[side], group[~side]]
        return community

    def require_pairs(self) -> None:
        """Refuses a topology that is too large to compare all pairs of its neurons."""
        if self.size > PAIRS_SIZE:
            raise NotMeasured(f"too expensive above {PAIRS_SIZE:,} neurons")


def _leading_eigenvector(matrix: np.ndarray) -> np.ndarray:
    """The eigenvector of a symmetric matrix's greatest eigenvalue."""
    size = len(matrix)
    if size > SMALL_EIGEN:
        start = np.random.default_rng(0).standard_normal(size)
        try:
            return scipy.sparse.linalg.eigsh(matrix, k=1, which="LA", v0=start)[1][:, 0]
        except scipy.sparse.linalg.ArpackError:
            pass  # compute it directly instead, which takes some seconds
    return scipy.linalg.eigh(matrix, subset_by_index=[size - 1, size - 1])[1][:, 0]
