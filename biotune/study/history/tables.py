"""The contract's tables of a study, made from what is known of it."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from biotune.results import LABELS, TABLES, Results
from biotune.results.documents import Reading
from biotune.study.history.record import Block, Record


def trials_table(record: Record) -> pd.DataFrame:
    """`trials.parquet`."""
    rows = [
        _row(
            "trials",
            vars(t)
            | vars(t.standing)
            | {
                "epochs": t.epochs,
                "updates": t.epochs * record.updates_per_epoch[record.primary],
                "best_loss": t.score,
                "replicates": record.search_replicates,
            },
        )
        | _tuned(record, t.setting)
        for t in sorted(record.trials.values(), key=lambda t: (t.arm, t.index))
    ]
    return _frame("trials", rows)


def curves_table(record: Record) -> pd.DataFrame:
    """`curves.parquet`."""
    searched = list(range(record.search_replicates))
    parts = [
        ("search", record.primary, t.arm, "", t.trial, searched, t.curves)
        for t in sorted(record.trials.values(), key=lambda t: (t.arm, t.index))
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
        for reading, b in _read(record)
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
            * np.repeat([record.updates_per_epoch[condition] for condition in conditions], rows),
            "training_loss": column("training"),
            "validation_loss": column("validation"),
            "accuracy": column("accuracy"),
        }
    )


def convergence_table(record: Record) -> pd.DataFrame:
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
                "look": record.planned[0] if reading.phase == "gain_search" else record.look_of(replicate),
            },
        )
        | _tuned(record, block.cell.setting)
        for reading, block in _read(record)
        for replicate, outcome in zip(block.replicates, block.convergence, strict=True)
    ]
    return _frame("convergence", rows)


def topologies_table(record: Record) -> pd.DataFrame:
    """`topologies.parquet`: the topologies of the confirmed replicates, as they were before training."""
    places = {condition: place for place, condition in enumerate(record.updates_per_epoch)}
    rows = {
        (places[reading.condition], block.cell.arm, replicate): {
            "condition": reading.condition,
            "arm": block.cell.arm,
            "replicate": replicate,
            **{name: math.nan if value is None else value for name, value in topology.items()},
        }
        for reading, block in _own_best_last(record)
        if reading.phase != "gain_search"  # those are other networks
        for replicate, topology in zip(block.replicates, block.topologies, strict=True)
    }
    return _frame("topologies", [rows[key] for key in sorted(rows)])


def matrices_table(record: Record, names: Mapping[str, list[str] | None] | None = None) -> pd.DataFrame:
    """`matrices.parquet`: the matrix of each arm's replicate 0.

    Args:
        names: arm -> those of its regions, if they have any.
    """
    found = {block.cell.arm: block.matrix for _, block in _own_best_last(record) if block.matrix}
    parts = [
        pd.DataFrame({"arm": arm, "replicate": 0, **found[arm], **_named(found[arm], (names or {}).get(arm))})
        for arm in sorted(found)
    ]
    return pd.concat(parts, ignore_index=True) if parts else _frame("matrices", [])


def all_tables(
    record: Record, names: Mapping[str, list[str] | None] | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table by its name, one after another; arguments as of `matrices_table`."""
    yield "trials", trials_table(record)
    yield "curves", curves_table(record)
    yield "convergence", convergence_table(record)
    yield "topologies", topologies_table(record)
    yield "matrices", matrices_table(record, names)


def write_tables(record: Record, results: Results) -> None:
    """Writes every table."""
    names = {arm: used.regions for arm, used in results.read_state().connectomes.items()}
    for name, table in all_tables(record, names):
        results.write_table(name, table)


def _tuned(record: Record, setting: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"tune.{key}": json.dumps(value) if key in record.mixed and not isinstance(value, str) else value
        for key, value in setting.items()
    }


def _own_best_last(record: Record) -> list[tuple[Reading, Block]]:
    """As `_read`, for a table in which an arm's own best wins over the settings of its pairs, the first over
    others."""
    found = _read(record)
    found.reverse()
    return sorted(found, key=lambda read: read[0].phase == "own_best")


def _read(record: Record) -> list[tuple[Reading, Block]]:
    """The confirmed blocks in the order of the tables, one that is read as several as often."""
    places = {condition: place for place, condition in enumerate(record.updates_per_epoch)}
    found = [(reading, block) for block in record.blocks for reading in block.cell.readings]

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
