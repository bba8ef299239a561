"""What a population's training does on its device: updates, evaluations, and nothing that waits for Python."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from biotune.network import Population, fixed_order_sum, norms
from biotune.training.optimizers import Number, Optimizer
from biotune.training.recorded import Recorded

Data = tuple[Tensor, Tensor]
"""Inputs [population, trials, time, input_size], and targets [population, trials, steps(, output_size)]."""


class Steps:
    """The updates and evaluations of a population of networks, each of which is trained as if it were alone.

    The loss that is minimised is the sum over networks of each one's mean batch loss, so that every network gets the
    gradient that it would get alone, to the last bit if the kernel backend is `independent`.

    An update and an evaluation read and write fixed tensors alone: on a GPU they are recorded once and replayed.

    Args:
        population: the networks.
        loss: "mse" or "cross_entropy". scored: the steps that it reads: a slice, or indices.
        training: what is trained on. validation: what is evaluated after every epoch.
        optimizer: of the population's parameters.
        gradient_clip: largest norm of one network's gradient over all its parameters; one number, or one per network.
        batch: trials per update; an epoch's last batch may be smaller.
    """

    def __init__(
        self,
        population: Population,
        loss: str,
        scored: slice | np.ndarray,
        training: Data,
        validation: Data,
        *,
        optimizer: Optimizer,
        gradient_clip: Number,
        batch: int,
    ) -> None:
        self.population, self.loss, self.optimizer = population, loss, optimizer
        self.device, self.dtype = population.values.device, population.values.dtype
        self.scored = scored if isinstance(scored, slice) else torch.from_numpy(scored).to(self.device)
        self.training, self.validation = training, validation
        clip = torch.as_tensor(gradient_clip, dtype=self.dtype, device=self.device)
        self.gradient_clip = clip.expand(len(population)).clone()
        trials = training[0].shape[1]
        self.sizes = [min(batch, trials - start) for start in range(0, trials, batch)]
        self._rows = torch.arange(len(population), device=self.device)[:, None]
        # what an update reads and writes: the order of an epoch's trials, how many of them are done, their loss so far
        self._order = torch.zeros(len(population), trials, dtype=torch.int64, device=self.device)
        self._done = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._loss = torch.zeros(len(population), dtype=self.dtype, device=self.device)
        self._updates = {size: Recorded(self.device) for size in set(self.sizes)}
        self._validation = Recorded(self.device)

    def epoch(self, order: np.ndarray) -> Tensor:
        """Trains for one epoch.

        Args:
            order: int64 [population, trials], of the training trials.

        Returns:
            [population], the mean loss over the epoch's trials, each as it was trained on; on the CPU.
        """
        self._order.copy_(torch.from_numpy(order))
        self._done.zero_()
        self._loss.zero_()
        for size in self.sizes:
            self._updates[size](partial(self._update, size))
        return (self._loss / self._order.shape[1]).cpu()

    def validate(self) -> list[Tensor]:
        """Loss [population] on the validation trials, and accuracy [population] if the task has one; on the CPU."""
        found = self._validation(partial(self.measure, self.validation))
        return [one.to("cpu", copy=True) for one in found]

    def evaluate(self, data: Data) -> list[Tensor]:
        """Likewise on other trials."""
        return [one.cpu() for one in self.measure(data)]

    def gradient_norms(self, order: np.ndarray, batch: int) -> Tensor:
        """[population], the norm of each network's gradient over all its trained parameters before it is clipped, of
        the loss of the first `batch` trials of an order; nothing is changed."""
        _, gradients = self._gradients(torch.from_numpy(order)[:, :batch].to(self.device))
        return norms(gradients)

    def _update(self, size: int) -> None:
        """Trains on the next `size` trials of the order."""
        batch = self._order.index_select(1, self._done + torch.arange(size, device=self.device))
        losses, gradients = self._gradients(batch)
        scale = torch.maximum(norms(gradients), self.gradient_clip).reciprocal() * self.gradient_clip
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

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss [population] of outputs [population, trials, steps, output_size]."""
        if self.loss == "mse":
            errors = (outputs - targets).square()
        else:
            errors = functional.cross_entropy(outputs.flatten(0, 2), targets.flatten(), reduction="none")
        errors = errors.reshape(len(targets), -1)
        return fixed_order_sum(errors) / errors.shape[1]

    @torch.no_grad()
    def measure(self, data: Data) -> list[Tensor]:
        """Loss [population], and accuracy [population] if the task has one, where the networks are."""
        inputs, targets = data
        outputs = self.population(inputs, self.scored)
        losses = self._losses(outputs, targets)
        if self.loss == "mse":
            return [losses]
        return [losses, (outputs.argmax(-1) == targets).double().mean((1, 2))]
