"""One trial from start to end: topologies, networks and data from a plan and its seeds, trained to the budget."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from biotune.criterion import updates_to_criterion
from biotune.digests import difference
from biotune.errors import UserError
from biotune.network import Draws, Population
from biotune.tasks import Task, Trials, make_task
from biotune.topology import Topology
from biotune.training.engine import EngineLoop, Engines
from biotune.training.loop import Loop, TrainingLoop
from biotune.training.optimizers import Optimizer
from biotune.training.plan import TrialPlan
from biotune.training.propagation import measure_propagation
from biotune.training.start import take_up
from biotune.training.topologies import DRAWN


@dataclass(frozen=True)
class Convergence:
    """What became of one replicate: see `convergence.parquet` in `biotune.results`.

    A loss is None if it is not finite, and if training ended before the budget; `left_empty` then says why.
    """

    converged: bool
    diverged: bool
    updates: float
    budget: int
    best_loss: float | None
    final_loss: float | None
    test_loss: float | None
    left_empty: str


ENDED_EARLY = "best_loss, final_loss, test_loss: training ended once every network of the block had met the criterion"
"""Of a block outside the primary condition."""


class ForeignState(UserError):
    """A saved state is not of this trial: its weights would lie on edges that they were not trained on."""


class Trial:
    """One plan, being trained.

    Args:
        plan: what to train.
        topologies: one per replicate; None: they are drawn from the plan.
        engines: that train its networks; None: they are trained here, on the plan's device.
        rungs: epochs after which it must be judged whether the trial goes on; an engine doesn't pass them by itself.

    Attributes:
        topologies: one per replicate.
        loop: the population and its training.
        propagation: how signals propagate through each replicate before training, see `measure_propagation`; of the
            confirmation only, since no table has it of search trials, or of topologies that are given.
    """

    def __init__(
        self,
        plan: TrialPlan,
        topologies: Sequence[Topology] | None = None,
        *,
        engines: Engines | None = None,
        rungs: Sequence[int] = (),
    ) -> None:
        self.plan = plan
        self.task: Task = make_task(**plan.task)
        trained = None if plan.start is None else plan.start.load()
        if topologies is not None:
            self.topologies = list(topologies)
        elif trained is None:
            self.topologies = [DRAWN.of(plan, replicate) for replicate in plan.replicates]
        else:
            self.topologies = list(trained.topologies)
        population = draw_population(plan, self.task, self.topologies)
        if trained is not None:
            take_up(population, trained)
        if engines is None:
            population.to(plan.device)
        data = [self.task.trials(plan.trials, plan.generator(replicate, "trials")) for replicate in plan.replicates]
        train = plan.training_trials
        self.initial_values = population.values.detach().cpu().double().numpy().copy()
        make: Callable[..., Loop] = TrainingLoop
        if engines is not None:
            until = (plan.level, plan.sustain) if plan.until_met else None
            make = partial(EngineLoop, engines, epochs=plan.epochs, until=until, goals=rungs)
        self.loop = make(
            population,
            self.task,
            training=[Trials(one.inputs[:train], one.targets[:train]) for one in data],
            validation=[Trials(one.inputs[train:], one.targets[train:]) for one in data],
            optimizer=Optimizer(
                plan.network.optimizer,
                population.parameters(),
                learning_rate=plan.network.learning_rate,
                weight_decay=plan.network.weight_decay,
                momentum=plan.network.momentum,
            ),
            gradient_clip=plan.network.gradient_clip,
            batch=plan.batch,
            order=_Orders(plan),
            test_at=plan.max_epochs,
            test=partial(_test_trials, plan, self.task),  # bound to the trial it would keep the loop alive with it
        )
        # in a `BlockReport`, unlike a trial of the search
        reported = topologies is None and (plan.phase == "confirm" or plan.until_met)
        self.propagation = measure_propagation(self.loop) if reported else []

    @property
    def budget(self) -> int:
        """Updates at which a replicate is censored."""
        return self.plan.max_epochs * self.plan.updates_per_epoch

    @property
    def finished(self) -> bool:
        """Trained to the end, or nothing left to train: every replicate diverged, or met the criterion where that is
        enough."""
        if self.loop.epoch >= self.plan.epochs or bool(self.loop.diverged.all()):
            return True
        return self.plan.until_met and all(
            converged or diverged for (_, converged), diverged in zip(self._reached(), self.loop.diverged, strict=True)
        )

    @property
    def diverged(self) -> bool:
        """Half of the replicates or more have diverged, so that the median of their losses is not finite."""
        return not np.isfinite(self.score)

    @property
    def score(self) -> float:
        """The median over replicates of the least validation loss so far; infinite if the trial diverged."""
        best = self.loop.best_losses().numpy()
        return float(np.median(best)) if np.isfinite(best).sum() * 2 > len(best) else float("inf")

    def run_epoch(self) -> None:
        """Trains for one epoch; at the budget the test trials are scored too."""
        self.loop.run_epoch()

    def convergence(self) -> list[Convergence]:
        """Where each replicate stands now, by the evaluations so far."""
        losses = torch.stack(self.loop.validation_losses).double().numpy()
        within = losses[: self.plan.max_epochs + 1]
        early = self.plan.until_met and self.finished and len(losses) <= self.plan.max_epochs
        tested = self.loop.test_losses
        tests = [math.nan] * losses.shape[1] if tested is None else tested.tolist()
        outcome = []
        for replicate, (steps, converged) in enumerate(self._reached()):
            best, final = np.nanmin(np.append(within[:, replicate], np.inf)), within[-1, replicate]
            outcome.append(
                Convergence(
                    converged=converged,
                    diverged=bool(self.loop.diverged[replicate]),
                    updates=steps,
                    budget=self.budget,
                    best_loss=None if early else _finite(best),
                    final_loss=None if early else _finite(final),
                    test_loss=_finite(tests[replicate]),
                    left_empty=ENDED_EARLY if early else "",
                )
            )
        return outcome

    def _reached(self) -> list[tuple[float, bool]]:
        """Of each replicate the updates to criterion, and whether it was met, by the evaluations so far."""
        losses = torch.stack(self.loop.validation_losses).double().numpy()
        updates = np.arange(len(losses)) * self.plan.updates_per_epoch
        return [updates_to_criterion(updates, one, self.plan.level, self.plan.sustain, self.budget) for one in losses.T]

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to train on; topologies and data are drawn again from the seeds."""
        return {
            "plan": self.plan.identity(),
            "topologies": [topology.digest for topology in self.topologies],
            "loop": self.loop.state_dict(),
            "test_losses": self.loop.test_losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to the state that `state_dict` returned.

        Raises:
            ForeignState: it is of another plan, or its topologies are others; nothing is taken from it.
        """
        if differs := difference(state["plan"], self.plan.identity()):
            raise ForeignState(f"was trained by another plan: {differs}")
        for replicate, there, here in zip(self.plan.replicates, state["topologies"], self.topologies, strict=True):
            if there != here.digest:
                raise ForeignState(f"was trained on other edges than this machine draws for replicate {replicate}")
        self.loop.load_state_dict(state["loop"])
        self.loop.test_losses = state["test_losses"]


def _test_trials(plan: TrialPlan, task: Task) -> list[Trials]:
    """Of each replicate, as many as it validates on."""
    count = plan.trials - plan.training_trials
    return [task.trials(count, plan.generator(replicate, "test_trials")) for replicate in plan.replicates]


def draw_population(plan: TrialPlan, task: Task, topologies: Sequence[Topology]) -> Population:
    """The networks of a plan as they are before training, on the CPU; a topology per replicate."""
    return Population(
        topologies,
        input_size=task.input_size,
        output_size=task.output_size,
        options=plan.network,
        draws=[
            Draws(
                input_weights=plan.generator(replicate, "input_weights"),
                recurrent_weights=plan.generator(replicate, "recurrent_weights"),
                readout_weights=plan.generator(replicate, "readout_weights"),
                ties=plan.generator(replicate, "ties"),
                signs=plan.generator(replicate, "signs"),
                readout_neurons=plan.generator(replicate, "readout_neurons"),
            )
            for replicate in plan.replicates
        ],
        backend=plan.backend,
        dtype=plan.dtype,
    )


def first_network_digest(plan: TrialPlan) -> str:
    """SHA-256 of the recurrent matrix that the first replicate of a plan begins with: its edges and their values.

    Arms that have it in common have equal networks: all else is drawn for the replicate, whatever the arm.

    Raises:
        UserError, ValueError: it can't be drawn.
    """
    first = replace(plan, replicates=plan.replicates[:1])
    topology = DRAWN.of(first, first.replicates[0])
    population = draw_population(first, make_task(**plan.task), [topology])
    digest = hashlib.sha256()
    for part in (topology.target, topology.source, population.values.detach().numpy()):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


class _Orders:
    """The order of each replicate's training trials in an epoch, [population, trials]; drawn many epochs at once."""

    EPOCHS = 50

    def __init__(self, plan: TrialPlan, engines: Engines | None = None, rungs: Sequence[int] = ()) -> None:
        self.plan = plan
        self.block: int | None = None

    def __call__(self, epoch: int) -> np.ndarray:
        block, row = divmod(epoch, self.EPOCHS)
        if block != self.block:
            in_turn = np.tile(np.arange(self.plan.training_trials), (self.EPOCHS, 1))
            self.drawn = np.stack(
                [self.plan.generator(r, "order", block).permuted(in_turn, axis=1) for r in self.plan.replicates], axis=1
            )
            self.block = block
        return self.drawn[row]
