"""The networks that a study confirmed, out of their checkpoint, edges included: nothing is drawn again.

from biotune.results import Results
from biotune.training import load_networks

results = Results.open("results/seq_mem-20260101T120000Z")
cell = results.read_state().selection.cell("marmoset", "own_best")
networks = load_networks(results.path / "checkpoints" / "confirm" / f"{cell.checkpoint(0)}.pt")
topology, values = networks.topologies[0], networks.values[0]
W_hh = scipy.sparse.coo_array((values, (topology.target, topology.source)), (topology.size, topology.size))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biotune.errors import UserError
from biotune.io.storage import Place
from biotune.network import Population, load_checkpoint
from biotune.topology import Topology

_WEIGHTS = ("values", "weight_ih", "bias", "weight_out", "bias_out")


@dataclass(frozen=True)
class Networks:
    """Trained networks, as `biotune.network.Population` has them.

    Attributes:
        topologies: one a network: its edges, with the weights that they had before the network's values were drawn.
        values: [population, edges], the recurrent weights in the order of each topology's edges.
        weight_ih: [population, neurons, input_size]. bias: [population, neurons].
        weight_out: [population, output_size, read]. bias_out: [population, output_size].
        read: int64 [population, read], the neurons that the columns of `weight_out` are for; None: all, in their order.
        sign: [population, edges], 1 or -1, if they were trained under Dale's law; else None.
        plan: what they were trained by, as `TrialPlan.identity` has it; `plan["replicates"]` are their numbers, and
            `plan["network"]["nonlinearity"]` is f.
    """

    topologies: tuple[Topology, ...] = field(repr=False)
    values: Tensor = field(repr=False)
    weight_ih: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)
    weight_out: Tensor = field(repr=False)
    bias_out: Tensor = field(repr=False)
    read: Tensor | None = field(repr=False)
    sign: Tensor | None = field(repr=False)
    plan: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.topologies)

    @classmethod
    def of(cls, chosen: Sequence[tuple["Networks", int]]) -> "Networks":
        """Networks out of several checkpoints of one study, each by its place in one."""
        first, _ = chosen[0]

        def stack(name: str) -> Tensor:
            return torch.stack([getattr(networks, name)[place] for networks, place in chosen])

        return cls(
            topologies=tuple(networks.topologies[place] for networks, place in chosen),
            **{name: stack(name) for name in _WEIGHTS},
            read=None if first.read is None else stack("read"),
            sign=None if first.sign is None else stack("sign"),
            plan={**first.plan, "replicates": [networks.plan["replicates"][place] for networks, place in chosen]},
        )


def edges(topologies: Sequence[Topology], population: Population) -> dict[str, Any]:
    """What a checkpoint holds of where its networks' weights lie: 16 bytes an edge, 17 with signs.

    Args:
        topologies: one a network. population: the networks.
    """

    def index(name: str) -> Tensor:
        stacked = np.stack([getattr(topology, name) for topology in topologies])
        return torch.from_numpy(stacked.astype(np.int32 if topologies[0].size < 2**31 else np.int64))

    return {
        "size": topologies[0].size,
        "target": index("target"),
        "source": index("source"),
        "weight": torch.from_numpy(np.stack([topology.weight for topology in topologies])),
        "region": index("region"),
        "rewired": [float(topology.rewired) for topology in topologies],
        "entries_changed": [float(topology.entries_changed) for topology in topologies],
        "sign": None if population.sign is None else population.sign.to("cpu", torch.int8),
        "read": None if population.read is None else population.read.cpu(),
    }


def load_networks(file: Place) -> Networks:
    """The networks of a checkpoint that the confirm phase has finished, on the CPU.

    Raises:
        DamagedCheckpoint: the file is not as it was written, or cannot be read.
        UserError: it is not there, or is no such checkpoint.
    """
    content = load_checkpoint(file)
    if "edges" not in content:
        raise UserError(f"{file}: its networks are not trained to the end, and have no edges; go on with the study")
    held, trained = content["edges"], content["loop"]["population"]
    columns = zip(
        *(held[name] for name in ("target", "source", "weight", "region", "rewired", "entries_changed")), strict=True
    )
    topologies = tuple(
        Topology(
            held["size"], target.long().numpy(), source.long().numpy(), weight.numpy(), region.long().numpy(), *shares
        )
        for target, source, weight, region, *shares in columns
    )
    return Networks(
        topologies,
        **{name: trained[name] for name in _WEIGHTS},
        read=held["read"],
        sign=held["sign"],
        plan=content["plan"],
    )
