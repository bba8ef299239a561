"""What a trial is made from: everything that decides its numbers, and trained networks to start from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from biotune.connectome import Connectome
from biotune.digests import difference
from biotune.errors import UserError
from biotune.io.storage import Place
from biotune.network import DamagedCheckpoint, NetworkOptions
from biotune.seeds import generator
from biotune.tasks import task_digest
from biotune.training.networks import Networks, load_networks


@dataclass(frozen=True)
class Start:
    """Trained networks, one per replicate.

    Attributes:
        plan: what they were trained by; its replicates are those that are started from.
        networks: for each replicate the checkpoint, and the network's place in it.
    """

    plan: "TrialPlan"
    networks: tuple[tuple[Place, int], ...]

    def load(self) -> Networks:
        """The networks.

        Raises:
            UserError: a checkpoint is missing or damaged, or its networks were trained by another plan.
        """
        held: dict[Place, Networks] = {}
        for (file, place), replicate in zip(self.networks, self.plan.replicates, strict=True):
            if file not in held:
                held[file] = self._read(file)
            found = held[file].plan["replicates"][place]
            if found != replicate:
                raise UserError(f"{file}: its network {place} is of replicate {found}, not of {replicate}")
        return Networks.of([(held[file], place) for file, place in self.networks])

    def _read(self, file: Place) -> Networks:
        if not file.is_file():
            raise UserError(f"{file}: the trained networks are not there; the study that has them is not complete")
        try:
            networks = load_networks(file)
        except DamagedCheckpoint as error:  # this training's own checkpoint is not damaged
            raise UserError(f"{error}; put back a copy of it, or run the study that has it again") from None
        if differs := difference(_common(networks.plan), _common(self.plan.identity())):
            raise UserError(f"{file}: its networks were not trained by the study that is started from ({differs})")
        return networks


def updates_per_epoch(trials: int, train_share: float, batch: int) -> int:
    """Optimiser steps per epoch: one per batch of a replicate's training trials, of which the last may be smaller."""
    return -(-round(trials * train_share) // batch)


@dataclass(frozen=True)
class TrialPlan:
    """Everything that one trial is made from; two equal plans train the same networks.

    Attributes:
        task: the task's name and options. trials: of one replicate. train_share: of them that are trained on.
        batch: trials per update.
        connectome: who connects to whom; None: the topologies are given to the trial, not drawn.
        topology: the options of `biotune.topology.expand`. draw: which draw of the topologies; 0 is the first.
        null: name, level ("region" or "neuron"), weights and fraction, or None for the connectome as it is.
        network: what the networks are, and how they are trained.
        seed, phase, replicates: where the random numbers come from.
        max_epochs: the budget. level, sustain: the criterion.
        backend, device: where the networks run.
        until_met: end once every replicate has met the criterion and held it, or diverged; what is known of the updates
            to criterion by then is exact.
        start: trained networks to start from, instead of drawing topologies and weights.
        study: digest of the study that the trial belongs to.
    """

    task: Mapping[str, Any]
    trials: int
    train_share: float
    batch: int
    connectome: Connectome | None
    topology: Mapping[str, Any]
    null: Mapping[str, Any] | None
    network: NetworkOptions
    seed: int
    phase: str
    replicates: tuple[int, ...]
    max_epochs: int
    level: float
    sustain: int
    draw: int = 0
    backend: str = "auto"
    device: str = "cpu"
    dtype: torch.dtype = field(default=torch.float32)
    until_met: bool = False
    start: Start | None = None
    study: str = ""

    def identity(self) -> dict[str, Any]:
        """Everything that the networks depend on except the machine, in plain values; a checkpoint keeps it."""
        start = self.start and {
            **self.start.plan.identity(),
            "networks": [[file.name, place] for file, place in self.start.networks],
        }
        content = {
            "study": self.study,
            "task": {**self.task, "sha256": task_digest(**self.task)},
            "connectome": self._wiring,
            "topology": dict(self.topology),
            "null": self.null and dict(self.null),
            "network": asdict(self.network),
            "start": start,
            "dtype": str(self.dtype),
        }
        plain = (
            "trials",
            "train_share",
            "batch",
            "draw",
            "seed",
            "phase",
            "replicates",
            "max_epochs",
            "level",
            "sustain",
        )
        return json.loads(json.dumps(content | {name: getattr(self, name) for name in plain}, default=str))

    @property
    def _wiring(self) -> str | None:
        return None if self.connectome is None else self.connectome.digest

    @property
    def digest(self) -> str:
        """SHA-256 of what its replicates have in common: by it the cell that they are of is known."""
        return hashlib.sha256(json.dumps(self._common(), sort_keys=True).encode()).hexdigest()

    def _common(self) -> dict[str, Any]:
        content = self.identity()
        del content["replicates"]
        return content if self.start is None else content | {"start": self.start.plan._common()}

    def start_and_training(self) -> tuple[str, str]:
        """What its recurrent matrices are drawn from, and all else that its networks depend on, the task aside; each as
        text. Plans that have both in common train the same networks."""
        network = asdict(self.network)
        drawn = {key: network.pop(key) for key in _DRAWN_BY}
        start = [self._wiring, dict(self.topology), self.null and dict(self.null), self.draw, drawn]
        others = [network[key] for key in ("signs", "dale", "readout")]  # of which some can't be drawn
        return json.dumps([*start, *others], default=str), json.dumps(network, default=str)

    @property
    def epochs(self) -> int:
        """Epochs run: `sustain - 1` past the budget, to see whether a crossing at its very end holds."""
        return self.max_epochs + self.sustain - 1

    @property
    def training_trials(self) -> int:
        """Trials of one replicate that are trained on; the others validate."""
        return round(self.trials * self.train_share)

    @property
    def updates_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return updates_per_epoch(self.trials, self.train_share, self.batch)

    def generator(self, replicate: int, purpose: str, *further: int) -> np.random.Generator:
        """The generator of one purpose in one replicate of this plan's phase."""
        return generator(self.seed, self.phase, replicate, purpose, *further)


_DRAWN_BY = ("initialisation", "remap", "radius", "norm", "gain")
"""Options of a network that decide its first recurrent matrix, and nothing else."""


def _common(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What networks must have in common with a plan. What they started from themselves shows in their edges."""
    return {key: value for key, value in plan.items() if key not in ("replicates", "start")}
