"""What is known of a study so far: its trials and confirmed replicates, as objects and as the contract's tables."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from biotune.results import TABLES
from biotune.study.journal import Event

Rows = list[list[float | None]]
"""[evaluations][replicates]; None is not a finite number, or not there."""


@dataclass
class Curves:
    """The evaluations of one population.

    Attributes:
        training: losses, a row an epoch; row 0, before the first update, is empty.
        validation: losses, a row an epoch from 0. accuracy: likewise; empty where the task has none.
    """

    training: Rows = field(default_factory=list)
    validation: Rows = field(default_factory=list)
    accuracy: Rows = field(default_factory=list)

    def extend(self, first: int, rows: Mapping[str, Any]) -> None:
        """Puts rows at epoch `first` and on: what a retried trial reports again replaces what it reported before."""
        for name in ("training", "validation", "accuracy"):
            held: Rows = getattr(self, name)
            if rows[name] or name != "accuracy":
                if len(held) < first:
                    raise ValueError(f"rows from epoch {first} on, but {name} ends at {len(held)}")
                held[first:] = rows[name]

    def table(self, phase: str, arm: str, trial: str, replicates: list[int], updates_per_epoch: int) -> pd.DataFrame:
        """The rows of `curves.parquet`."""
        epochs, population = len(self.validation), len(replicates)

        def column(rows: Rows) -> np.ndarray:
            if not rows:
                return np.full(epochs * population, np.nan)
            return np.array(rows, dtype=np.float64).reshape(-1)

        epoch = np.repeat(np.arange(epochs, dtype=np.int32), population)
        return pd.DataFrame(
            {
                "phase": phase,
                "arm": arm,
                "trial": trial,
                "replicate": np.tile(np.array(replicates, dtype=np.int32), epochs),
                "epoch": epoch,
                "updates": epoch.astype(np.int64) * updates_per_epoch,
                "training_loss": column(self.training),
                "validation_loss": column(self.validation),
                "accuracy": column(self.accuracy),
            }
        )


@dataclass
class TrialRecord:
    """One search trial.

    Attributes:
        status: running, completed, stopped, diverged or failed.
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
    matrix: dict[str, list[float]] | None = None


@dataclass
class Record:
    """Everything that has happened in a study, rebuilt from its events.

    Args:
        search_replicates: networks a search trial.
        updates_per_epoch: optimiser steps in an epoch.
        mixed: tuned keys that are a choice between values of several types: a table holds them as text.
    """

    search_replicates: int
    updates_per_epoch: int
    mixed: frozenset[str] = frozenset()
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    selection: dict[str, Any] | None = None
    blocks: list[Block] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Takes one event in."""
        match event["event"]:
            case "proposed":
                self.trials[event["trial"]] = TrialRecord(
                    *(event[key] for key in ("trial", "arm", "index", "origin", "setting"))
                )
            case "progress":
                trial = self.trials[event["trial"]]
                trial.curves.extend(event["first"], event)
                trial.score, trial.finished, trial.seconds = event["score"], event["finished"], event["seconds"]
                trial.mean_updates = event["mean_updates"]
                trial.converged, trial.diverged = event["converged"], event["diverged"]
            case "ended":
                trial = self.trials[event["trial"]]
                trial.status, trial.error = event["status"], event["error"]
            case "selected":
                self.selection = {"shared": event["shared"], "own_best": event["own_best"]}
            case "confirmed":
                curves = Curves()
                curves.extend(0, event)
                keys = ("phases", "arm", "replicates", "setting", "convergence", "measures", "seconds")
                # a journal from before there were matrices has none
                self.blocks.append(
                    Block(**{key: event[key] for key in keys}, curves=curves, matrix=event.get("matrix"))
                )
            case "spent":
                self.seconds[event["phase"]] = self.seconds.get(event["phase"], 0.0) + event["seconds"]
            case other:
                raise ValueError(f"unknown event {other!r}")

    def of_arm(self, arm: str) -> list[TrialRecord]:
        """The trials of one arm, in the order of their proposal."""
        return sorted((t for t in self.trials.values() if t.arm == arm), key=lambda t: t.index)

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
        parts = [
            t.curves.table("search", t.arm, t.trial, list(range(self.search_replicates)), self.updates_per_epoch)
            for t in sorted(self.trials.values(), key=lambda t: (t.arm, t.index))
            if t.curves.validation
        ]
        for phase, block in self._confirmed():
            trial = f"{block.arm}-{phase}"
            parts.append(block.curves.table(phase, block.arm, trial, block.replicates, self.updates_per_epoch))
        return pd.concat(parts, ignore_index=True) if parts else _frame("curves", [])

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
