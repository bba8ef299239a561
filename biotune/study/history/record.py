"""What is known of a study so far: its trials and confirmed replicates; `tables` makes the contract's tables of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from biotune.results import RUNNING
from biotune.results.documents import Cell, Extension, Look, Selection
from biotune.study.history.events import (
    Begun,
    Confirmed,
    Ended,
    Extended,
    Looked,
    Progress,
    Proposed,
    Selected,
    SetAside,
    Spent,
    StudyEvent,
)
from biotune.training import UNREPORTED, Convergence, Evaluations, Standing


def _nothing() -> np.ndarray:
    return np.empty((0, 0))


@dataclass
class Curves:
    """The evaluations of one population: arrays [evaluations, replicates], NaN if a number was not finite.

    Attributes:
        training: losses, a row per epoch; row 0, before the first update, is empty.
        validation: losses, a row per epoch from 0. accuracy: likewise; no rows if the task has none.
    """

    training: np.ndarray = field(default_factory=_nothing)
    validation: np.ndarray = field(default_factory=_nothing)
    accuracy: np.ndarray = field(default_factory=_nothing)

    def extend(self, further: Evaluations, replicates: int) -> None:
        """Takes in evaluations; those that a retried trial reports again replace what it reported before.

        Raises:
            ValueError: epochs are missing before them, or they are not of so many replicates; nothing is changed.
        """
        longer = {}
        for name in ("training", "validation", "accuracy"):
            held: np.ndarray = getattr(self, name)
            rows = getattr(further, name)
            if rows or name != "accuracy":
                if any(len(row) != replicates for row in rows):
                    raise ValueError(f"{name} is not of {replicates} replicates")
                if len(held) < further.first:
                    raise ValueError(f"rows from epoch {further.first} on, but {name} ends at {len(held)}")
                new = np.array(rows, dtype=np.float64).reshape(-1, replicates)
                longer[name] = np.concatenate([held[: further.first], new]) if further.first else new
        epochs = len(longer["validation"])
        if len(longer["training"]) != epochs or len(longer.get("accuracy", self.accuracy)) not in (0, epochs):
            raise ValueError("training, validation and accuracy are not of the same epochs")
        for name, values in longer.items():
            setattr(self, name, values)

    @property
    def nbytes(self) -> int:
        """Memory that the numbers take."""
        return self.training.nbytes + self.validation.nbytes + self.accuracy.nbytes


@dataclass
class TrialRecord:
    """One search trial.

    Attributes:
        status: one of `STATUSES`.
        verdict: what the scheduler answered to its last report, "continue" or "stop".
        standing: what its last report said.
    """

    trial: str
    arm: str
    index: int
    origin: str
    setting: dict[str, Any]
    status: str = RUNNING
    verdict: str = "continue"
    curves: Curves = field(default_factory=Curves)
    standing: Standing = UNREPORTED
    error: str = ""

    @property
    def score(self) -> float | None:
        """The loss, see `Standing`."""
        return self.standing.score

    @property
    def objective(self) -> float | None:
        """What search and selection minimise, see `Standing`."""
        return self.standing.objective

    @property
    def epochs(self) -> int:
        """Epochs reported so far."""
        return max(len(self.curves.validation) - 1, 0)

    def tally(self) -> Counter[str]:
        """What the trial adds to the tally of its arm."""
        return Counter(
            {
                self.status: 1,
                "epochs": self.epochs,
                "replicates_converged": self.standing.converged,
                "replicates_diverged": self.standing.diverged,
            }
        )


@dataclass
class Block:
    """Replicates of a cell that were confirmed together.

    Attributes:
        convergence, topologies, matrix: see `BlockReport`.
    """

    cell: Cell
    replicates: list[int]
    curves: Curves
    convergence: list[Convergence]
    topologies: list[dict[str, Any]]
    matrix: dict[str, list[float]] | None


@dataclass
class Record:
    """Everything that has happened in a study, rebuilt from its events.

    Args:
        search_replicates: networks per search trial.
        updates_per_epoch: condition -> optimiser steps per epoch; the primary first, under which is searched.
        planned: looks, numbers of pairs.
        mixed: tuned keys that are a choice between values of several types: a table holds them as text.

    Attributes:
        selection: what is confirmed; None until the search is done.
        confirmed: blocks by arm, plan of their cell, and first replicate.
        looks: that were taken. extensions: what was added to the study.
        set_aside: checkpoints that could not be read, and why: "search/real-0003.pt" -> reason.
        paces: seconds per epoch of each search trial that completed or was stopped. trained_epochs: of all of them.
    """

    search_replicates: int
    updates_per_epoch: Mapping[str, int]
    planned: Sequence[int]
    mixed: frozenset[str] = frozenset()
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    selection: Selection | None = None
    confirmed: dict[tuple[str, str, int], Block] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    paces: list[float] = field(default_factory=list)
    trained_epochs: int = 0
    _tallies: dict[str, Counter[str]] = field(default_factory=dict, repr=False)
    _best: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def primary(self) -> str:
        """The condition under which is searched."""
        return next(iter(self.updates_per_epoch))

    @property
    def blocks(self) -> list[Block]:
        """The confirmed blocks."""
        return list(self.confirmed.values())

    def confirmed_of(self) -> dict[tuple[str, str], set[int]]:
        """The replicates that are confirmed, by arm and plan of their cell."""
        found: dict[tuple[str, str], set[int]] = {}
        for block in self.blocks:
            found.setdefault((block.cell.arm, block.cell.plan), set()).update(block.replicates)
        return found

    def apply(self, event: StudyEvent) -> None:
        """Takes one event in; if it has been taken in before, nothing changes.

        Raises:
            ValueError: it cannot come after the events so far.
        """
        match event:
            case Begun():
                pass
            case Proposed(trial=name, arm=arm, index=index, origin=origin, setting=setting):
                trial = TrialRecord(name, arm, index, origin, setting)
                if self.trials.setdefault(name, trial) is trial:
                    self._count(trial, Counter())
            case Progress(report=report):
                trial = self._proposed(event.trial)
                before, score = trial.tally(), trial.score
                trial.curves.extend(report.evaluations, self.search_replicates)
                trial.standing = report.standing
                self._count(trial, before)
                self._compare(trial, score)
            case Ended():
                trial = self._proposed(event.trial)
                if trial.status != RUNNING:
                    return
                before = trial.tally()
                trial.status, trial.error = event.status, event.error
                if trial.status in ("completed", "stopped"):
                    self.paces.append(trial.standing.seconds / max(trial.epochs, 1))
                    self.trained_epochs += trial.epochs
                self._count(trial, before)  # last: the display's thread divides by these counts
            case Selected():
                self._select(event.selection)
            case Confirmed():
                self._confirm(event)
            case Looked(look=look):
                if look not in self.looks:
                    self.looks.append(look)
            case Extended(extension=extension):
                if extension not in self.extensions:
                    self.extensions.append(extension)
                    self._select(event.selection)
            case SetAside():
                self.set_aside[event.checkpoint] = event.reason
            case Spent():
                self.seconds[event.phase] = event.seconds

    def _select(self, selection: Selection | None) -> None:
        """What is confirmed; a block that was confirmed before is read as its cell is now."""
        self.selection = selection
        cells = {(cell.arm, cell.plan): cell for cell in selection.cells} if selection else {}
        for block in self.blocks:
            block.cell = cells.get((block.cell.arm, block.cell.plan), block.cell)

    def _proposed(self, name: str) -> TrialRecord:
        if name not in self.trials:
            raise ValueError(f"no trial {name!r} has been proposed")
        return self.trials[name]

    def _confirm(self, event: Confirmed) -> None:
        replicates, report, curves = event.replicates, event.report, Curves()
        if not len(replicates) == len(report.convergence) == len(report.topologies) > 0:
            raise ValueError(f"{len(report.convergence)} outcomes of {len(replicates)} replicates")
        curves.extend(report.evaluations, len(replicates))
        block = Block(event.cell, replicates, curves, report.convergence, report.topologies, report.matrix)
        self.confirmed[event.cell.arm, event.cell.plan, replicates[0]] = block

    def of_arm(self, arm: str) -> list[TrialRecord]:
        """The trials of one arm, in the order of their proposal."""
        return sorted((t for t in self.trials.values() if t.arm == arm), key=lambda t: t.index)

    def tally(self, arm: str) -> Counter[str]:
        """How far the search of an arm has come: trials by status, and summed over the trials `epochs`,
        `replicates_converged` and `replicates_diverged`. It takes no longer at the 10,000th trial than at the first.
        """
        return self._tallies.get(arm, Counter())

    def best(self, arm: str) -> float | None:
        """The least score of an arm, or None."""
        return self._best.get(arm)

    def _count(self, trial: TrialRecord, before: Counter[str]) -> None:
        tally = Counter(self._tallies.get(trial.arm))  # a new one, since the display reads from another thread
        tally.update(trial.tally())
        tally.subtract(before)
        self._tallies[trial.arm] = tally

    def _compare(self, trial: TrialRecord, before: float | None) -> None:
        """Updates the arm's best score; if that was this trial's and got worse, all trials of the arm are compared."""
        best = self._best.get(trial.arm)
        if trial.score is not None and (best is None or trial.score <= best):
            self._best[trial.arm] = trial.score
        elif before is not None and before == best:
            del self._best[trial.arm]
            if scores := [one.score for one in self.of_arm(trial.arm) if one.score is not None]:
                self._best[trial.arm] = min(scores)

    @property
    def replications(self) -> list[int]:
        """Numbers of replicates past the plan up to which each replication goes."""
        return sorted({one.replicates for one in self.extensions if one.replicates is not None})

    def look_of(self, replicate: int) -> int:
        """The number of pairs at the planned look, or with the replication, that a replicate is trained for."""
        return next(pairs for pairs in [*self.planned, *self.replications] if replicate < pairs)
