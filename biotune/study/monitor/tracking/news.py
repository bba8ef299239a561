"""What there is to tell of a study: runs, with the epochs that are new and the way they ended."""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from biotune.results import RUNNING
from biotune.study.history.record import Block, Curves, Record, TrialRecord

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class News:
    """What is new of a run.

    Attributes:
        run: its name, unique in the study. phase: "search" or "confirm". arm: of its networks.
        setting: what it was trained at, in plain values.
        rows: epoch -> metrics of it. end: what it came to, None while it runs. failed: whether it ended with an error.
    """

    run: str
    phase: str
    arm: str
    setting: Mapping[str, Any]
    rows: Mapping[int, Metrics]
    end: Metrics | None = None
    failed: bool = False


def news_of(record: Record, told: Mapping[str, int], ended: frozenset[str] | set[str]) -> Iterator[News]:
    """What is new.

    Args:
        record: of the study.
        told: run -> epochs that have been told of it. ended: runs of which the end has been told.
    """
    for trial in list(record.trials.values()):
        if trial.trial not in ended:
            found = news_of_trial(trial, told.get(trial.trial, 0))
            if found.rows or found.end is not None:
                yield found
    for block in record.blocks:
        if _name_of(block) not in ended:
            yield _of_block(block)


def news_of_trial(trial: TrialRecord, first: int = 0) -> News:
    """What a search trial has to tell from an epoch on."""
    end: dict[str, float] | None = None
    if trial.status != RUNNING:
        standing = trial.standing
        end = {"best_loss": trial.score, "mean_updates": standing.mean_updates} if trial.score is not None else {}
        end |= {"replicates_converged": standing.converged, "replicates_diverged": standing.diverged}
        end = {name: value for name, value in end.items() if math.isfinite(value)}
    rows, failed = medians(trial.curves, first), trial.status == "failed"
    return News(trial.trial, "search", trial.arm, _plain(trial.setting), rows, end, failed)


def _name_of(block: Block) -> str:
    return block.cell.checkpoint(block.replicates[0])


def _of_block(block: Block) -> News:
    cell, outcomes = block.cell, block.convergence
    read = "; ".join(map(str, cell.readings))
    end = {
        "replicates_converged": float(sum(one.converged for one in outcomes)),
        "replicates_diverged": float(sum(one.diverged for one in outcomes)),
        "mean_updates": statistics.fmean(one.updates for one in outcomes),
    }
    setting = _plain(cell.setting) | {"read_as": read, "replicates": f"{block.replicates[0]}-{block.replicates[-1]}"}
    return News(_name_of(block), "confirm", cell.arm, setting, medians(block.curves), end)


def medians(curves: Curves, first: int = 0) -> dict[int, Metrics]:
    """Epoch -> the medians over the replicates; what isn't there, or isn't finite, of one replicate is left out."""
    rows: dict[int, dict[str, float]] = {}
    for name, column in (("training_loss", "training"), ("validation_loss", "validation"), ("accuracy", "accuracy")):
        values: np.ndarray = getattr(curves, column)
        for epoch, row in enumerate(values[first:].tolist(), start=first):
            if not any(map(math.isnan, row)):
                rows.setdefault(epoch, {})[name] = statistics.median(row)
    return {epoch: rows[epoch] for epoch in sorted(rows)}


def _plain(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in setting.items()}
