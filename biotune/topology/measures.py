"""What is measured in a topology: the numbers by which arms are compared, one row a draw."""

from collections.abc import Callable

import numpy as np
import scipy.sparse

from biotune.topology import spectrum
from biotune.topology.wiring import Topology

DENSE_PRODUCT = 3000
"""Largest size at which patterns are multiplied as dense matrices, of 72 MB then, however sparse they are."""


def measures(topology: Topology, value: np.ndarray | None = None) -> dict[str, float]:
    """Every measure of `MEASURES`, by name.

    A measure that the topology doesn't have, or that is too dear at its size, is NaN; each one's text says when.

    Args:
        topology: what is measured.
        value: `[edges]`, in place of the topology's weights, such as a network's own.
    """
    weight = np.asarray(topology.weight if value is None else value, np.float64)
    return {name: measure(topology, weight) for name, measure in MEASURES.items()}


def density(topology: Topology, weight: np.ndarray) -> float:
    """Edges between different neurons, over all ordered pairs: `m / (n (n - 1))`; NaN for one neuron."""
    return _ratio(np.count_nonzero(topology.target != topology.source), topology.size * (topology.size - 1))


def reciprocity(topology: Topology, weight: np.ndarray) -> float:
    """Share of the edges between different neurons whose reverse is an edge too; NaN without any."""
    pattern = _pattern(topology)
    return _ratio(pattern.multiply(pattern.T).sum(), pattern.sum())


def in_degree_sd(topology: Topology, weight: np.ndarray) -> float:
    """Standard deviation over neurons of the number of inputs."""
    return float(np.std(np.bincount(topology.target, minlength=topology.size)))


def out_degree_sd(topology: Topology, weight: np.ndarray) -> float:
    """Standard deviation over neurons of the number of outputs."""
    return float(np.std(np.bincount(topology.source, minlength=topology.size)))


def in_strength_cv(topology: Topology, weight: np.ndarray) -> float:
    """Coefficient of variation over neurons of the input strength `s_i = sum_j |W[i, j]|`: its sd over its mean."""
    return _variation(topology.target, weight, topology.size)


def out_strength_cv(topology: Topology, weight: np.ndarray) -> float:
    """Coefficient of variation over neurons of the output strength `s_j = sum_i |W[i, j]|`: its sd over its mean."""
    return _variation(topology.source, weight, topology.size)


def clustering(topology: Topology, weight: np.ndarray) -> float:
    """Mean over neurons of the directed clustering coefficient, of the pattern; 0 for a neuron without any triangle.

    `c_i = [(A + A^T)^3]_ii / (2 (d_i (d_i - 1) - 2 b_i))`, with d the number of inputs and outputs and b that of
    reciprocal edges (Fagiolo 2007, https://doi.org/10.1103/PhysRevE.76.026107).
    """
    pattern = _pattern(topology)
    both = (pattern + pattern.T).tocsr()
    factor = both.toarray() if topology.size <= DENSE_PRODUCT else both
    cycles = both.multiply(factor @ factor).sum(axis=1)  # `both` is symmetric
    degree = both.sum(axis=1)
    reciprocal = pattern.multiply(pattern.T).sum(axis=1)
    possible = 2 * (degree * (degree - 1) - 2 * reciprocal)
    return float(np.mean(np.divide(cycles, possible, out=np.zeros(topology.size), where=possible > 0)))


def within_region(topology: Topology, weight: np.ndarray) -> float:
    """Share of the edges that lie within a region; NaN without edges."""
    region = topology.region
    return _ratio(np.count_nonzero(region[topology.target] == region[topology.source]), topology.edges)


def region_contrast(topology: Topology, weight: np.ndarray) -> float:
    """How much more alike the connections of two neurons of one region are than those of two of different regions.

    Mean cosine similarity of the connection profiles (inputs and outputs, of the pattern) over pairs of one region,
    less that over pairs of different regions: 0 where region blocks have been rewired away. NaN where there are no
    pairs of either kind, as with one neuron a region.
    """
    pattern = _pattern(topology)
    profile = scipy.sparse.csr_array(scipy.sparse.hstack([pattern, pattern.T]))
    norm = np.sqrt(profile.sum(axis=1))  # entries are 0 and 1
    scale = np.divide(1.0, norm, out=np.zeros(topology.size), where=norm > 0)
    unit = profile.multiply(scale[:, None]).tocsr()
    regions = int(topology.region.max(initial=-1)) + 1
    member = scipy.sparse.csr_array(
        (np.ones(topology.size), (topology.region, np.arange(topology.size))), shape=(regions, topology.size)
    )
    # sums of similarities over all ordered pairs: of vectors that sum to s, it is |s|^2, less each with itself
    itself = np.count_nonzero(norm)
    one_region = (member @ unit).power(2).sum() - itself
    everyone = (unit.sum(axis=0) ** 2).sum() - itself
    neurons = np.bincount(topology.region, minlength=regions)
    one_region_pairs = int((neurons * (neurons - 1)).sum())
    different_pairs = topology.size * (topology.size - 1) - one_region_pairs
    return _ratio(one_region, one_region_pairs) - _ratio(everyone - one_region, different_pairs)


def spectral_radius(topology: Topology, weight: np.ndarray) -> float:
    """Spectral radius of the weight matrix, `max_i |lambda_i|`."""
    return spectrum.spectral_radius(topology.size, topology.target, topology.source, weight)


def non_normality(topology: Topology, weight: np.ndarray) -> float:
    """Henrici's departure from normality of the weight matrix, relative to its norm: 0 for a normal one, at most 1.

    `sqrt(|W|_F^2 - sum_i |lambda_i|^2) / |W|_F` (Henrici 1962, https://doi.org/10.1007/BF01386296; Trefethen & Embree
    2005). It needs all eigenvalues: NaN above 1,000 neurons; NaN too where all weights are 0.
    """
    if topology.size > spectrum.DENSE_SIZE:
        return float("nan")
    square = float(np.sum(weight**2))
    normal = float(np.sum(np.abs(spectrum.eigenvalues(topology.size, topology.target, topology.source, weight)) ** 2))
    return float(np.sqrt(max(0.0, _ratio(square - normal, square)))) if square else float("nan")


MEASURES: dict[str, Callable[[Topology, np.ndarray], float]] = {
    "density": density,
    "reciprocity": reciprocity,
    "in_degree_sd": in_degree_sd,
    "out_degree_sd": out_degree_sd,
    "in_strength_cv": in_strength_cv,
    "out_strength_cv": out_strength_cv,
    "clustering": clustering,
    "within_region": within_region,
    "region_contrast": region_contrast,
    "spectral_radius": spectral_radius,
    "non_normality": non_normality,
}
"""Name -> function of (topology, weights `[edges]`); its docstring says what it is."""


def _pattern(topology: Topology) -> scipy.sparse.csr_array:
    """The pattern without self-connections, 0 and 1, float64 `[target, source]`."""
    apart = topology.target != topology.source
    return scipy.sparse.csr_array(
        (np.ones(np.count_nonzero(apart)), (topology.target[apart], topology.source[apart])),
        shape=(topology.size, topology.size),
    )


def _ratio(part: float | np.number, whole: float | np.number) -> float:
    return float(part / whole) if whole else float("nan")


def _variation(index: np.ndarray, weight: np.ndarray, size: int) -> float:
    strength = np.bincount(index, weights=np.abs(weight), minlength=size)
    return _ratio(float(strength.std()), float(strength.mean()))
