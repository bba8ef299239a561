"""Directed random graphs with parameters of their own, for comparison with the wiring of brains.

All edges have the weight 1; none joins a node to itself.
"""

from collections.abc import Callable, Sequence

import numpy as np

from biotune.connectome.connectome import Connectome, Provenance
from biotune.errors import UserError
from biotune.seeds import stream


def erdos_renyi(generator: np.random.Generator, *, size: int, edges: int) -> tuple[int, np.ndarray, np.ndarray]:
    """`edges` ordered pairs of different nodes, drawn without replacement: G(n, m).

    Args:
        generator: the draw.
        size: number of nodes, at least 2.
        edges: number of edges, 1 to size (size - 1).

    Raises:
        UserError: an argument is out of range.

    Source: Erdős & Rényi 1959, Publicationes Mathematicae 6:290.
    """
    _check("size", size, 2, None)
    _check("edges", edges, 1, size * (size - 1))
    return size, *_off_diagonal(generator.choice(size * (size - 1), edges, replace=False), size)


def ring_lattice(generator: np.random.Generator, *, size: int, neighbours: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Each node connects to its `neighbours` nearest on a ring, half of them on either side.

    Args:
        generator: not used; there is nothing to draw.
        size: number of nodes, at least 3.
        neighbours: an even number, 2 to size - 1.

    Raises:
        UserError: an argument is out of range.
    """
    _check("size", size, 3, None)
    _check("neighbours", neighbours, 2, size - 1)
    if neighbours % 2:
        raise UserError(f"connectome.neighbours: {neighbours} is odd; an even number is needed")
    half = np.arange(1, neighbours // 2 + 1)
    source = np.repeat(np.arange(size), neighbours)
    target = (source + np.tile(np.concatenate([-half, half]), size)) % size
    return size, source, target


def watts_strogatz(
    generator: np.random.Generator, *, size: int, neighbours: int, rewiring: float
) -> tuple[int, np.ndarray, np.ndarray]:
    """A ring lattice in which each edge moves, with probability `rewiring`, to a target drawn from those that are free.

    Args:
        generator: the draw.
        size, neighbours: of the lattice, see `ring_lattice`.
        rewiring: in [0, 1].

    Raises:
        UserError: an argument is out of range.

    Source: Watts & Strogatz 1998, https://doi.org/10.1038/30918.
    """
    if not 0 <= rewiring <= 1:
        raise UserError(f"connectome.rewiring: {rewiring} is outside [0, 1]")
    size, source, target = ring_lattice(generator, size=size, neighbours=neighbours)
    moves = generator.random(len(source)) < rewiring
    held = set((source * size + target)[~moves].tolist())
    for edge in np.flatnonzero(moves).tolist():  # one by one: which targets are free depends on the edges moved before
        start = int(source[edge])
        while (end := int(generator.integers(size))) == start or start * size + end in held:
            pass
        held.add(start * size + end)
        target[edge] = end
    return size, source, target


def stochastic_block(
    generator: np.random.Generator, *, blocks: Sequence[int], densities: Sequence[Sequence[float]]
) -> tuple[int, np.ndarray, np.ndarray]:
    """Nodes in blocks; each ordered pair of different nodes is joined with a probability set by their two blocks.

    Args:
        generator: the draw.
        blocks: number of nodes of each block, at least 1.
        densities: `[source block, target block]`, probabilities in [0, 1].

    Raises:
        UserError: an argument is out of range, or `blocks` and `densities` don't fit each other.

    Source: Holland, Laskey & Leinhardt 1983, https://doi.org/10.1016/0378-8733(83)90021-7.
    """
    for count in blocks:
        _check("blocks", count, 1, None)
    if [len(row) for row in densities] != [len(blocks)] * len(blocks):
        raise UserError(f"connectome.densities: must be {len(blocks)} × {len(blocks)} numbers, one per pair of blocks")
    chance = np.array(densities, np.float64)
    if not np.all((chance >= 0) & (chance <= 1)):
        raise UserError(f"connectome.densities: {densities} has numbers outside [0, 1]")
    size, first = int(sum(blocks)), np.cumsum([0, *blocks])
    sources, targets = [], []
    for a, b in np.ndindex(chance.shape):
        pairs = blocks[a] * (blocks[b] - 1 if a == b else blocks[b])
        drawn = generator.choice(pairs, generator.binomial(pairs, chance[a, b]), replace=False)
        source, target = _off_diagonal(drawn, blocks[a]) if a == b else np.divmod(drawn, blocks[b])
        sources.append(source + first[a])
        targets.append(target + first[b])
    return size, np.concatenate(sources), np.concatenate(targets)


def _off_diagonal(number: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The ordered pairs of different nodes with these numbers; pairs are numbered from 0, source by source."""
    source, target = np.divmod(number, size - 1)
    return source, target + (target >= source)


def _check(name: str, value: int, least: int, most: int | None) -> None:
    if value < least or (most is not None and value > most):
        interval = f"at least {least}" if most is None else f"{least} to {most}"
        raise UserError(f"connectome.{name}: {value} is out of range; {interval} would do")


RANDOM_GRAPHS: dict[str, tuple[Callable[..., tuple[int, np.ndarray, np.ndarray]], tuple[str, ...], str]] = {
    "erdos_renyi": (erdos_renyi, ("size", "edges"), "Erdős & Rényi 1959, Publicationes Mathematicae 6:290"),
    "watts_strogatz": (
        watts_strogatz,
        ("size", "neighbours", "rewiring"),
        "Watts & Strogatz 1998, Nature 393:440, https://doi.org/10.1038/30918",
    ),
    "ring_lattice": (ring_lattice, ("size", "neighbours"), "the lattice of Watts & Strogatz 1998"),
    "stochastic_block": (
        stochastic_block,
        ("blocks", "densities"),
        "Holland, Laskey & Leinhardt 1983, Social Networks 5:109, https://doi.org/10.1016/0378-8733(83)90021-7",
    ),
}
"""Name -> function, the options that it needs, citation."""


def random_graph(name: str, seed: int, options: dict[str, object]) -> Connectome:
    """A connectome of `RANDOM_GRAPHS`.

    Args:
        name: which.
        seed: the same name, options and seed give the same connectome.
        options: the parameters of its function.

    Raises:
        UserError: an option is missing, unknown, or out of range.
    """
    draw, needed, citation = RANDOM_GRAPHS[name]
    for option in needed:
        if option not in options:
            raise UserError(f"connectome.{option} is missing: {name} needs {', '.join(needed)}")
    for option in options:
        if option not in needed:
            raise UserError(f"connectome.{option} means nothing for {name}, which needs {', '.join(needed)}")
    generator = stream(seed, "random_connectome", name)
    size, source, target = draw(generator, **options)
    shown = ", ".join(f"{key}={options[key]}" for key in needed)
    return Connectome(
        f"{name}({shown})",
        size,
        source,
        target,
        np.ones(len(source)),
        Provenance(
            kind="generated",
            species="none",
            citation=citation,
            licence="none needed",
            orientation="generated source -> target; all weights are 1",
        ),
    )
