"""Initial weights of one network: drawn, assigned to the topology's edges, and scaled to a spectral radius or
norm."""

import math

import numpy as np
from numpy.typing import NDArray

from biotune.errors import UserError
from biotune.topology import Topology, frobenius_norm, spectral_radius

INITIALISATIONS = ("default", "xavier", "he", "orthogonal")

REMAPPINGS = ("signed", "magnitude")

_MOST_ORTHOGONAL = 20_000  # neurons; an orthogonal matrix is drawn as a dense one


def uniform_bound(initialisation: str, rows: int, columns: int, neurons: int) -> float:
    """Bound b of the uniform distribution on [-b, b] that a weight matrix [rows, columns] is drawn from.

    - `default`: b = 1/√neurons, as torch.nn.RNN.
    - `xavier`: b = √(6 / (rows + columns)) (Glorot & Bengio 2010).
    - `he`: b = √(6 / rows), variance 2 / fan_out (He et al. 2015).
    - `orthogonal`: as `default`, for all but the recurrent matrix, see `draw_recurrent`.

    Raises:
        ValueError: an initialisation of another name.
    """
    match initialisation:
        case "default" | "orthogonal":
            return 1 / math.sqrt(neurons)
        case "xavier":
            return math.sqrt(6 / (rows + columns))
        case "he":
            return math.sqrt(6 / rows)
    raise ValueError(f"unknown initialisation {initialisation!r}; known: {', '.join(INITIALISATIONS)}")


def remap_by_rank(
    values: NDArray[np.float64], weight: NDArray[np.float64], ties: np.random.Generator, by: str = "signed"
) -> NDArray[np.float64]:
    """Reassigns `values` so that their rank order is that of `weight`: the strongest link gets the largest value.

    With "signed" the weakest links get the most negative values; with "magnitude" the values of smallest magnitude, of
    either sign.

    The multiset of values stays, and so does the Frobenius norm. The spectral radius does not, since links of the same
    region pair get similar values; so a study sets it equal for all arms, or reports it.

    Args:
        values: [edges], drawn values, signed.
        weight: [edges], the topology's weights; equal weights are ordered at random.
        ties: draws the order of equal weights.
        by: "signed" or "magnitude".
    """
    order = np.lexsort((ties.random(len(weight)), weight))
    remapped = np.empty_like(values)
    remapped[order] = values[np.argsort(values if by == "signed" else np.abs(values), kind="stable")]
    return remapped


def draw_recurrent(topology: Topology, initialisation: str, generator: np.random.Generator) -> NDArray[np.float64]:
    """Recurrent values [edges] before they are remapped and scaled.

    Values are independent, from the uniform distribution of `uniform_bound`, so arms with as many edges get the same
    values. For `orthogonal` they are the entries of a random orthogonal matrix (Saxe et al. 2014) at the edges, which
    differ between arms.

    Raises:
        ValueError: too many neurons for an orthogonal matrix.
    """
    size = topology.size
    if initialisation != "orthogonal":
        bound = uniform_bound(initialisation, size, size, size)
        return generator.uniform(-bound, bound, len(topology.target))
    if size > _MOST_ORTHOGONAL:
        raise ValueError(f"initialisation orthogonal needs a dense matrix; {size} neurons exceed {_MOST_ORTHOGONAL}")
    orthogonal, triangular = np.linalg.qr(generator.standard_normal((size, size)))
    orthogonal *= np.sign(np.diag(triangular))  # uniformly distributed over the orthogonal group (Mezzadri 2007)
    return orthogonal[topology.target, topology.source]


def recurrent_values(
    topology: Topology,
    *,
    initialisation: str,
    remap: str | None,
    radius: float | None,
    norm: float | None = None,
    gain: float = 1.0,
    signs: NDArray[np.float64] | None = None,
    values: np.random.Generator,
    ties: np.random.Generator,
) -> NDArray[np.float64]:
    """Initial recurrent weights [edges], in the order of the topology's edges.

    Args:
        topology: who connects to whom, and how strongly.
        initialisation: see `uniform_bound`, for a matrix [neurons, neurons].
        remap: how the drawn values are reassigned by the rank of the topology's weights, see `remap_by_rank`; None:
            they aren't.
        radius: spectral radius to which the values are scaled; None: they aren't.
        norm: Frobenius norm to which they are scaled instead, `W * norm / |W|_F`; None: they aren't.
        gain: factor of the values that were scaled so.
        signs: [edges], the sign of each edge; the drawn values keep their magnitudes and get these signs, and remapping
            ranks by the weights' magnitudes. None: the drawn signs stay.
        values: draws the values; arms that share it start from the same multiset (before scaling).
        ties: draws the order of equal weights in remapping.

    Raises:
        UserError: `radius` is given, but the matrix has no cycle, so its spectral radius is 0; or `norm` is given, and
            all values are 0.
        ValueError: both are given.
    """
    if radius is not None and norm is not None:
        raise ValueError(f"radius {radius} and norm {norm} are given; one matrix is scaled to one of them")
    drawn = draw_recurrent(topology, initialisation, values)
    if remap is not None:
        drawn = remap_by_rank(drawn, topology.weight if signs is None else np.abs(topology.weight), ties, remap)
    if signs is not None:
        drawn = np.abs(drawn) * signs
    if radius is not None:
        found = spectral_radius(topology.size, topology.target, topology.source, drawn)
        if found < 1e-12:
            raise UserError(
                "the recurrent matrix has no cycle, so its spectral radius is 0 and cannot be set; use a connectome or "
                "null with cycles, or set topology.spectral_radius to as_it_comes, or topology.frobenius_norm"
            )
        drawn = drawn * (radius / found)
    if norm is not None:
        found = frobenius_norm(drawn)
        if found == 0:
            raise UserError("all initial recurrent values are 0, so topology.frobenius_norm cannot be set")
        drawn = drawn * (norm / found)
    return drawn if gain == 1 else drawn * gain
