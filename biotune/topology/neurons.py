"""How many neurons each region gets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from biotune.connectome import Connectome
from biotune.errors import UserError, unknown_name

DENSITY_SCALES = ("rank", "ratio")


def reach_of(sparsity: float, neurons: int) -> int:
    """How many neurons of a region a source neuron reaches: the share `sparsity` of them, rounded, at least one."""
    return max(1, round(sparsity * neurons))


def rounding_of(sparsity: float, neurons: int) -> str | None:
    """What a sparsity comes to with so many neurons, as `3 of 4, a share of 0.75`; None if that is what was asked."""
    reached = reach_of(sparsity, neurons)
    share = reached / neurons
    return None if abs(share - sparsity) <= 0.005 else f"{reached} of {neurons}, a share of {share:.2g}"


def neuron_counts(connectome: Connectome, neurons_per_region: int | Sequence[int] | Mapping[str, Any]) -> np.ndarray:
    """Neurons of each region, int64 `[regions]`, at least 1.

    Args:
        connectome: whose regions.
        neurons_per_region: one number for all, one per region, or the options of `neurons_by_density`.

    Raises:
        UserError: they don't fit the connectome.
    """
    if isinstance(neurons_per_region, Mapping):
        return neurons_by_density(connectome, **neurons_per_region)
    counts = np.asarray(neurons_per_region)
    if counts.dtype.kind not in "iu" or counts.ndim > 1:
        raise UserError(f"neurons_per_region: {neurons_per_region!r} is neither a whole number nor a list of them")
    if counts.ndim == 1 and len(counts) != connectome.size:
        raise UserError(
            f"neurons_per_region: {len(counts)} numbers for the {connectome.size} regions of {connectome.name}"
        )
    if counts.size and counts.min() < 1:
        which = f"region {int(np.argmin(counts))}" if counts.ndim else "every region"
        raise UserError(f"neurons_per_region: {which} would have {counts.min()}; at least 1 is needed")
    return np.broadcast_to(counts.astype(np.int64), (connectome.size,))


def neurons_by_density(
    connectome: Connectome, *, density: str, mean: float = 4.0, unmeasured: int | None = None
) -> np.ndarray:
    """Neurons of each region by its neuron density: `n_i = max(1, round(mean * s_i / mean(s)))`.

    Args:
        connectome: with `neuron_density`.
        density: what s is: the density itself (`ratio`), or its rank (`rank`), 1 for the least dense region.
        mean: mean number of neurons of the regions whose density was measured (before rounding).
        unmeasured: number of neurons of each other region.

    Returns:
        int64 `[regions]`.

    Raises:
        UserError: the connectome has no densities, or lacks some and `unmeasured` isn't given.

    Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011, who scale by the least
    dense region.
    """
    found = connectome.neuron_density
    if density not in DENSITY_SCALES:
        raise unknown_name("neurons_per_region.density", density, DENSITY_SCALES)
    if found is None:
        raise UserError(
            f"neurons_per_region: {connectome.name} comes without neuron densities; give a number, or a list"
        )
    if not mean > 0:
        raise UserError(f"neurons_per_region.mean: {mean!r} is not above 0")
    measured = np.isfinite(found)
    if not measured.all() and unmeasured is None:
        raise UserError(
            f"neurons_per_region: the neuron density of {np.count_nonzero(~measured)} of {connectome.name}'s "
            f"{connectome.size} regions was not measured (region {int(np.argmin(measured))} is the first); say how "
            "many neurons they get, as unmeasured: 4"
        )
    if unmeasured is not None and unmeasured < 1:
        raise UserError(f"neurons_per_region.unmeasured: {unmeasured!r}; at least 1 is needed")
    counts = np.full(connectome.size, unmeasured or 1, np.int64)
    from scipy.stats import rankdata  # slow to import, and every worker imports this module

    scale = found[measured] if density == "ratio" else rankdata(found[measured])
    counts[measured] = np.maximum(1, np.round(mean * scale / scale.mean()))
    return counts
