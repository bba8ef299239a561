"""What training reports: the numbers that the journal keeps, and that the columns of the tables are filled from.

A field here and a column of the same name in `biotune.results.tables` are one thing: everything between passes them on.
A number that is not finite is None once it has been through the journal.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from biotune.topology import measure_row, region_blocks
from biotune.training.trial import Convergence, Trial

Rows = list[list[float | None]]
"""One entry per evaluation, in it one number per replicate."""


@dataclass(frozen=True)
class Evaluations:
    """What was evaluated from epoch `first` on.

    Attributes:
        training: losses; of epoch 0, before the first update, there is none. validation: losses.
        accuracy: empty for a task that has none.
    """

    first: int
    training: Rows
    validation: Rows
    accuracy: Rows

    @classmethod
    def of(cls, trial: Trial, first: int = 0) -> "Evaluations":
        """The evaluations of a trial so far, from epoch `first` on."""
        loop = trial.loop
        nothing: list[float | None] = [None] * len(loop.population)
        training = [nothing, *(losses.tolist() for losses in loop.training_losses)]
        return cls(
            first,
            training[first:],
            [losses.tolist() for losses in loop.validation_losses[first:]],
            [values.tolist() for values in loop.accuracies[first:]],
        )


@dataclass(frozen=True)
class Standing:
    """Where a search trial stands, over its replicates.

    Attributes:
        score: median of the best validation losses so far; None before the first report, or if the trial diverged.
            What search and selection minimise is `objective`.
        finished: whether it has trained to its end.
        mean_updates: restricted mean updates to criterion, min(T, budget).
        converged, diverged: how many replicates have met the criterion, and how many had a loss that is not finite.
        seconds: spent on it.
    """

    score: float | None
    finished: bool
    mean_updates: float
    converged: int
    diverged: int
    seconds: float

    @property
    def objective(self) -> float | None:
        """What search and selection minimise, mean_updates + score / (1 + score); None if there is no score, and
        infinite if that is.

        Updates to criterion decide. The loss adds less than one update, so it decides only between trials with the same
        updates, such as those in which no network has met the criterion: these have the whole budget.
        """
        if self.score is None or not math.isfinite(self.score):
            return self.score
        return self.mean_updates + self.score / (1 + self.score)


UNREPORTED = Standing(score=None, finished=False, mean_updates=math.nan, converged=0, diverged=0, seconds=0.0)
"""Of a trial before its first report."""


@dataclass(frozen=True)
class TrialReport:
    """What a search trial reports: its evaluations since the report before, and where it stands."""

    evaluations: Evaluations
    standing: Standing

    @classmethod
    def of(cls, trial: Trial, first: int, seconds: float) -> "TrialReport":
        """The report of a trial whose evaluations before epoch `first` have been reported."""
        outcome = trial.convergence()
        standing = Standing(
            score=trial.score,
            finished=trial.finished,
            mean_updates=float(np.mean([one.updates for one in outcome])),
            converged=sum(one.converged for one in outcome),
            diverged=sum(one.diverged for one in outcome),
            seconds=seconds,
        )
        return cls(Evaluations.of(trial, first), standing)


@dataclass(frozen=True)
class BlockReport:
    """What replicates that were confirmed together report, once they are trained.

    Attributes:
        convergence: what became of each replicate: a row of `convergence.parquet`.
        topologies: each replicate's, before training: a row of `topologies.parquet`, every measure in it, and how
            signals propagate through the network.
        matrix: columns of `matrices.parquet`, if the first replicate is replicate 0 of the primary condition.
    """

    evaluations: Evaluations
    convergence: list[Convergence]
    topologies: list[dict[str, Any]]
    matrix: dict[str, list[float]] | None
    seconds: float

    @classmethod
    def of(cls, trial: Trial, seconds: float) -> "BlockReport":
        """The report of a trial of the confirmation that has trained to its end."""
        # outside the primary condition one picture of the matrix is enough
        first = trial.plan.replicates[0] == 0 and not trial.plan.until_met
        blocks = region_blocks(trial.topologies[0]) if first else None
        return cls(
            evaluations=Evaluations.of(trial),
            convergence=trial.convergence(),
            topologies=[
                {
                    "neurons": topology.size,
                    "edges": topology.edges,
                    "digest": topology.digest,
                    "rewired": topology.rewired,
                    "entries_changed": topology.entries_changed,
                }
                | _beside(measure_row(topology, values), propagated)
                for topology, values, propagated in zip(
                    trial.topologies, trial.initial_values, trial.propagation, strict=True
                )
            ],
            matrix=None if blocks is None else {name: column.tolist() for name, column in blocks.items()},
            seconds=seconds,
        )


def _beside(one: dict[str, float | str], other: dict[str, float | str]) -> dict[str, float | str]:
    """Two rows as one, with the reasons of both for what is left empty."""
    reasons = [str(row["left_empty"]) for row in (one, other) if row["left_empty"]]
    return {**one, **other, "left_empty": "; ".join(reasons)}
