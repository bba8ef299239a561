"""A population of fixed capacity, whose slots are given the networks of one trial or another."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biotune.errors import KernelError
from biotune.network import Population
from biotune.training.engine.handed import Handed, Signature
from biotune.training.optimizers import Optimizer
from biotune.training.recorded import Recorded
from biotune.training.steps import Data, Steps
from biotune_kernels import SparsePattern, verify
from biotune_kernels.backends import load
from biotune_kernels.contract import MIXED, NONLINEARITIES

_VERIFIED = 2
"""Networks that kernels are verified with on a CPU, where they compute each network by itself."""


def independent(backend: str, device: torch.device, neurons: int, dtype: torch.dtype) -> bool:
    """Whether kernels give a network the same numbers, bit for bit, whichever networks are beside it."""
    return load(backend).independent(device, neurons, dtype)


class Slots:
    """Networks of one signature, and their training.

    Args:
        like: a trial's networks; empty slots have their edges, so that there are some.
        capacity: number of slots.
        device: where they are.

    Raises:
        KernelError: the kernels are not `independent`, or compute something other than they should here.
    """

    def __init__(self, like: Handed, capacity: int, device: torch.device) -> None:
        self.signature, self.capacity, self.device = like.signature, capacity, device
        asked = self.signature
        if not independent(asked.backend, device, asked.neurons, asked.dtype):
            raise KernelError(
                f"backend {asked.backend}: on {device.type}, the numbers of a network of {asked.neurons} neurons "
                "depend on which others are trained beside it, so an engine can't train it; give each trial a process "
                "of its own: --gpus-per-trial X on a GPU, no --engine on cores"
            )
        place = torch.arange(capacity) % len(like)
        pattern = SparsePattern(
            torch.from_numpy(like.target.astype(np.int64))[place],
            torch.from_numpy(like.source.astype(np.int64))[place],
            asked.neurons,
        ).to(device)
        _verify(asked, pattern)
        self.edges = [like.digests[index] for index in place.tolist()]
        self.population = Population.blank(
            pattern,
            input_size=asked.inputs,
            output_size=asked.outputs,
            reads=asked.reads,
            frozen=asked.frozen,
            backend=asked.backend,
            dtype=asked.dtype,
        )
        self.optimizer = Optimizer(asked.optimizer, self.population.parameters(), learning_rate=0.0)
        self.optimizer.decays = True  # some networks' may, and for the others adding 0 changes nothing
        self.training, self.validation, self.test = (self._blank(trials) for trials in asked.trials)
        self.steps = self._steps()
        self._testing = Recorded(device)
        if device.type == "cuda":
            self._warm_up()

    def put(self, slots: Sequence[int], handed: Handed, state: dict[str, Any]) -> None:
        """Puts a trial's networks into slots, one each, in the state that `take` returned or in which they began."""
        at = torch.tensor(slots, device=self.device)
        in_place = True
        for slot, digest, target, source in zip(slots, handed.digests, handed.target, handed.source, strict=True):
            if self.edges[slot] != digest:
                new = (torch.from_numpy(ends.astype(np.int64)) for ends in (target, source))
                in_place &= self.population.pattern.rewrite(slot, *new)
                self.edges[slot] = digest
        if not in_place:
            self.steps = self._steps()  # what was recorded read the edges where they no longer are
            self._testing = Recorded(self.device)

        def fill(tensor: Tensor, content: Tensor | np.ndarray | float) -> None:
            if isinstance(content, np.ndarray):
                content = torch.tensor(content)  # a copy: what comes from another process cannot be written to
            elif not isinstance(content, Tensor):
                content = torch.tensor(content, dtype=torch.float64)
            value = content.to(self.device, tensor.dtype)
            tensor.detach().index_copy_(0, at, value.expand(len(slots), *tensor.shape[1:]))

        for name, parameter in self.population.named_parameters():
            fill(parameter, state["population"][name])
        assert isinstance(self.population.nonlinearity, Tensor)
        assert self.population.sign is not None
        fill(self.population.nonlinearity, NONLINEARITIES.index(handed.nonlinearity))
        fill(self.population.sign, 0.0 if handed.sign is None else handed.sign)
        if self.population.read is not None and handed.read is not None:
            fill(self.population.read, handed.read)
        fill(self.optimizer.learning_rate, handed.learning_rate)
        fill(self.optimizer.weight_decay, handed.weight_decay)
        fill(self.optimizer.momentum, handed.momentum)
        fill(self.steps.gradient_clip, handed.gradient_clip)
        kept = state["optimizer"]
        fill(self.optimizer.steps, 0.0 if kept is None else kept["steps"])
        for index, moments in enumerate(self.optimizer.moments):
            for which, moment in enumerate(moments):
                fill(moment, 0.0 if kept is None else kept["moments"][index][which])
        for data, arrays in (
            (self.training, handed.training),
            (self.validation, handed.validation),
            (self.test, handed.test),
        ):
            for tensor, array in zip(data, arrays, strict=True):
                fill(tensor, array)

    @torch.no_grad()
    def take(self, slots: Sequence[int]) -> dict[str, Any]:
        """The weights of networks, and the state of their optimiser, on the CPU; as `TrainingLoop.state_dict` has
        them."""
        at = torch.tensor(slots, device=self.device)

        def taken(tensor: Tensor) -> Tensor:
            return tensor.detach().index_select(0, at).cpu()

        return {
            "population": {name: taken(parameter) for name, parameter in self.population.named_parameters()},
            "optimizer": {
                "steps": taken(self.optimizer.steps),
                "moments": [[taken(moment) for moment in moments] for moments in self.optimizer.moments],
            },
        }

    def score_test(self) -> Tensor:
        """Loss [capacity] on the test trials, on the CPU."""
        return self._testing(partial(self.steps.measure, self.test))[0].to("cpu", copy=True)

    def _blank(self, trials: int) -> Data:
        asked = self.signature
        kind = asked.dtype if asked.loss == "mse" else torch.int64
        inputs = torch.zeros(self.capacity, trials, asked.time, asked.inputs, dtype=asked.dtype, device=self.device)
        return inputs, torch.zeros(self.capacity, trials, *asked.targets, dtype=kind, device=self.device)

    def _steps(self) -> Steps:
        clip = self.steps.gradient_clip.tolist() if hasattr(self, "steps") else 1.0
        return Steps(
            self.population,
            self.signature.loss,
            self.signature.scored_steps,
            self.training,
            self.validation,
            optimizer=self.optimizer,
            gradient_clip=clip,
            batch=self.signature.batch,
        )

    def _warm_up(self) -> None:
        """Runs and records everything once, so that if memory does not suffice, that is known before a trial comes."""
        order = np.tile(np.arange(self.signature.trials[0]), (self.capacity, 1))
        for _ in range(2):
            self.steps.epoch(order)
            self.steps.validate()
            self.score_test()


def _verify(asked: Signature, pattern: SparsePattern) -> None:
    """Makes sure that the kernels compute here what they should.

    Raises:
        KernelError: they don't.
    """
    if pattern.device.type == "cpu":
        pattern = SparsePattern(pattern.target[:_VERIFIED], pattern.source[:_VERIFIED], pattern.size)
    training, *evaluated = asked.trials
    for size in sorted({min(asked.batch, training), training % asked.batch or asked.batch, *evaluated}):
        found = verify(asked.backend, pattern, size, asked.inputs, MIXED, asked.dtype)
        if not found.passed:
            raise KernelError(str(found))
