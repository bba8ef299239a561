"""From regions to neurons: each region becomes several neurons, each edge between regions many between neurons.

The construction is bio2art's (Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011), except
that by default a weight is divided among its edges so that none gets zero.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from biotune.connectome import Connectome
from biotune.errors import UserError, unknown_name
from biotune.topology.arrays import ranges
from biotune.topology.neurons import neuron_counts, reach_of
from biotune.topology.topology import Topology


def expand(
    connectome: Connectome,
    *,
    neurons_per_region: int | Sequence[int] | Mapping[str, Any] = 4,
    target_sparsity: float = 0.8,
    partition: str = "dirichlet",
    intrinsic: bool = True,
    intrinsic_sparsity: float = 1.0,
    intrinsic_weight: float = 0.8,
    keep_diagonal: bool = False,
    generator: np.random.Generator,
) -> Topology:
    """Lays a connectome out over neurons.

    For every edge `i -> j` of weight `C[i, j]`, each of the `n_i` neurons of region i connects to
    `k = max(1, round(target_sparsity * n_j))` neurons of region j, drawn for it without replacement; the `n_i * k`
    connections share `C[i, j]`. Within a region the same is done with `intrinsic_sparsity` and the total weight
    `intrinsic_weight / (1 - intrinsic_weight) * sum_s C[s, i]`, so that `intrinsic_weight` is the intrinsic share of
    the region's input weight.

    The number of edges depends only on the connectome's pattern and the options, never on the draw: a region that
    receives nothing from other regions still has its intrinsic connections, with weight 0. A region of one neuron has
    no intrinsic connections, unless self-connections are kept.

    A connectome of neurons is laid out with `neurons_per_region=1`: each edge occurs once, with its own weight and sign
    (with `intrinsic=False` and `keep_diagonal=True` if neurons connect to themselves). With more neurons per region the
    parts of a weight have its sign.

    Args:
        connectome: the regions. If it has edges from a region to itself, these are the connections within that region,
            so it is expanded with `intrinsic=False`.
        neurons_per_region: n, one number for all, one per region, or `{density: rank, mean: 4}`: see
            `biotune.topology.neurons.neurons_by_density`.
        target_sparsity: share of the target region's neurons that each source neuron reaches, in (0, 1].
        partition: how a weight is divided among its edges: `dirichlet` (uniform over all ways to divide it), `equal`,
            or `stick_breaking` (one part after another, then shuffled, as in bio2art; most of many parts are nearly 0).
        intrinsic: whether regions have connections of their own.
        intrinsic_sparsity: as `target_sparsity`, within a region.
        intrinsic_weight: intrinsic share of a region's input weight, in [0, 1).
        keep_diagonal: whether a neuron may connect to itself.
        generator: draws targets and parts.

    Raises:
        UserError: an option is out of range, or the connectome and the options contradict each other.
    """
    counts = neuron_counts(connectome, neurons_per_region)
    _check_range("target_sparsity", target_sparsity, 0 < target_sparsity <= 1, "(0, 1]")
    _check_range("intrinsic_sparsity", intrinsic_sparsity, 0 < intrinsic_sparsity <= 1, "(0, 1]")
    _check_range("intrinsic_weight", intrinsic_weight, 0 <= intrinsic_weight < 1, "[0, 1)")
    if partition not in PARTITIONS:
        raise unknown_name("partition", partition, PARTITIONS)
    _check_own_edges(connectome, counts, intrinsic, keep_diagonal)

    size = int(counts.sum())
    region = np.repeat(np.arange(connectome.size), counts)
    first = np.cumsum(counts) - counts
    by_target = np.argsort(connectome.target, kind="stable")
    inputs = np.split(by_target, np.searchsorted(connectome.target[by_target], np.arange(1, connectome.size)))
    if size == connectome.size and not (intrinsic and keep_diagonal):  # one neuron per region: nothing to draw
        return Topology(
            size, connectome.target[by_target], connectome.source[by_target], connectome.weight[by_target], region
        )
    blocks = []  # for each region, all inputs of its neurons
    for j, (edges, n) in enumerate(zip(inputs, counts.tolist(), strict=True)):
        outer, totals = connectome.source[edges], connectome.weight[edges]
        own = outer == j
        if intrinsic:
            inner_total = intrinsic_weight / (1 - intrinsic_weight) * totals.sum()
            inner_reach = reach_of(intrinsic_sparsity, n)
        else:
            inner_total = totals[own].sum()
            inner_reach = reach_of(target_sparsity, n) if own.any() else 0
        outer, totals = outer[~own], totals[~own]

        outer_targets = _draw(int(counts[outer].sum()), n, reach_of(target_sparsity, n), generator)
        inner_targets = _draw_within(n, inner_reach, keep_diagonal, generator)
        place = np.searchsorted(outer, j)  # the region's own among its sources, in order
        before = counts[outer[:place]].sum()
        sources = np.insert(outer, place, j)
        reach = np.insert(np.full(len(outer), outer_targets.shape[1]), place, inner_targets.shape[1])
        parts = counts[sources] * reach
        total = np.repeat(np.insert(totals, place, inner_total), parts)
        weight = PARTITIONS[partition](parts, generator) * total
        source = np.repeat(ranges(first[sources], counts[sources]), np.repeat(reach, counts[sources]))
        target = np.concatenate(
            [outer_targets[:before].ravel(), inner_targets.ravel(), outer_targets[before:].ravel()]
        ).astype(np.min_scalar_type(n))
        order = np.argsort(target, kind="stable")  # sources are in order already; with so few bits NumPy sorts by radix
        blocks.append((first[j] + target[order].astype(np.int64), source[order], weight[order]))
    target, source, weight = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Topology(size, target, source, weight, region)


def _draw(rows: int, candidates: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """For each row, `count` different candidates, uniformly drawn: int64 `[rows, count]`."""
    if count >= candidates:
        return np.tile(np.arange(candidates), (rows, 1))
    if 8 * count > candidates:
        return generator.permuted(np.tile(np.arange(candidates), (rows, 1)), axis=1)[:, :count]
    drawn = np.sort(generator.integers(candidates, size=(rows, count)), axis=1)  # saves memory if few are drawn
    while np.any(twice := drawn[:, 1:] == drawn[:, :-1]):
        drawn[:, 1:][twice] = generator.integers(candidates, size=np.count_nonzero(twice))
        drawn.sort(axis=1)
    return drawn


def _draw_within(neurons: int, count: int, keep_diagonal: bool, generator: np.random.Generator) -> np.ndarray:
    """As `_draw`, for connections within a region: int64 `[neurons, count]`, fewer columns if few others."""
    if keep_diagonal:
        return _draw(neurons, neurons, count, generator)
    others = _draw(neurons, neurons - 1, count, generator)
    return others + (others >= np.arange(neurons)[:, None])  # numbered without the neuron itself


def _equal(parts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return np.repeat(1.0 / np.maximum(parts, 1), parts)


def _dirichlet(parts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Flat Dirichlet: the gaps between sorted uniform numbers (Devroye 1986, Non-Uniform Random Variate Generation).

    Exponentials divided by their sum would do as well, but the last bit of a logarithm differs between machines, and
    with it the ranks of the weights.
    """
    share = np.empty(parts.sum())
    first = np.cumsum(parts) - parts
    for count in np.unique(parts[parts > 0]).tolist():
        alike = first[parts == count]
        gaps = np.zeros((len(alike), count))
        while len(empty := np.flatnonzero((gaps == 0).any(axis=1))):  # equal numbers: rarer than 1 in 10¹⁵ / count²
            cuts = np.sort(generator.random((len(empty), count - 1)), axis=1)
            gaps[empty] = np.diff(cuts, axis=1, prepend=0.0, append=1.0)
        share[alike[:, None] + np.arange(count)] = gaps
    return share


def _stick_breaking(parts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each part is a uniform share of what is left; the last part is the rest."""
    share = [np.empty(0)]
    for count in parts[parts > 0]:
        taken = generator.random(count - 1)
        left = np.concatenate([[1.0], np.cumprod(1 - taken)])
        share.append(generator.permutation(left * np.append(taken, 1.0)))
    return np.concatenate(share)


PARTITIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "dirichlet": _dirichlet,
    "equal": _equal,
    "stick_breaking": _stick_breaking,
}
"""Name -> function of (number of parts of each weight, generator), giving all parts; each weight's sum to 1."""


def _check_range(name: str, value: float, fits: bool, interval: str) -> None:
    if not fits:
        raise UserError(f"{name}: {value!r} is outside {interval}")


def _check_own_edges(connectome: Connectome, counts: np.ndarray, intrinsic: bool, keep_diagonal: bool) -> None:
    """Refuses options under which edges from a region to itself, or signs within regions, would have no meaning."""
    own = connectome.source[connectome.source == connectome.target]
    if intrinsic and len(own):
        raise UserError(
            f"connectome {connectome.name} has edges from regions to themselves (region {own[0]}): "
            "set intrinsic to false, so that these are the connections within regions"
        )
    if intrinsic and connectome.signed and np.any(counts > 1):
        raise UserError(
            f"connectome {connectome.name} has inhibiting edges, and no signs for connections within regions: "
            "set intrinsic to false, or read it without signs"
        )
    lone = own[counts[own] == 1]
    if len(lone) and not keep_diagonal:
        raise UserError(
            f"connectome {connectome.name}: region {lone[0]} connects to itself and has one neuron; "
            "set keep_diagonal to true, or give it more neurons"
        )
