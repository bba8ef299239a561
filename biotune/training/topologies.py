"""The topology of a replicate, drawn from a plan's seeds, and kept for the trials that have the same."""

import json
from dataclasses import replace

import numpy as np

from biotune.connectome import Connectome
from biotune.topology import Topology, entries_changed, expand, rewire_connectome, rewire_topology, rewired_share
from biotune.training.plan import TrialPlan


def draw_topology(plan: TrialPlan, replicate: int) -> Topology:
    """The topology of one replicate: the connectome, rewired at the level of regions or, expanded, of neurons."""

    def draw(purpose: str) -> np.random.Generator:
        return plan.generator(replicate, purpose, *([plan.draw] if plan.draw else []))

    connectome, null, rewired, changed = wiring_of(plan), plan.null, 0.0, 0.0
    options = {} if null is None else {"null": null["name"], "weights": null["weights"], "fraction": null["fraction"]}
    if null is not None and null["level"] == "region":
        connectome = rewire_connectome(connectome, **options, generator=draw("connectome"))
        rewired, changed = _changes(wiring_of(plan), connectome)
    topology = expand(connectome, **plan.topology, generator=draw("expansion"))
    if null is not None and null["level"] == "neuron":
        expansion = topology
        topology = rewire_topology(topology, **options, positions=connectome.positions, generator=draw("topology"))
        rewired, changed = _changes(expansion, topology)
    return replace(topology, rewired=rewired, entries_changed=changed)


def wiring_of(plan: TrialPlan) -> Connectome:
    """The connectome that a plan's topologies are drawn from.

    Raises:
        ValueError: it has none.
    """
    if plan.connectome is None:
        raise ValueError("this plan has no connectome to draw from: its topologies are given to the trial")
    return plan.connectome


def _changes(before: Connectome | Topology, after: Connectome | Topology) -> tuple[float, float]:
    """The shares of the edges and of the entries that a null changed."""
    return rewired_share(before, after), entries_changed(before, after)


class Topologies:
    """The topologies of the plans that a process has met, so that an arm's trials don't draw theirs again.

    The cache is bounded by the edges it holds, since a whole-brain topology may take a gigabyte.
    """

    def __init__(self, max_edges: int = 20_000_000) -> None:
        self.max_edges = max_edges
        self.drawn: dict[str, Topology] = {}

    def of(self, plan: TrialPlan, replicate: int) -> Topology:
        """The topology of one replicate of a plan, drawn if it was not met before."""
        connectome = wiring_of(plan)
        content = [connectome.name, connectome.digest]
        key = json.dumps(
            [*content, dict(plan.topology), plan.null and dict(plan.null), plan.draw, plan.seed, plan.phase, replicate]
        )
        if key not in self.drawn:
            topology = draw_topology(plan, replicate)
            if sum(len(held.target) for held in self.drawn.values()) + len(topology.target) > self.max_edges:
                self.drawn.clear()
            self.drawn[key] = topology
        return self.drawn[key]


DRAWN = Topologies()
"""Of this process."""
