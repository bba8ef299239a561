"""The training of a trial whose networks an engine trains, as the trial sees it."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from biotune.network import Population
from biotune.tasks import Task, Trials
from biotune.training.engine.engine import Heard, Row
from biotune.training.engine.handed import EngineLost, Handed, NoEngine, Signature
from biotune.training.loop import Loop, stacked
from biotune.training.optimizers import Optimizer
from biotune.training.steps import Steps
from biotune_kernels import available_backends

PATIENCE = 1.0
"""Seconds that a trial lets an engine go on before it asks what has come of it."""
DEATHS = 5
"""Engines that may be lost in a row without an epoch in between; after that it is the trial's own failure."""


class Engines(Protocol):
    """Engines, of which one trains a trial's networks; `Engine` is one, and a handle of actors another."""

    def join(self, key: str, handed: Handed, goal: int) -> None: ...

    def poll(self, key: str, after: int, goal: int, patience: float) -> Heard: ...

    def state(self, key: str, after: int) -> tuple[int, dict[str, Any], Heard]: ...

    def leave(self, key: str) -> None: ...


class EngineLoop(Loop):
    """Hands a trial's networks over to an engine, and takes in what comes of them, one epoch per call.

    The engine may be epochs ahead, but never past the next of `goals`, at which the trial has to be judged first. If
    it is lost, the networks are handed over again in the last state that is known, and give the same numbers again.

    Args:
        engines: that train. population: as they were drawn, on the CPU.
        task, training, validation, optimizer, gradient_clip, batch, order, test_at, test: as of `TrainingLoop`.
        epochs: at which training ends. until: (level, sustain) if it ends once every network has met the level and held
            it.
        goals: epochs after which it must be judged whether the trial goes on.
    """

    def __init__(
        self,
        engines: Engines,
        population: Population,
        task: Task,
        training: list[Trials],
        validation: list[Trials],
        *,
        optimizer: Optimizer,
        gradient_clip: float,
        batch: int,
        order: Callable[[int], np.ndarray],
        test_at: int,
        test: Callable[[], list[Trials]],
        epochs: int,
        until: tuple[float, int] | None,
        goals: Sequence[int],
    ) -> None:
        super().__init__(population)
        self.engines, self.order, self.batch, self.epochs = engines, order, batch, epochs
        self.goals = sorted({*(goal for goal in goals if goal < epochs), epochs})
        data = [
            stacked(trials, task.loss, population.values.dtype, torch.device("cpu"))
            for trials in (training, validation, test())
        ]
        self.validation = data[1]
        self.steps = Steps(
            population,
            task.loss,
            task.scored,
            data[0],
            data[1],
            optimizer=optimizer,
            gradient_clip=gradient_clip,
            batch=batch,
        )
        self.rows: list[Row] = []  # of all epochs, taken in or not
        self.deaths, self.key = 0, ""
        self.handed = _handed(self.steps, task, data, order, test_at, epochs, until)
        _run_on_a_cpu(population)
        self._join()
        self._take_in()

    def run_epoch(self) -> None:
        if self.epoch >= self.epochs:
            raise ValueError(f"the trial has trained to its end, epoch {self.epochs}")
        self._take_in()

    def gradient_norms(self) -> Tensor:
        return self.steps.gradient_norms(self.order(self.epoch), self.batch)

    def state_dict(self) -> dict[str, Any]:
        """The state at the epoch at which the engine is, which may be ahead; never past the next goal."""
        while True:
            try:
                epoch, held, heard = self.engines.state(self.key, len(self.rows) - 1)
            except EngineLost as error:
                self._again(error)
                continue
            self._hear(heard)
            if epoch >= self.epoch:
                break
            self._poll()  # handed over again, it isn't yet where it was
        state = held | {
            "epoch": epoch,
            "training_losses": [row[0] for row in self.rows[1 : epoch + 1]],
            "validation_losses": [row[1] for row in self.rows[: epoch + 1]],
            "accuracies": [row[2] for row in self.rows[: epoch + 1] if row[2] is not None],
        }
        state["diverged"] = _diverged(self.rows[: epoch + 1])
        self.handed = replace(self.handed, state=state | {"test_losses": self.test_losses})
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        accuracies: list[Tensor | None] = list(self.accuracies)
        accuracies = accuracies or [None for _ in self.validation_losses]
        losses: list[Tensor | None] = [None]
        losses += self.training_losses
        self.rows = list(zip(losses, self.validation_losses, accuracies, strict=True))
        self.handed = replace(self.handed, state=state | {"test_losses": self.test_losses})
        self.close()
        self._join()

    def close(self) -> None:
        """Takes the networks away from the engine."""
        with suppress(EngineLost):
            self.engines.leave(self.key)

    @property
    def _goal(self) -> int:
        """The epoch up to which the engine may go: who asks for another epoch has been judged at this one."""
        return next((goal for goal in self.goals if goal > self.epoch), self.epochs)

    def _join(self) -> None:
        self.key = uuid.uuid4().hex  # so that what a dead one of the same trial has left is never taken for its own
        while True:
            try:
                self.engines.join(self.key, self.handed, self._goal)
            except EngineLost as error:
                self._count(error)
            else:
                return

    def _take_in(self) -> None:
        """Takes in the next epoch, or the evaluation before the first one."""
        wanted = len(self.validation_losses)
        while len(self.rows) <= wanted:
            self._poll()
        training, validation, accuracy = self.rows[wanted]
        if training is not None:
            self._trained(training)
        self._evaluated(validation, *([] if accuracy is None else [accuracy]))

    def _poll(self) -> None:
        try:
            self._hear(self.engines.poll(self.key, len(self.rows) - 1, self._goal, PATIENCE))
        except EngineLost as error:
            self._again(error)

    def _hear(self, heard: Heard) -> None:
        if heard.rows:
            self.deaths = 0
        self.rows += heard.rows
        if heard.test_losses is not None:
            self.test_losses = heard.test_losses

    def _again(self, error: EngineLost) -> None:
        self._count(error)
        self._join()

    def _count(self, error: EngineLost) -> None:
        self.deaths += 1
        if self.deaths > DEATHS:
            raise NoEngine(f"{DEATHS} engines were lost in a row, without an epoch in between ({error})") from None


def _handed(
    steps: Steps,
    task: Task,
    data: Sequence[tuple[Tensor, Tensor]],
    order: Callable[[int], np.ndarray],
    test_at: int,
    epochs: int,
    until: tuple[float, int] | None,
) -> Handed:
    population, optimizer = steps.population, steps.optimizer
    assert isinstance(population.nonlinearity, str)
    target, source = (ends.numpy().astype(np.int32) for ends in (population.pattern.target, population.pattern.source))
    training, validation, test = ((inputs.numpy(), targets.numpy()) for inputs, targets in data)
    signature = Signature(
        neurons=population.pattern.size,
        edges=population.pattern.nnz,
        inputs=task.input_size,
        outputs=task.output_size,
        reads=None if population.read is None else population.read.shape[1],
        trials=(training[0].shape[1], validation[0].shape[1], test[0].shape[1]),
        time=training[0].shape[2],
        batch=max(steps.sizes),
        loss=task.loss,
        targets=training[1].shape[2:],
        scored=Signature.scored_of(task.scored),
        optimizer=optimizer.name,
        frozen=not population.values.requires_grad,
        backend=population.backend,
        dtype=steps.dtype,
    )
    return Handed(
        signature=signature,
        target=target,
        source=source,
        digests=tuple(
            hashlib.sha256(t.tobytes() + s.tobytes()).hexdigest() for t, s in zip(target, source, strict=True)
        ),
        nonlinearity=population.nonlinearity,
        read=None if population.read is None else population.read.numpy(),
        sign=None if population.sign is None else population.sign.numpy(),
        learning_rate=float(optimizer.learning_rate[0]),
        weight_decay=float(optimizer.weight_decay[0]),
        momentum=float(optimizer.momentum[0]),
        gradient_clip=float(steps.gradient_clip[0]),
        training=training,
        validation=validation,
        test=test,
        orders=np.stack([order(epoch) for epoch in range(epochs)]).astype(np.int32),
        epochs=epochs,
        test_at=test_at,
        until=until,
        state={
            "epoch": 0,
            "population": {name: parameter.detach() for name, parameter in population.named_parameters()},
            "optimizer": None,
            "validation_losses": [],
            "diverged": torch.zeros(len(population), dtype=torch.bool),
        },
    )


def _diverged(rows: Sequence[Row]) -> Tensor:
    """bool [networks]: whether any of these losses was not finite."""
    found = torch.zeros_like(rows[0][1], dtype=torch.bool)
    for training, validation, _ in rows:
        found |= ~validation.isfinite()
        if training is not None:
            found |= ~training.isfinite()
    return found


def _run_on_a_cpu(population: Population) -> None:
    """Kernels that run here, for what is measured of the networks as they were drawn, if the engine's don't."""
    usable = available_backends("cpu", population.values.dtype)
    if usable[population.backend] is not None:
        population.backend = next(name for name in ("cpu", "dense") if usable[name] is None)
