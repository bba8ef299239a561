"""Connectomes drawn from a rule, with the size and number of edges of a catalogue's connectome.

None of them needs a data file: the size and number of edges that the catalogue gives are enough.
"""

from collections.abc import Callable

import numpy as np

from biotune.connectome.catalogue import Entry
from biotune.connectome.connectome import Connectome, Provenance
from biotune.errors import UserError
from biotune.seeds import stream

EXTRINSIC_SHARE = 0.2
"""Share of a cortical region's inputs that come from other regions (Markov et al. 2011, 10.1093/cercor/bhq201)."""

DECAY_RATE = {"macaque": 0.19, "mouse": 0.78, "marmoset": 0.3, "human": 0.1}
"""Species -> lambda, per mm. Macaque: Ercsey-Ravasz et al. 2013 (10.1016/j.neuron.2013.07.036). Mouse: Horvát et al.
2016 (10.1371/journal.pbio.1002512). Marmoset: Theodoni et al. 2022 (10.1093/cercor/bhab191). Human: extrapolated from
these by grey matter volume (Wang 2022, 10.1146/annurev-neuro-110920-035434). We know of no rate for the fly."""

MACAQUE_MEAN_DISTANCE = 26.57
"""Mean distance between two macaque cortical regions, mm (Ercsey-Ravasz et al. 2013); its sd is 10.1 mm."""


def distance_rule(entry: Entry, seed: int) -> Connectome:
    """A cortex wired by the exponential distance rule, with the size and number of edges of `entry`.

    Axon lengths are exponentially distributed, `p(d) = lambda exp(-lambda d)`, and all pairs of regions at the same
    distance are equally likely to be joined by an axon of that length. Axons are added one after another until as many
    pairs are joined as the species has edges. A pair's weight is its number of axons, normalised per target so that a
    region's inputs from other regions sum to 0.2 (FLN; the other 80 % of its inputs come from the region itself).

    All is drawn at once, not axon by axon: a pair at distance d receives axons as a Poisson process of rate
    `lambda exp(-lambda d) / q(d)`, with q the density of distances. So the pairs that are joined are those whose first
    axon arrives earliest, and each has that axon and a Poisson number of further ones, which arrive until the last of
    these pairs is joined.

    Geometry: region centres are uniform in a ball, in which the sd of the distances is 0.37 of their mean (macaque
    cortex: 0.38). For the macaque the mean distance is the measured one; for another species it is that of a cortex of
    the same shape: `lambda ~ V^(-2/9)` across species (Theodoni et al. 2022) and lengths scale with `V^(1/3)`, so
    distances scale with `lambda^(-3/2)`.

    Rates contain exponentials, whose last bit may differ between machines. Edges and weights depend on the rates only
    through an order and through counts, so they differ only if two first arrivals at the cut, or a draw of axons and
    its threshold, are that close: about once in 10¹¹ connectomes of 2,000 edges.

    Args:
        entry: gives the species, the size and the number of edges.
        seed: the same species and seed give the same connectome.

    Raises:
        UserError: no decay rate is known for the species.

    Sources: Ercsey-Ravasz et al. 2013, https://doi.org/10.1016/j.neuron.2013.07.036; Horvát et al. 2016,
    https://doi.org/10.1371/journal.pbio.1002512.
    """
    if entry.species not in DECAY_RATE:
        raise UserError(
            f"distance_rule: no decay rate is known for {entry.name} ({entry.species}); "
            f"known for {', '.join(sorted(DECAY_RATE))}"
        )
    decay = DECAY_RATE[entry.species]
    generator = stream(seed, "random_connectome", "distance_rule", entry.name)
    radius = 35 / 36 * MACAQUE_MEAN_DISTANCE * (DECAY_RATE["macaque"] / decay) ** 1.5
    positions = radius * _uniform_in_ball(entry.size, generator)

    source, target = np.nonzero(~np.eye(entry.size, dtype=bool))
    distance = np.linalg.norm(positions[source] - positions[target], axis=1)
    rate = decay * np.exp(-decay * distance) / _distance_density(distance, radius)
    first_arrival = generator.standard_exponential(len(rate)) / rate
    joined = np.argsort(first_arrival, kind="stable")[: entry.edges]
    source, target, rate, first_arrival = source[joined], target[joined], rate[joined], first_arrival[joined]
    axons = 1.0 + generator.poisson(rate * (first_arrival[-1] - first_arrival))
    inputs = np.bincount(target, weights=axons, minlength=entry.size)
    return Connectome(
        name=f"distance_rule:{entry.name}",
        size=entry.size,
        source=source,
        target=target,
        weight=EXTRINSIC_SHARE * axons / inputs[target],
        positions=positions,
        provenance=Provenance(
            kind="generated",
            species=entry.species,
            citation="Ercsey-Ravasz et al. 2013, Neuron 80:184, https://doi.org/10.1016/j.neuron.2013.07.036",
            licence="none needed",
            orientation="generated source -> target; FLN sums to 0.2 per target",
        ),
    )


def _uniform_in_ball(count: int, generator: np.random.Generator) -> np.ndarray:
    direction = generator.standard_normal((count, 3))
    return direction * (np.cbrt(generator.random((count, 1))) / np.linalg.norm(direction, axis=1, keepdims=True))


def _distance_density(distance: np.ndarray, radius: float) -> np.ndarray:
    """Density of the distance d of two points uniform in a ball: `3 s^2 (1 - 3 s / 4 + s^3 / 16) / r`, s = d / r."""
    scaled = distance / radius
    return 3 * scaled**2 * (1 - 0.75 * scaled + scaled**3 / 16) / radius


GENERATORS: dict[str, Callable[[Entry, int], Connectome]] = {"distance_rule": distance_rule}
"""Name -> function of (catalogue entry, seed)."""
