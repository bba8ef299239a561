"""What is known of a study so far: its trials and confirmed replicates, as objects and as the contract's tables."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from biotune.results import LABELS, RUNNING, TABLES, Results
from biotune.results.documents import Cell, Extension, Look, Reading, Selection
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

    def trials_table(self) -> pd.DataFrame:
        """`trials.parquet`."""
        rows = [
            _row(
                "trials",
                vars(t)
                | vars(t.standing)
                | {
                    "epochs": t.epochs,
                    "updates": t.epochs * self.updates_per_epoch[self.primary],
                    "best_loss": t.score,
                    "replicates": self.search_replicates,
                },
            )
            | self._tuned(t.setting)
            for t in sorted(self.trials.values(), key=lambda t: (t.arm, t.index))
        ]
        return _frame("trials", rows)

    def curves_table(self) -> pd.DataFrame:
        """`curves.parquet`."""
        searched = list(range(self.search_replicates))
        parts = [
            ("search", self.primary, t.arm, "", t.trial, searched, t.curves)
            for t in sorted(self.trials.values(), key=lambda t: (t.arm, t.index))
            if len(t.curves.validation)
        ]
        parts += [
            (
                reading.phase,
                reading.condition,
                b.cell.arm,
                reading.against,
                _name(b.cell.arm, reading),
                b.replicates,
                b.curves,
            )
            for reading, b in self._read()
        ]
        if not parts:
            return _frame("curves", [])
        phases, conditions, arms, against, trials, replicates, curves = zip(*parts, strict=True)
        rows = [one.validation.size for one in curves]
        epoch = np.concatenate(
            [np.repeat(np.arange(len(one.validation), dtype=np.int32), one.validation.shape[1]) for one in curves]
        )

        def column(name: str) -> np.ndarray:
            columns = [getattr(one, name) for one in curves]
            return np.concatenate(
                [c.reshape(-1) if c.size else np.full(size, np.nan) for c, size in zip(columns, rows, strict=True)]
            )

        return pd.DataFrame(
            {
                "phase": pd.Categorical(phases).repeat(rows),
                "condition": pd.Categorical(conditions).repeat(rows),
                "arm": pd.Categorical(arms).repeat(rows),
                "against": pd.Categorical(against).repeat(rows),
                "trial": pd.Categorical(trials).repeat(rows),
                "replicate": np.concatenate(
                    [
                        np.tile(np.array(numbers, dtype=np.int32), len(one.validation))
                        for numbers, one in zip(replicates, curves, strict=True)
                    ]
                ),
                "epoch": epoch,
                "updates": epoch.astype(np.int64)
                * np.repeat([self.updates_per_epoch[condition] for condition in conditions], rows),
                "training_loss": column("training"),
                "validation_loss": column("validation"),
                "accuracy": column("accuracy"),
            }
        )

    def convergence_table(self) -> pd.DataFrame:
        """`convergence.parquet`."""
        rows = [
            _row(
                "convergence",
                vars(outcome)
                | {
                    "phase": reading.phase,
                    "condition": reading.condition,
                    "arm": block.cell.arm,
                    "against": reading.against,
                    "trial": _name(block.cell.arm, reading),
                    "replicate": replicate,
                    "look": self.planned[0] if reading.phase == "gain_search" else self.look_of(replicate),
                },
            )
            | self._tuned(block.cell.setting)
            for reading, block in self._read()
            for replicate, outcome in zip(block.replicates, block.convergence, strict=True)
        ]
        return _frame("convergence", rows)

    def topologies_table(self) -> pd.DataFrame:
        """`topologies.parquet`: the topologies of the confirmed replicates, as they were before training."""
        places = {condition: place for place, condition in enumerate(self.updates_per_epoch)}
        rows = {
            (places[reading.condition], block.cell.arm, replicate): {
                "condition": reading.condition,
                "arm": block.cell.arm,
                "replicate": replicate,
                **{name: math.nan if value is None else value for name, value in topology.items()},
            }
            for reading, block in self._own_best_last()
            if reading.phase != "gain_search"  # those are other networks
            for replicate, topology in zip(block.replicates, block.topologies, strict=True)
        }
        return _frame("topologies", [rows[key] for key in sorted(rows)])

    def matrices_table(self, names: Mapping[str, list[str] | None] | None = None) -> pd.DataFrame:
        """`matrices.parquet`: the matrix of each arm's replicate 0.

        Args:
            names: arm -> those of its regions, if they have any.
        """
        found = {block.cell.arm: block.matrix for _, block in self._own_best_last() if block.matrix}
        parts = [
            pd.DataFrame({"arm": arm, "replicate": 0, **found[arm], **_named(found[arm], (names or {}).get(arm))})
            for arm in sorted(found)
        ]
        return pd.concat(parts, ignore_index=True) if parts else _frame("matrices", [])

    def write_tables(self, results: Results) -> None:
        """Writes every table."""
        names = {arm: used.regions for arm, used in results.read_state().connectomes.items()}
        for name in TABLES:
            table = self.matrices_table(names) if name == "matrices" else getattr(self, f"{name}_table")()
            results.write_table(name, table)

    def _tuned(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        return {
            f"tune.{key}": json.dumps(value) if key in self.mixed and not isinstance(value, str) else value
            for key, value in setting.items()
        }

    def _own_best_last(self) -> list[tuple[Reading, Block]]:
        """As `_read`, for a table in which an arm's own best wins over the settings of its pairs, the first over
        others."""
        found = self._read()
        found.reverse()
        return sorted(found, key=lambda read: read[0].phase == "own_best")

    def _read(self) -> list[tuple[Reading, Block]]:
        """The confirmed blocks in the order of the tables, one that is read as several as often."""
        places = {condition: place for place, condition in enumerate(self.updates_per_epoch)}
        found = [(reading, block) for block in self.blocks for reading in block.cell.readings]

        def order(pair: tuple[Reading, Block]) -> tuple[Any, ...]:
            reading, block = pair
            return (
                places[reading.condition],
                LABELS.index(reading.phase),
                block.cell.arm,
                reading.against,
                block.replicates,
            )

        return sorted(found, key=order)


def _name(arm: str, reading: Reading) -> str:
    """Of a confirmed cell, as it is read."""
    return "-".join(filter(None, [arm, reading.phase, reading.against]))


def _named(matrix: Mapping[str, list[float]], names: list[str] | None) -> dict[str, list[str]]:
    """Columns with the names of the regions that blocks join; none if a block joins several."""
    if names is None or matrix["bins"][:1] != [len(names)]:
        return {}
    return {f"{end}_region": [names[int(bin_)] for bin_ in matrix[end]] for end in ("target", "source")}


def _row(table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of the values a table has a column for; NaN for what is no finite number."""
    return {name: math.nan if values[name] is None else values[name] for name in TABLES[table].names}


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows) if rows else TABLES[table].empty_table().to_pandas()
