"""The measures of a topology, by which the wiring of arms is compared; one row per draw."""

from collections.abc import Callable

import numpy as np

from biotune.topology import spectrum
from biotune.topology.measures.graph import Graph, NotMeasured
from biotune.topology.nulls.edges import Edges
from biotune.topology.nulls.scatter import erdos_renyi
from biotune.topology.topology import Topology

HUBS = 0.1
"""Share of the neurons that count as hubs in the rich club."""


def measures(topology: Topology, value: np.ndarray | None = None) -> dict[str, float]:
    """Every measure of `MEASURES`, by name; NaN if it isn't defined for the topology, or is too expensive to compute.

    Args:
        topology: what is measured.
        value: `[edges]`, in place of the topology's weights, such as a network's own.
    """
    return _measure(topology, value)[0]


def measure_row(topology: Topology, value: np.ndarray | None = None) -> dict[str, float | str]:
    """As `measures`, and `left_empty`: the reason why each NaN has no value, `name: reason; ...`."""
    values, reasons = _measure(topology, value)
    return {**values, "left_empty": "; ".join(f"{name}: {reason}" for name, reason in reasons.items())}


def _measure(topology: Topology, value: np.ndarray | None) -> tuple[dict[str, float], dict[str, str]]:
    graph = Graph(topology, np.asarray(topology.weight if value is None else value, np.float64))
    values, reasons = {}, {}
    for name, measure in MEASURES.items():
        try:
            values[name] = float(measure(graph))
        except NotMeasured as reason:
            values[name], reasons[name] = float("nan"), str(reason)
    return values, reasons


def density(graph: Graph) -> float:
    """Edges between different neurons, over all ordered pairs: `m / (n (n - 1))`."""
    return graph.density


def reciprocity(graph: Graph) -> float:
    """Share of the edges between different neurons whose reverse is an edge too."""
    return _ratio(graph.pattern.multiply(graph.pattern.T).sum(), graph.edges, "no edges between different neurons")


def in_degree_sd(graph: Graph) -> float:
    """Standard deviation over neurons of the number of inputs."""
    return float(np.std(np.bincount(graph.topology.target, minlength=graph.size)))


def out_degree_sd(graph: Graph) -> float:
    """Standard deviation over neurons of the number of outputs."""
    return float(np.std(np.bincount(graph.topology.source, minlength=graph.size)))


def degree_correlation(graph: Graph) -> float:
    """Correlation over neurons of the number of inputs and the number of outputs."""
    return _correlation(graph.in_degree, graph.out_degree, "all neurons have the same number of inputs or outputs")


def in_strength_cv(graph: Graph) -> float:
    """Coefficient of variation over neurons of the input strength `s_i = sum_j |W[i, j]|`: its sd over its mean."""
    return _variation(graph.topology.target, graph)


def out_strength_cv(graph: Graph) -> float:
    """Coefficient of variation over neurons of the output strength `s_j = sum_i |W[i, j]|`: its sd over its mean."""
    return _variation(graph.topology.source, graph)


def clustering(graph: Graph) -> float:
    """Mean over neurons of the directed clustering coefficient, of the pattern; 0 for a neuron without any triangle.

    `c_i = [(A + A^T)^3]_ii / (2 (d_i (d_i - 1) - 2 b_i))`, with d the number of inputs and outputs of a neuron and
    b the number of its reciprocal edges (Fagiolo 2007, https://doi.org/10.1103/PhysRevE.76.026107).
    """
    return graph.clustering


def reachable(graph: Graph) -> float:
    """Share of the ordered pairs of neurons between which there is a path."""
    return _ratio(np.isfinite(graph.hops).sum() - graph.size, graph.size * (graph.size - 1), "one neuron has no pairs")


def path_length(graph: Graph) -> float:
    """Mean number of edges on the shortest path, over the ordered pairs between which there is a path."""
    joined = np.isfinite(graph.hops)
    return _ratio(graph.hops[joined].sum(dtype=np.float64), joined.sum() - graph.size, "no path between neurons")


def efficiency(graph: Graph) -> float:
    """Mean over ordered pairs of 1 / (number of edges on the shortest path), 0 if there is none (Latora & Marchiori
    2001, https://doi.org/10.1103/PhysRevLett.87.198701).
    """
    hops = graph.hops[~np.eye(graph.size, dtype=bool)]
    return _ratio(np.sum(1 / hops, dtype=np.float64), len(hops), "one neuron has no pairs")


def small_worldness(graph: Graph) -> float:
    """`(C / C_random) / (L / L_random)`, C clustering and L path length (Humphries & Gurney 2008,
    https://doi.org/10.1371/journal.pone.0002051).

    Random graphs with as many neurons and edges have on average a C equal to the density; their L is taken from one
    such graph, always drawn from the same seed.
    """
    length = path_length(graph)
    random = path_length(_random_graph(graph))
    return _ratio(graph.clustering / graph.density * random, length, "no path between neurons")


def modularity(graph: Graph) -> float:
    """Modularity Q of the communities that repeated spectral bisection finds (Leicht & Newman 2008,
    https://doi.org/10.1103/PhysRevLett.100.118703), of the directed pattern.
    """
    return graph.modularity(graph.communities)


def region_modularity(graph: Graph) -> float:
    """Modularity Q of the regions, as communities."""
    return graph.modularity(graph.topology.region)


def rich_club(graph: Graph) -> float:
    """Density among the tenth of the neurons with the most edges (and those that tie with them), over the density.

    Even in a random graph with these degrees hubs are connected more often: compare with the `degree_preserving` null
    (Zhou & Mondragón 2004; Colizza et al. 2006, https://doi.org/10.1038/nphys209).
    """
    if not graph.edges:
        raise NotMeasured("no edges between different neurons")
    degree = graph.in_degree + graph.out_degree
    least = np.sort(degree)[-max(2, round(HUBS * graph.size))]
    hub = degree >= least
    among = np.count_nonzero(hub[graph.target] & hub[graph.source])
    hubs = np.count_nonzero(hub)
    return among / (hubs * (hubs - 1)) / graph.density


def assortativity(graph: Graph) -> float:
    """Correlation over edges of the source's number of outputs and the target's number of inputs (Newman 2003,
    https://doi.org/10.1103/PhysRevE.67.026126; Foster et al. 2010, https://doi.org/10.1073/pnas.0912671107).
    """
    sources, targets = graph.out_degree[graph.source], graph.in_degree[graph.target]
    return _correlation(sources, targets, "edges all leave from, or arrive at, neurons of one degree")


def homophily(graph: Graph) -> float:
    """How much more alike the connections of two neurons are if one connects to the other than if it doesn't.

    Mean cosine similarity of the connection profiles (inputs and outputs, of the pattern) over the ordered pairs that
    are edges, minus the mean over those that aren't.
    """
    connected = graph.similarity[graph.target, graph.source].sum(dtype=np.float64)
    everyone = graph.similarity.sum(dtype=np.float64) - np.trace(graph.similarity)
    others = graph.size * (graph.size - 1) - graph.edges
    reason = "all pairs of neurons are connected, or none"
    return _ratio(connected, graph.edges, reason) - _ratio(everyone - connected, others, reason)


def silhouette(graph: Graph) -> float:
    """Mean silhouette of the connection profiles, regions as clusters, cosine distance (Rousseeuw 1987,
    https://doi.org/10.1016/0377-0427(87)90125-7): near 1 if each region has its own kind of connections, 0 at chance.

    `(b - a) / max(a, b)`: a is a neuron's mean distance to the others of its region, b the least of its mean
    distances to the neurons of another region; 0 for the only neuron of a region.
    """
    member = graph.region_members
    neurons = np.bincount(graph.topology.region)
    if np.count_nonzero(neurons) < 2 or neurons.max() < 2:
        raise NotMeasured("one region, or one neuron per region")
    region, everyone = graph.topology.region, np.arange(graph.size)
    distance = 1 - graph.similarity
    np.fill_diagonal(distance, 0)
    total = np.asarray((member @ distance).T)  # [size, regions], sums of distances
    own = total[everyone, region] / np.maximum(neurons[region] - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / neurons
    mean[everyone, region] = np.inf
    mean[:, neurons == 0] = np.inf
    nearest = mean.min(axis=1)
    larger = np.maximum(own, nearest)
    value = np.divide(nearest - own, larger, out=np.zeros(graph.size), where=(larger > 0) & (neurons[region] > 1))
    return float(value.mean())


def within_region(graph: Graph) -> float:
    """Share of the edges that lie within a region."""
    region = graph.topology.region
    same = np.count_nonzero(region[graph.topology.target] == region[graph.topology.source])
    return _ratio(same, graph.topology.edges, "no edges")


def region_contrast(graph: Graph) -> float:
    """How much more alike the connections of two neurons of one region are than those of two of different regions.

    Mean cosine similarity of the connection profiles (inputs and outputs, of the pattern) over pairs of one region,
    minus the mean over pairs of different regions: 0 if rewiring has left no trace of the region blocks.
    """
    unit, member = graph.profiles, graph.region_members
    # the similarities of all ordered pairs of vectors that sum to s add up to |s|^2, minus each vector's with itself
    itself = np.count_nonzero(graph.in_degree + graph.out_degree)
    one_region = (member @ unit).power(2).sum() - itself
    everyone = (unit.sum(axis=0) ** 2).sum() - itself
    neurons = member.sum(axis=1)
    one_region_pairs = int((neurons * (neurons - 1)).sum())
    different_pairs = graph.size * (graph.size - 1) - one_region_pairs
    reason = "one region, or one neuron per region"
    return _ratio(one_region, one_region_pairs, reason) - _ratio(everyone - one_region, different_pairs, reason)


def frobenius_norm(graph: Graph) -> float:
    """Frobenius norm of the weight matrix, `|W|_F = sqrt(sum_ij W[i, j]^2)`."""
    return spectrum.frobenius_norm(graph.weight)


def spectral_radius(graph: Graph) -> float:
    """Spectral radius of the weight matrix, `max_i |lambda_i|`."""
    return float(spectrum.moduli(graph.eigenvalues).max(initial=0.0))


def second_modulus(graph: Graph) -> float:
    """Second-largest modulus of the weight matrix's eigenvalues; a conjugate pair counts once.

    Far below the spectral radius it shows one outlying eigenvalue, as the mean of the weights makes it (Rajan & Abbott
    2006, https://doi.org/10.1103/PhysRevLett.97.188104).
    """
    return _two_largest_moduli(graph)[1]


def spectral_gap(graph: Graph) -> float:
    """Difference between the two largest moduli of the weight matrix's eigenvalues; a conjugate pair counts once."""
    largest, second = _two_largest_moduli(graph)
    return largest - second


def non_normality(graph: Graph) -> float:
    """Henrici's departure from normality of the weight matrix, relative to its norm: 0 for a normal one, at most 1.

    `sqrt(|W|_F^2 - sum_i |lambda_i|^2) / |W|_F` (Henrici 1962, https://doi.org/10.1007/BF01386296; Trefethen & Embree
    2005). It needs all eigenvalues, so it is computed up to 1,000 neurons.
    """
    if graph.size > spectrum.DENSE_SIZE:
        raise NotMeasured(f"too expensive above {spectrum.DENSE_SIZE:,} neurons")
    square = float(np.sum(graph.weight**2))
    normal = float(np.sum(spectrum.moduli(graph.eigenvalues) ** 2))
    return float(np.sqrt(max(0.0, _ratio(square - normal, square, "all weights are 0"))))


MEASURES: dict[str, Callable[[Graph], float]] = {
    measure.__name__: measure
    for measure in (
        density,
        reciprocity,
        in_degree_sd,
        out_degree_sd,
        degree_correlation,
        in_strength_cv,
        out_strength_cv,
        clustering,
        reachable,
        path_length,
        efficiency,
        small_worldness,
        modularity,
        region_modularity,
        rich_club,
        assortativity,
        homophily,
        silhouette,
        within_region,
        region_contrast,
        frobenius_norm,
        spectral_radius,
        second_modulus,
        spectral_gap,
        non_normality,
    )
}
"""Name -> function of the graph; its docstring says what it is."""


def _random_graph(graph: Graph) -> Graph:
    """A random graph with as many neurons and edges, always from the same seed."""
    if graph.edges == graph.size * (graph.size - 1):
        return graph  # complete: there is no other graph of this size
    edges = Edges(graph.size, graph.source, graph.target, np.ones(graph.edges), moving=np.ones(graph.edges, bool))
    random = erdos_renyi(edges, np.random.default_rng(0))
    order = np.lexsort((random.source, random.target))
    return Graph(
        Topology(graph.size, random.target[order], random.source[order], random.weight, graph.topology.region),
        random.weight,
    )


def _two_largest_moduli(graph: Graph) -> tuple[float, float]:
    modulus = np.sort(spectrum.moduli(graph.eigenvalues[graph.eigenvalues.imag >= 0]))
    if len(modulus) < 2:
        raise NotMeasured("one eigenvalue")
    return float(modulus[-1]), float(modulus[-2])


def _ratio(part: float | np.number, whole: float | np.number, reason: str) -> float:
    """part / whole; raises `NotMeasured` with the reason if whole is 0."""
    if not whole:
        raise NotMeasured(reason)
    return float(part / whole)


def _correlation(one: np.ndarray, other: np.ndarray, reason: str) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        raise NotMeasured(reason)
    return float(np.corrcoef(one, other)[0, 1])


def _variation(index: np.ndarray, graph: Graph) -> float:
    strength = np.bincount(index, weights=np.abs(graph.weight), minlength=graph.size)
    return _ratio(float(strength.std()), float(strength.mean()), "no weights other than 0")
