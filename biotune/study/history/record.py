"""What is known of a study so far: its trials and confirmed replicates, as objects and as the contract's tables."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from biotune.results import TABLES, Results
from biotune.results.journal import Event

STATES = ("running", "completed", "stopped", "diverged", "failed")
"""Of a search trial."""


def _nothing() -> np.ndarray:
    return np.empty((0, 0))


@dataclass
class Curves:
    """The evaluations of one population: arrays [evaluations, replicates], NaN where there is no finite number.

    Attributes:
        training: losses, a row an epoch; row 0, before the first update, is empty.
        validation: losses, a row an epoch from 0. accuracy: likewise; no rows where the task has none.
    """

    training: np.ndarray = field(default_factory=_nothing)
    validation: np.ndarray = field(default_factory=_nothing)
    accuracy: np.ndarray = field(default_factory=_nothing)

    def extend(self, first: int, rows: Mapping[str, Any], replicates: int) -> None:
        """Puts rows at epoch `first` and on: what a retried trial reports again replaces what it reported before.

        Raises:
            ValueError: they don't go on from what is there, or are not of so many replicates; nothing is taken.
        """
        longer = {}
        for name in ("training", "validation", "accuracy"):
            held: np.ndarray = getattr(self, name)
            if rows[name] or name != "accuracy":
                if any(len(row) != replicates for row in rows[name]):
                    raise ValueError(f"{name} is not of {replicates} replicates")
                if len(held) < first:
                    raise ValueError(f"rows from epoch {first} on, but {name} ends at {len(held)}")
                new = np.array(rows[name], dtype=np.float64).reshape(-1, replicates)
                longer[name] = np.concatenate([held[:first], new]) if first else new
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
        status: one of `STATES`.
        finished: the trial said that it had trained to its end.
        verdict: what the scheduler answered to its last report, "continue" or "stop".
        score: median over replicates of the best loss so far; None before the first report, and where it diverged.
    """

    trial: str
    arm: str
    index: int
    origin: str
    setting: dict[str, Any]
    status: str = "running"
    finished: bool = False
    verdict: str = "continue"
    curves: Curves = field(default_factory=Curves)
    score: float | None = None
    mean_updates: float = math.nan
    converged: int = 0
    diverged: int = 0
    seconds: float = 0.0
    error: str = ""

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
                "replicates_converged": self.converged,
                "replicates_diverged": self.diverged,
            }
        )


@dataclass
class Block:
    """Replicates confirmed together.

    Attributes:
        matrix: the columns of `matrices.parquet`, of the first replicate; None unless that is replicate 0.
    """

    phases: list[str]
    arm: str
    replicates: list[int]
    setting: dict[str, Any]
    curves: Curves
    convergence: list[dict[str, Any]]
    measures: list[dict[str, Any]]
    seconds: float
    matrix: dict[str, list[float]] | None


@dataclass
class Record:
    """Everything that has happened in a study, rebuilt from its events.

    Args:
        search_replicates: networks a search trial.
        updates_per_epoch: optimiser steps in an epoch.
        mixed: tuned keys that are a choice between values of several types: a table holds them as text.

    Attributes:
        blocks: the confirmed ones, by arm, phases and first replicate.
        set_aside: checkpoints that could not be read, and why: "search/real-0003.pt" -> reason.
        trained_seconds, trained_epochs: of all search trials that completed or were stopped.
    """

    search_replicates: int
    updates_per_epoch: int
    mixed: frozenset[str] = frozenset()
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    selection: dict[str, Any] | None = None
    confirmed: dict[tuple[str, tuple[str, ...], int], Block] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    trained_seconds: float = 0.0
    trained_epochs: int = 0
    _tallies: dict[str, Counter[str]] = field(default_factory=dict, repr=False)
    _best: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def blocks(self) -> list[Block]:
        """The confirmed blocks."""
        return list(self.confirmed.values())

    def apply(self, event: Event) -> None:
        """Takes one event in; one that has been taken in already changes nothing.

        Raises:
            ValueError: it does not go on from what is there.
        """
        match event["event"]:
            case "begun":
                pass
            case "proposed":
                trial = TrialRecord(*(event[key] for key in ("trial", "arm", "index", "origin", "setting")))
                if self.trials.setdefault(trial.trial, trial) is trial:
                    self._count(trial, Counter())
            case "progress":
                trial = self._proposed(event["trial"])
                before, score = trial.tally(), trial.score
                trial.curves.extend(event["first"], event, self.search_replicates)
                trial.score, trial.finished, trial.seconds = event["score"], event["finished"], event["seconds"]
                trial.mean_updates = event["mean_updates"]
                trial.converged, trial.diverged = event["converged"], event["diverged"]
                self._count(trial, before)
                self._compare(trial, score)
            case "ended":
                trial = self._proposed(event["trial"])
                if trial.status != "running":
                    return
                before = trial.tally()
                trial.status, trial.error = event["status"], event["error"]
                if trial.status in ("completed", "stopped"):
                    self.trained_seconds += trial.seconds
                    self.trained_epochs += trial.epochs
                self._count(trial, before)  # last: the display, in its own thread, divides by what it counts
            case "selected":
                self.selection = {"shared": event["shared"], "own_best": event["own_best"]}
            case "confirmed":
                self._confirm(event)
            case "set_aside":
                self.set_aside[event["checkpoint"]] = event["reason"]
            case "spent":
                self.seconds[event["phase"]] = event["seconds"]
            case other:
                raise ValueError(f"unknown event {other!r}")

    def _proposed(self, name: str) -> TrialRecord:
        if name not in self.trials:
            raise ValueError(f"no trial {name!r} has been proposed")
        return self.trials[name]

    def _confirm(self, event: Event) -> None:
        replicates, curves = event["replicates"], Curves()
        if not len(replicates) == len(event["convergence"]) == len(event["measures"]) > 0:
            raise ValueError(f"{len(event['convergence'])} outcomes of {len(replicates)} replicates")
        curves.extend(0, event, len(replicates))
        keys = ("phases", "arm", "replicates", "setting", "convergence", "measures", "seconds", "matrix")
        block = Block(**{key: event[key] for key in keys}, curves=curves)
        self.confirmed[block.arm, tuple(block.phases), replicates[0]] = block

    def of_arm(self, arm: str) -> list[TrialRecord]:
        """The trials of one arm, in the order of their proposal."""
        return sorted((t for t in self.trials.values() if t.arm == arm), key=lambda t: t.index)

    def tally(self, arm: str) -> Counter[str]:
        """How far the search of an arm has come: trials by state (`STATES`), and summed over the trials `epochs`,
        `replicates_converged` and `replicates_diverged`. It takes as long at the 10,000th trial as at the first.
        """
        return self._tallies.get(arm, Counter())

    def best(self, arm: str) -> float | None:
        """The least score of an arm, or None."""
        return self._best.get(arm)

    def _count(self, trial: TrialRecord, before: Counter[str]) -> None:
        tally = Counter(self._tallies.get(trial.arm))  # a new one: the display looks at it from another thread
        tally.update(trial.tally())
        tally.subtract(before)
        self._tallies[trial.arm] = tally

    def _compare(self, trial: TrialRecord, before: float | None) -> None:
        """Keeps the arm's best score up; where it was this trial's own and is no more, it is looked for anew."""
        best = self._best.get(trial.arm)
        if trial.score is not None and (best is None or trial.score <= best):
            self._best[trial.arm] = trial.score
        elif before is not None and before == best:
            del self._best[trial.arm]
            if scores := [one.score for one in self.of_arm(trial.arm) if one.score is not None]:
                self._best[trial.arm] = min(scores)

    def trials_table(self) -> pd.DataFrame:
        """`trials.parquet`."""
        rows = [
            {
                "arm": t.arm,
                "trial": t.trial,
                "index": t.index,
                "origin": t.origin,
                "status": t.status,
                "epochs": t.epochs,
                "updates": t.epochs * self.updates_per_epoch,
                "best_loss": math.nan if t.score is None else t.score,
                "mean_updates": t.mean_updates,
                "converged": t.converged,
                "diverged": t.diverged,
                "replicates": self.search_replicates,
                "seconds": t.seconds,
                "error": t.error,
                **self._tuned(t.setting),
            }
            for t in sorted(self.trials.values(), key=lambda t: (t.arm, t.index))
        ]
        return _frame("trials", rows)

    def curves_table(self) -> pd.DataFrame:
        """`curves.parquet`."""
        searched = list(range(self.search_replicates))
        parts = [
            ("search", t.arm, t.trial, searched, t.curves)
            for t in sorted(self.trials.values(), key=lambda t: (t.arm, t.index))
            if len(t.curves.validation)
        ]
        parts += [(phase, b.arm, f"{b.arm}-{phase}", b.replicates, b.curves) for phase, b in self._confirmed()]
        if not parts:
            return _frame("curves", [])
        phases, arms, trials, replicates, curves = zip(*parts, strict=True)
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
                "arm": pd.Categorical(arms).repeat(rows),
                "trial": pd.Categorical(trials).repeat(rows),
                "replicate": np.concatenate(
                    [
                        np.tile(np.array(numbers, dtype=np.int32), len(one.validation))
                        for numbers, one in zip(replicates, curves, strict=True)
                    ]
                ),
                "epoch": epoch,
                "updates": epoch.astype(np.int64) * self.updates_per_epoch,
                "training_loss": column("training"),
                "validation_loss": column("validation"),
                "accuracy": column("accuracy"),
            }
        )

    def convergence_table(self) -> pd.DataFrame:
        """`convergence.parquet`."""
        rows = [
            {
                "phase": phase,
                "arm": block.arm,
                "trial": f"{block.arm}-{phase}",
                "replicate": replicate,
                **{key: math.nan if value is None else value for key, value in outcome.items()},
                **self._tuned(block.setting),
            }
            for phase, block in self._confirmed()
            for replicate, outcome in zip(block.replicates, block.convergence, strict=True)
        ]
        return _frame("convergence", rows)

    def topologies_table(self) -> pd.DataFrame:
        """`topologies.parquet`: the topologies of the confirmed replicates, as they were before training."""
        rows = {
            (block.arm, replicate): {
                "arm": block.arm,
                "replicate": replicate,
                **{name: math.nan if value is None else value for name, value in measures.items()},
            }
            for _, block in reversed(list(self._confirmed()))  # the shared setting's row wins over own_best's
            for replicate, measures in zip(block.replicates, block.measures, strict=True)
        }
        return _frame("topologies", [rows[key] for key in sorted(rows)])

    def matrices_table(self) -> pd.DataFrame:
        """`matrices.parquet`: the matrix of each arm's replicate 0."""
        found = {block.arm: block.matrix for _, block in reversed(list(self._confirmed())) if block.matrix}
        parts = [pd.DataFrame({"arm": arm, "replicate": 0, **found[arm]}) for arm in sorted(found)]
        return pd.concat(parts, ignore_index=True) if parts else _frame("matrices", [])

    def write_tables(self, results: Results) -> None:
        """Writes every table."""
        for name in TABLES:
            results.write_table(name, getattr(self, f"{name}_table")())

    def _tuned(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        return {
            f"tune.{key}": json.dumps(value) if key in self.mixed and not isinstance(value, str) else value
            for key, value in setting.items()
        }

    def _confirmed(self) -> list[tuple[str, Block]]:
        found = [(phase, block) for block in self.blocks for phase in block.phases]
        return sorted(found, key=lambda pair: (("shared", "own_best").index(pair[0]), pair[1].arm, pair[1].replicates))


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows) if rows else TABLES[table].empty_table().to_pandas()
