"""Connectomes, topologies, nulls and measures, as calls on one object each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from biotune import connectome as wiring_data
from biotune import topology as neurons
from biotune.connectome import Connectome
from biotune.errors import UserError
from biotune.topology import Topology

if TYPE_CHECKING:
    from biotune.library.network import Network

Wiring = TypeVar("Wiring", Connectome, Topology)
Random = int | np.random.Generator | None
"""A seed, a generator, or None for another draw each time (SPEC 7 of Scientific Python)."""


def load_connectome(
    name: str, *, path: str | Path | None = None, otherwise: str | None = None, rng: Random = 0, **options: Any
) -> Connectome:
    """A connectome by name: directed, weighted edges between regions or neurons, always source -> target.

    >>> import biotune as bt
    >>> bt.load_connectome("distance_rule:marmoset", rng=1).size
    55

    Args:
        name: of the catalogue (`biotune connectome list` lists it), such as `marmoset`; a rule with one,
            `distance_rule:marmoset`; a random graph, such as `watts_strogatz`; with `path`, a name of your own.
        path: a file of yours, read instead: a matrix, an edge list, GraphML, ...
        otherwise: a rule that draws a connectome of the same size if the published one can't be had; without it that
            is an error.
        rng: of a rule or a random graph: a seed, or a `numpy.random.Generator`; None: another draw each time.
        options: how a file is read (`docs/connectomes.md`), or the parameters of a random graph.

    Returns:
        A `Connectome` with `size`, `source`, `target`, `weight` `[edges]`, `labels`, and `provenance` with its source.

    Raises:
        UserError: the name isn't known, or the file can't be had or read.

    Source: each connectome's own, in `provenance.citation`.
    """
    seed = seed_of(rng)
    if path is None and Path(name).is_file():
        raise UserError(f"connectome {name!r} is a file; give a name of your own, and path={name!r}")
    return wiring_data.load_connectome(name, path=path, otherwise=otherwise, seed=seed, **options)


def expand(
    connectome: Connectome,
    *,
    neurons_per_region: int | Sequence[int] | Mapping[str, Any] = 4,
    rng: Random = None,
    **options: Any,
) -> Topology:
    """Lays a connectome out over neurons: each region becomes several, each edge many.

    >>> import biotune as bt
    >>> bt.expand(bt.load_connectome("distance_rule:marmoset", rng=1), neurons_per_region=2, rng=1)
    <Topology: 110 neurons, 7558 edges>

    Args:
        connectome: the regions; of a connectome of neurons, give `neurons_per_region=1`.
        neurons_per_region: one number for all, or one per region.
        rng: draws targets and weights: a seed, or a `numpy.random.Generator`; None: another draw each time.
        options: `target_sparsity`, `partition`, `intrinsic`, `intrinsic_sparsity`, `intrinsic_weight`,
            `keep_diagonal`: see `biotune.topology.expand`.

    Returns:
        A `Topology` with `size`, `target`, `source`, `weight` `[edges]`, `region` `[size]`.

    Raises:
        UserError: an option is out of range, or the connectome and the options contradict each other.

    Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011
    """
    if not isinstance(connectome, Connectome):
        raise UserError(
            f"expand: a Connectome is needed, found a {type(connectome).__name__}; load_connectome reads files"
        )
    return neurons.expand(
        connectome, neurons_per_region=neurons_per_region, generator=generator_of(rng), **_known(options)
    )


def rewire(
    wiring: Wiring,
    null: str,
    *,
    weights: str = "carried",
    fraction: float = 1.0,
    positions: np.ndarray | None = None,
    rng: Random = None,
) -> Wiring:
    """A null model of a connectome (then expanded) or of a topology (its neurons are rewired).

    >>> import biotune as bt
    >>> cortex = bt.load_connectome("distance_rule:marmoset", rng=1)
    >>> bt.rewire(cortex, "degree_preserving", rng=1).edges == cortex.edges
    True

    Args:
        wiring: a `Connectome` or a `Topology`.
        null: its name; `docs/nulls.md` says what each keeps, and what it therefore does not test.
        weights: "carried": each stays with its edge; "shuffled": among the edges that may move.
        fraction: share of the edges that may move.
        positions: `[regions, 3]`, of a topology's regions, for `distance_preserving`; a connectome has its own.
        rng: the draw: a seed, or a `numpy.random.Generator`; None: another draw each time.

    Returns:
        The same kind of object; of a topology, `rewired` says which share of the edges is new.

    Raises:
        UserError: the null isn't known, or doesn't fit the wiring.

    Source: each null's own, in `docs/nulls.md`.
    """
    options: dict[str, Any] = {"weights": weights, "fraction": fraction, "generator": generator_of(rng)}
    if isinstance(wiring, Connectome):
        regions: Connectome = wiring if positions is None else wiring.with_positions(positions)
        return neurons.rewire_connectome(regions, null, **options)  # type: ignore[return-value]  # its own kind
    if not isinstance(wiring, Topology):
        raise UserError(f"rewire: a Connectome or a Topology is needed, found a {type(wiring).__name__}")
    changed = neurons.rewire_topology(wiring, null, positions=positions, **options)
    return replace(
        changed,
        rewired=neurons.rewired_share(wiring, changed),
        entries_changed=neurons.entries_changed(wiring, changed),
    )


def measure(wiring: "Connectome | Topology | Network") -> pd.Series:
    """All measures of a wiring; NaN where one can't be taken, with the reason in `attrs["left_empty"]`.

    >>> import biotune as bt
    >>> round(float(bt.measure(bt.load_connectome("distance_rule:marmoset", rng=1))["density"]), 3)
    0.627

    Args:
        wiring: a `Topology`; a `Connectome`, whose regions are then the nodes; or a trained `Network`, whose weights
            are then its trained ones.

    Returns:
        A Series, name -> value; `docs/measures.md` has each equation and source.

    Raises:
        UserError: it is none of these.
    """
    from biotune.library.network import Network

    if isinstance(wiring, Network):
        row = neurons.measure_row(wiring.topology, wiring.values)
    elif isinstance(wiring, Connectome):
        order = np.lexsort((wiring.source, wiring.target))
        edges = wiring.target[order], wiring.source[order], wiring.weight[order]
        row = neurons.measure_row(Topology(wiring.size, *edges, region=np.arange(wiring.size)))
    elif isinstance(wiring, Topology):
        row = neurons.measure_row(wiring)
    else:
        raise UserError(f"measure: a Connectome, Topology or Network is needed, found a {type(wiring).__name__}")
    reasons = row.pop("left_empty")
    measured = pd.Series(row, name="value", dtype=np.float64)
    measured.attrs["left_empty"] = reasons
    return measured


def seed_of(rng: Random) -> int:
    """The seed that `rng=` stands for: itself, or drawn from the generator.

    Raises:
        UserError: as of `generator_of`.
    """
    generator = generator_of(rng)
    return int(rng) if isinstance(rng, int | np.integer) else int(generator.integers(2**62))


def generator_of(rng: Random) -> np.random.Generator:
    """The generator that `rng=` stands for.

    Raises:
        UserError: it is neither a seed nor a generator.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise UserError(f"rng: a seed from 0 or a numpy.random.Generator is needed, found {rng!r}") from error


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """The options of an expansion, if all of them are.

    Raises:
        UserError: one isn't.
    """
    from inspect import signature

    from biotune.errors import unknown_name

    known = [name for name in signature(neurons.expand).parameters if name not in ("connectome", "generator")]
    for name in options:
        if name not in known:
            raise unknown_name("option of expand", name, known)
    return options
