"""What a trial hands over to an engine: all that its networks are trained with."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from biotune.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]
"""Inputs [networks, trials, time, input_size], and targets."""


class EngineLost(Exception):
    """The engine has ended, or knows nothing of the trial: what was handed over has to be handed over again."""


class EngineError(UserError):
    """Engines cannot train a trial, and trying again would not help."""


class NoEngine(EngineError):
    """One engine after another was lost."""


class NoRoom(EngineError):
    """Not even one trial's networks fit into the memory of the engine's device."""


@dataclass(frozen=True)
class Signature:
    """What networks must have in common to share a population; all else is each one's own.

    Attributes:
        neurons, edges, inputs, outputs: of a network. reads: neurons that the readout sees; None: all.
        trials: of training, validation and test. time: steps of a trial. batch: trials per update.
        loss, targets: the kind of loss, and the shape of a trial's targets. scored: the steps that it reads.
        optimizer: its name. frozen: whether the recurrent weights are trained.
        backend, dtype: of the kernels.
    """

    neurons: int
    edges: int
    inputs: int
    outputs: int
    reads: int | None
    trials: tuple[int, int, int]
    time: int
    batch: int
    loss: str
    targets: tuple[int, ...]
    scored: tuple[int, ...] | tuple[int | None, int | None, int | None, str]
    optimizer: str
    frozen: bool
    backend: str
    dtype: torch.dtype

    @property
    def scored_steps(self) -> slice | np.ndarray:
        """The scored steps as a task gives them."""
        if self.scored and self.scored[-1] == "slice":
            return slice(*self.scored[:3])
        return np.array(self.scored, dtype=np.int64)

    @staticmethod
    def scored_of(steps: slice | np.ndarray) -> Any:
        """A task's scored steps as `scored` has them."""
        if isinstance(steps, slice):
            return (steps.start, steps.stop, steps.step, "slice")
        return tuple(int(step) for step in steps)


@dataclass(frozen=True)
class Handed:
    """A trial's networks and all that they are trained with.

    Attributes:
        signature: what they share a population by.
        target, source: int32 [networks, edges]. digests: of each network's edges.
        nonlinearity: "tanh" or "relu". read: int64 [networks, reads], or None. sign: [networks, edges], 1 or -1, or
            None if Dale's law isn't kept.
        learning_rate, weight_decay, momentum, gradient_clip: of all of them.
        training, validation, test: the trials.
        orders: int32 [epochs, networks, trials], the order of the training trials in each epoch.
        epochs: at which training ends. test_at: epoch after which the test trials are scored.
        until: (level, sustain) if training ends once every network has met the level and held it, or diverged.
        state: as of `TrainingLoop.state_dict`, with the history of losses so far; "optimizer" is None before the first
            epoch.
    """

    signature: Signature
    target: np.ndarray = field(repr=False)
    source: np.ndarray = field(repr=False)
    digests: tuple[str, ...] = field(repr=False)
    nonlinearity: str
    read: np.ndarray | None = field(repr=False)
    sign: np.ndarray | None = field(repr=False)
    learning_rate: float
    weight_decay: float
    momentum: float
    gradient_clip: float
    training: Arrays = field(repr=False)
    validation: Arrays = field(repr=False)
    test: Arrays = field(repr=False)
    orders: np.ndarray = field(repr=False)
    epochs: int
    test_at: int
    until: tuple[float, int] | None
    state: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.target)
