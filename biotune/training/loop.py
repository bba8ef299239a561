"""The training loop: a population of networks, one epoch after another, each replicate as if it were alone."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from biotune.network import Population, fixed_order_sum, norms
from biotune.tasks import Task, Trials
from biotune.training.optimizers import Optimizer
from biotune.training.recorded import Recorded


class TrainingLoop:
    """Trains a population, one epoch per call.

    The loss that is minimised is the sum over replicates of each one's mean batch loss, so that every replicate gets
    the gradient that it would get alone, to the last bit if the kernel backend is `independent`. A replicate whose
    loss is not finite is `diverged` from then on; since no operation mixes replicates, the others go on untouched.

    An update and a validation read and write fixed tensors alone: on a GPU they are recorded once and replayed, and an
    epoch waits for nothing but its losses.

    Args:
        population: the networks.
        task: what the outputs are scored by.
        training: trials of each replicate. validation: likewise, never trained on.
        optimizer: of the population's parameters.
        gradient_clip: largest norm of one replicate's gradient over all its parameters.
        batch: trials per update; an epoch's last batch may be smaller.
        order: epoch -> [population, trials], the order of the training trials in that epoch.

    Attributes:
        epoch: epochs done.
        training_losses: an entry per epoch, each [population]: mean over the epoch's trials, each as it was trained on.
        validation_losses: [population] at epoch 0, before the first update, and after every epoch.
        accuracies: likewise, empty for a task that has none.
        diverged: bool [population].
    """

    def __init__(
        self,
        population: Population,
        task: Task,
        training: list[Trials],
        validation: list[Trials],
        *,
        optimizer: Optimizer,
        gradient_clip: float,
        batch: int,
        order: Callable[[int], np.ndarray],
    ) -> None:
        self.population, self.task = population, task
        self.gradient_clip, self.batch, self.order = gradient_clip, batch, order
        self.device, self.dtype = population.values.device, population.values.dtype
        self.training, self.validation = self._stack(training), self._stack(validation)
        scored = task.scored
        self.scored = scored if isinstance(scored, slice) else torch.from_numpy(scored).to(self.device)
        self.optimizer = optimizer
        self.epoch = 0
        self.training_losses: list[Tensor] = []
        self.validation_losses: list[Tensor] = []
        self.accuracies: list[Tensor] = []
        self.diverged = torch.zeros(len(population), dtype=torch.bool)
        trials = self.training[0].shape[1]
        self._sizes = [min(batch, trials - start) for start in range(0, trials, batch)]
        self._rows = torch.arange(len(population), device=self.device)[:, None]
        # what an update reads and writes: the order of an epoch's trials, how many of them are done, their loss so far
        self._order = torch.zeros(len(population), trials, dtype=torch.int64, device=self.device)
        self._done = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._loss = torch.zeros(len(population), dtype=self.dtype, device=self.device)
        self._updates = {size: Recorded(self.device) for size in set(self._sizes)}
        self._validation = Recorded(self.device)
        self._validate()

    def run_epoch(self) -> None:
        """Trains for one epoch, then evaluates on the validation trials."""
        self._order.copy_(torch.from_numpy(self.order(self.epoch)))
        self._done.zero_()
        self._loss.zero_()
        for size in self._sizes:
            self._updates[size](partial(self._update, size))
        self.epoch += 1
        self.training_losses.append((self._loss / self._order.shape[1]).cpu())
        self.diverged |= ~self.training_losses[-1].isfinite()
        self._validate()

    def gradient_norms(self) -> Tensor:
        """[population], the norm of each replicate's gradient over all its trained parameters before it is clipped, of
        the loss of the next epoch's first batch; nothing is changed.
        """
        order = torch.from_numpy(self.order(self.epoch))[:, : self.batch].to(self.device)
        _, gradients = self._gradients(order)
        return norms(gradients)

    @torch.no_grad()
    def evaluate(self, trials: list[Trials]) -> tuple[Tensor, Tensor | None]:
        """Loss [population], and accuracy [population] if the task has one, on trials of each replicate."""
        losses, *accuracies = (found.cpu() for found in self._evaluate(*self._stack(trials)))
        return losses, accuracies[0] if accuracies else None

    def best_losses(self) -> Tensor:
        """[population], the least validation loss so far; infinite if there was none, or the replicate diverged."""
        losses = torch.stack(self.validation_losses).nan_to_num(nan=torch.inf)
        return losses.amin(0).masked_fill(self.diverged, torch.inf)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on as if nothing had happened; order is drawn from seed and epoch."""
        return {
            "epoch": self.epoch,
            "population": self.population.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "training_losses": list(self.training_losses),
            "validation_losses": list(self.validation_losses),
            "accuracies": list(self.accuracies),
            "diverged": self.diverged,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to the state that `state_dict` returned."""
        self.epoch = state["epoch"]
        self.population.load_state_dict(state["population"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.training_losses = list(state["training_losses"])
        self.validation_losses = list(state["validation_losses"])
        self.accuracies = list(state["accuracies"])
        self.diverged = state["diverged"].clone()

    def _update(self, size: int) -> None:
        """Trains on the next `size` trials of the order."""
        batch = self._order.index_select(1, self._done + torch.arange(size, device=self.device))
        losses, gradients = self._gradients(batch)
        scale = self.gradient_clip / norms(gradients).clamp(min=self.gradient_clip)
        self.optimizer.step(gradients, scale)
        self.population.constrain()
        self._loss += losses * size
        self._done += size

    def _gradients(self, batch: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """The mean loss [population] of the training trials `batch` [population, trials], and the gradients of the
        trained parameters."""
        losses = self._losses(
            self.population(self.training[0][self._rows, batch], self.scored), self.training[1][self._rows, batch]
        )
        return losses.detach(), torch.autograd.grad(losses.sum(), self.optimizer.parameters)

    def _stack(self, trials: list[Trials]) -> tuple[Tensor, Tensor]:
        inputs = torch.from_numpy(np.stack([one.inputs for one in trials])).to(self.device, self.dtype)
        targets = torch.from_numpy(np.stack([one.targets for one in trials])).to(self.device)
        return inputs, targets.to(self.dtype) if self.task.loss == "mse" else targets

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss [population] of outputs [population, trials, steps, output_size]."""
        if self.task.loss == "mse":
            errors = (outputs - targets).square()
        else:
            errors = functional.cross_entropy(outputs.flatten(0, 2), targets.flatten(), reduction="none")
        errors = errors.reshape(len(targets), -1)
        return fixed_order_sum(errors) / errors.shape[1]

    def _validate(self) -> None:
        losses, *accuracies = (
            found.to("cpu", copy=True) for found in self._validation(partial(self._evaluate, *self.validation))
        )
        self.validation_losses.append(losses)
        self.accuracies += accuracies
        self.diverged |= ~losses.isfinite()

    @torch.no_grad()
    def _evaluate(self, inputs: Tensor, targets: Tensor) -> list[Tensor]:
        """Loss [population], and accuracy [population] if the task has one."""
        outputs = self.population(inputs, self.scored)
        losses = self._losses(outputs, targets)
        if self.task.loss == "mse":
            return [losses]
        return [losses, (outputs.argmax(-1) == targets).double().mean((1, 2))]
