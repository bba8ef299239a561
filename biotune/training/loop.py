"""The training loop: a population of networks, one epoch after another, each replicate as if it were alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biotune.network import Population
from biotune.tasks import Task, Trials
from biotune.training.optimizers import Optimizer
from biotune.training.steps import Data, Steps


class Loop(ABC):
    """What is known of the training of a population, wherever it is done.

    A replicate whose loss is not finite is `diverged` from then on; since no operation mixes replicates, the others go
    on untouched.

    Attributes:
        population: the networks; of those that are trained elsewhere, as they were drawn.
        epoch: epochs done.
        training_losses: an entry per epoch, each [population]: mean over the epoch's trials, each as it was trained on.
        validation_losses: [population] at epoch 0, before the first update, and after every epoch.
        accuracies: likewise, empty for a task that has none.
        diverged: bool [population].
        test_losses: [population], loss at the budget on trials that neither training nor the criterion has seen; None
            before the budget.
    """

    population: Population
    validation: Data

    def __init__(self, population: Population) -> None:
        self.population = population
        self.epoch = 0
        self.training_losses: list[Tensor] = []
        self.validation_losses: list[Tensor] = []
        self.accuracies: list[Tensor] = []
        self.diverged = torch.zeros(len(population), dtype=torch.bool)
        self.test_losses: Tensor | None = None

    @abstractmethod
    def run_epoch(self) -> None:
        """Trains for one epoch, then evaluates on the validation trials, and at the budget on the test trials."""

    def close(self) -> None:
        """Lets go of what is held elsewhere for the training, if anything is."""
        return

    @abstractmethod
    def gradient_norms(self) -> Tensor:
        """[population], the norm of each replicate's gradient over all its trained parameters before it is clipped, of
        the loss of the next epoch's first batch; nothing is changed.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on as if nothing had happened; order is drawn from seed and epoch."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to the state that `state_dict` returned."""
        self.epoch = state["epoch"]
        self.training_losses = list(state["training_losses"])
        self.validation_losses = list(state["validation_losses"])
        self.accuracies = list(state["accuracies"])
        self.diverged = state["diverged"].clone()

    def best_losses(self) -> Tensor:
        """[population], the least validation loss so far; infinite if there was none, or the replicate diverged."""
        losses = torch.stack(self.validation_losses).nan_to_num(nan=torch.inf)
        return losses.amin(0).masked_fill(self.diverged, torch.inf)

    def _trained(self, losses: Tensor) -> None:
        """Takes in the losses of one more epoch."""
        self.epoch += 1
        self.training_losses.append(losses)
        self.diverged |= ~losses.isfinite()

    def _evaluated(self, losses: Tensor, *accuracies: Tensor) -> None:
        """Takes in an evaluation on the validation trials."""
        self.validation_losses.append(losses)
        self.accuracies += accuracies
        self.diverged |= ~losses.isfinite()


class TrainingLoop(Loop):
    """Trains a population here, one epoch per call; an epoch waits for nothing but its losses.

    Args:
        population: the networks.
        task: what the outputs are scored by.
        training: trials of each replicate. validation: likewise, never trained on.
        optimizer: of the population's parameters.
        gradient_clip: largest norm of one replicate's gradient over all its parameters.
        batch: trials per update; an epoch's last batch may be smaller.
        order: epoch -> [population, trials], the order of the training trials in that epoch.
        test_at: the epoch after which the test trials are scored. test: draws them, trials of each replicate.
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
        test_at: int,
        test: Callable[[], list[Trials]],
    ) -> None:
        super().__init__(population)
        self.task, self.optimizer, self.batch, self.order = task, optimizer, batch, order
        self.test_at, self.test = test_at, test
        self.training, self.validation = self._stack(training), self._stack(validation)
        self.steps = Steps(
            population,
            task.loss,
            task.scored,
            self.training,
            self.validation,
            optimizer=optimizer,
            gradient_clip=gradient_clip,
            batch=batch,
        )
        self.scored = self.steps.scored
        self._evaluated(*self.steps.validate())

    def run_epoch(self) -> None:
        self._trained(self.steps.epoch(self.order(self.epoch)))
        self._evaluated(*self.steps.validate())
        if self.epoch == self.test_at:
            self.test_losses = self.steps.evaluate(self._stack(self.test()))[0]

    def gradient_norms(self) -> Tensor:
        return self.steps.gradient_norms(self.order(self.epoch), self.batch)

    def state_dict(self) -> dict[str, Any]:
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
        super().load_state_dict(state)
        self.population.load_state_dict(state["population"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _stack(self, trials: list[Trials]) -> Data:
        values = self.population.values
        return stacked(trials, self.task.loss, values.dtype, values.device)


def stacked(trials: list[Trials], loss: str, dtype: torch.dtype, device: torch.device) -> Data:
    """Inputs and targets of each replicate's trials, one tensor each; the targets of "mse" are numbers."""
    inputs = torch.from_numpy(np.stack([one.inputs for one in trials])).to(device, dtype)
    targets = torch.from_numpy(np.stack([one.targets for one in trials])).to(device)
    return inputs, targets.to(dtype) if loss == "mse" else targets
