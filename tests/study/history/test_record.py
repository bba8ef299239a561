"""What is kept up with every event equals what a count of everything would give."""

from dataclasses import fields, replace
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from biotune.results import STATUSES, TABLES
from biotune.results.documents import Cell, CommonSetting, Reading, Selection
from biotune.results.vocabulary import ENDINGS
from biotune.study.history.events import (
    Confirmed,
    Ended,
    Progress,
    Proposed,
    Selected,
    SetAside,
    Spent,
    StudyEvent,
)
from biotune.study.history.record import Record
from biotune.study.history.tables import all_tables, convergence_table, curves_table, matrices_table, topologies_table
from biotune.training import UNREPORTED, BlockReport, Convergence, Evaluations, TrialReport

PAIR, OWN_BEST = (Reading(condition="primary", phase=phase) for phase in ("pair", "own_best"))

LOSSES = st.one_of(st.none(), st.floats(1e-6, 1e3))


@st.composite
def searches(draw: st.DrawFn) -> list[StudyEvent]:
    """Events of a search: trials that report, report again from an older checkpoint, diverge late, and end."""
    events: list[StudyEvent] = []
    for number in range(draw(st.integers(1, 8))):
        arm = draw(st.sampled_from(["real", "rewired"]))
        name = f"{arm}-{number:04d}"
        setting = {"learning_rate": 0.01}
        events.append(Proposed(trial=name, arm=arm, index=number, origin="tpe", setting=setting))
        reported = 0
        for _ in range(draw(st.integers(0, 4))):
            first = draw(st.integers(0, reported))
            rows = [[draw(LOSSES), draw(LOSSES)] for _ in range(draw(st.integers(1, 3)))]
            reported = first + len(rows)
            standing = replace(
                UNREPORTED,
                score=draw(LOSSES),
                mean_updates=3.0,
                converged=draw(st.integers(0, 2)),
                diverged=draw(st.integers(0, 2)),
                seconds=1.0,
            )
            report = TrialReport(Evaluations(first, rows, rows, accuracy=[]), standing)
            events.append(Progress(trial=name, report=report))
        if draw(st.booleans()):
            events.append(Ended(trial=name, status=draw(st.sampled_from(ENDINGS)), error=""))
    return events


@given(searches())
def test_the_tally_of_an_arm_is_the_count_of_its_trials(events: list[StudyEvent]) -> None:
    record = Record(search_replicates=2, updates_per_epoch={"primary": 3}, planned=[16])
    for event in events:
        record.apply(event)
        for arm in ("real", "rewired"):
            trials, tally = record.of_arm(arm), record.tally(arm)
            assert trials == [t for t in record.trials.values() if t.arm == arm]
            assert {status: tally[status] for status in STATUSES} == {
                status: sum(t.status == status for t in trials) for status in STATUSES
            }
            assert tally["epochs"] == sum(t.epochs for t in trials)
            assert tally["replicates_converged"] == sum(t.standing.converged for t in trials)
            assert tally["replicates_diverged"] == sum(t.standing.diverged for t in trials)
            assert record.best(arm) == min((t.score for t in trials if t.score is not None), default=None)
    trained = [t for t in record.trials.values() if t.status in ("completed", "stopped")]
    assert record.trained_epochs == sum(t.epochs for t in trained)
    assert sorted(record.paces) == sorted(t.standing.seconds / max(t.epochs, 1) for t in trained)


def test_the_blocks_of_a_matrix_have_the_names_of_their_regions() -> None:
    record = Record(search_replicates=1, updates_per_epoch={"primary": 1}, planned=[16])
    columns = {name: [] for name in TABLES["matrices"].names[2:]}
    outcome: dict[str, Any] = {"converged": False, "diverged": False, "updates": 3.0, "budget": 3}
    matrix = columns | {"target": [0, 1], "source": [1, 0], "regions": [2, 2], "bins": [2, 2]}
    for arm in ("named", "unnamed", "binned"):
        own = matrix | ({"bins": [1, 1]} if arm == "binned" else {})
        report = BlockReport(
            Evaluations(0, training=[[None]], validation=[[1.0]], accuracy=[]),
            [Convergence(**dict.fromkeys(field.name for field in fields(Convergence)) | outcome)],
            topologies=[{"neurons": 2, "edges": 2, "digest": "ab"}],
            matrix={name: values or [1.0, 1.0] for name, values in own.items()},
            seconds=1.0,
        )
        cell = Cell(plan="ab" * 32, arm=arm, condition="primary", setting={}, readings=[PAIR], whole=True)
        record.apply(Confirmed(cell=cell, replicates=[0], report=report))
    table = matrices_table(record, {"named": ["V1", "V2"], "unnamed": None, "binned": ["V1", "V2"]}).set_index("arm")
    assert table.loc["named", "target_region"].tolist() == ["V1", "V2"]
    assert table.loc["named", "source_region"].tolist() == ["V2", "V1"]
    assert table.loc[["unnamed", "binned"], ["target_region", "source_region"]].isna().all(axis=None)


def test_the_tables_have_the_rows_of_every_condition_the_primary_first() -> None:
    record = Record(search_replicates=1, updates_per_epoch={"primary": 3, "longer": 5, "partial": 3}, planned=[16])
    outcome = dict.fromkeys(field.name for field in fields(Convergence)) | {"budget": 30, "left_empty": ""}
    matrix: dict[str, list[float]] = {name: [1.0] for name in TABLES["matrices"].names[2:]}

    def confirm(arm: str, readings: list[tuple[str, str]], replicates: list[int], epochs: int) -> None:
        losses: list[list[float | None]] = [[1.0] * len(replicates)] * (epochs + 1)
        report = BlockReport(
            Evaluations(0, training=losses, validation=losses, accuracy=[]),
            [Convergence(**outcome | {"converged": True, "diverged": False, "updates": 1.0 * r}) for r in replicates],
            topologies=[{"neurons": 3, "edges": r, "digest": readings[0][0]} for r in replicates],
            matrix=matrix if 0 in replicates else None,
            seconds=1.0,
        )
        read = [Reading(condition=condition, phase=phase) for condition, phase in readings]  # type: ignore[arg-type]
        cell = Cell(
            plan=f"{readings}", arm=arm, condition=readings[0][0], setting={"rate": 0.1}, readings=read, whole=False
        )
        record.apply(Confirmed(cell=cell, replicates=replicates, report=report))

    confirm("real", [("longer", "pair")], [0, 1], epochs=4)  # whichever ends first
    confirm("real", [("primary", "own_best"), ("partial", "pair")], [0, 1], epochs=2)
    confirm("real", [("primary", "pair")], [2], epochs=2)
    confirm("real", [("primary", "pair")], [0, 1], epochs=2)
    convergence = convergence_table(record)
    keys = ["condition", "phase", "replicate"]
    assert convergence[keys].to_numpy().tolist() == [
        *(["primary", "pair", replicate] for replicate in (0, 1, 2)),
        *(["primary", "own_best", replicate] for replicate in (0, 1)),
        *(["longer", "pair", replicate] for replicate in (0, 1)),
        *(["partial", "pair", replicate] for replicate in (0, 1)),
    ]
    assert convergence["trial"].unique().tolist() == ["real-pair", "real-own_best"]
    assert convergence["updates"].tolist() == convergence["replicate"].tolist()
    curves = curves_table(record)
    assert list(dict.fromkeys(curves["condition"])) == ["primary", "longer", "partial"]
    last = curves.groupby(["condition", "phase"], observed=True)["updates"].max()
    assert last.to_dict() == {
        ("primary", "pair"): 6,
        ("primary", "own_best"): 6,
        ("longer", "pair"): 20,
        ("partial", "pair"): 6,
    }
    topologies = topologies_table(record)
    assert topologies[["condition", "replicate"]].to_numpy().tolist() == [
        *(["primary", replicate] for replicate in (0, 1, 2)),
        *(["longer", replicate] for replicate in (0, 1)),
        *(["partial", replicate] for replicate in (0, 1)),
    ]
    assert len(matrices_table(record)) == 1


@given(searches())
def test_an_event_that_comes_twice_changes_nothing(events: list[StudyEvent]) -> None:
    once, twice = (Record(search_replicates=2, updates_per_epoch={"primary": 3}, planned=[16]) for _ in range(2))
    setting = {"learning_rate": 0.01}
    outcome: dict[str, Any] = {"converged": False, "diverged": False, "updates": 3.0, "budget": 3}
    report = BlockReport(
        Evaluations(0, training=[[None]], validation=[[1.0]], accuracy=[]),
        [Convergence(**dict.fromkeys(field.name for field in fields(Convergence)) | outcome)],
        topologies=[{"neurons": 3, "edges": 2, "digest": "ab"}],
        matrix=None,
        seconds=1.0,
    )
    cell = Cell(plan="ab" * 32, arm="real", condition="primary", setting=setting, readings=[PAIR, OWN_BEST], whole=True)
    first = CommonSetting(index=0, setting=setting, regrets={"real": 0.0})
    further: list[StudyEvent] = [
        Spent(phase="search", seconds=3.0),
        Selected(selection=Selection(pair={"real": first}, own_best={"real": first}, cells=[cell])),
        Confirmed(cell=cell, replicates=[0], report=report),
        SetAside(checkpoint="search/real-0000.pt", reason="it is damaged"),
    ]
    for event in events + further:
        once.apply(event)
        for _ in range(2):
            twice.apply(event)
    for (_, one), (_, other) in zip(all_tables(once), all_tables(twice), strict=True):
        pd.testing.assert_frame_equal(one, other)
    for name in ("paces", "trained_epochs", "seconds", "selection", "set_aside"):
        assert getattr(once, name) == getattr(twice, name)
    assert len(twice.blocks) == 1
    assert convergence_table(twice)["phase"].tolist() == ["pair", "own_best"]
    for arm in ("real", "rewired"):
        assert once.tally(arm) == twice.tally(arm)
        assert once.best(arm) == twice.best(arm)


@given(searches())
def test_the_curves_are_what_was_reported_last_of_every_epoch(events: list[StudyEvent]) -> None:
    record = Record(search_replicates=2, updates_per_epoch={"primary": 3}, planned=[16])
    said: dict[str, list[list[float | None]]] = {}
    for event in events:
        record.apply(event)
        if isinstance(event, Progress):
            new = event.report.evaluations
            said.setdefault(event.trial, [])[new.first :] = new.validation
    table = curves_table(record)
    for trial, rows in said.items():
        held = table[table["trial"] == trial]
        assert held["epoch"].tolist() == [epoch for epoch in range(len(rows)) for _ in range(2)]
        assert held["replicate"].tolist() == [0, 1] * len(rows)
        assert held["updates"].tolist() == [3 * epoch for epoch in range(len(rows)) for _ in range(2)]
        losses = held["validation_loss"].astype(object).where(held["validation_loss"].notna(), None).tolist()
        assert losses == [loss for row in rows for loss in row]
    assert len(table) == sum(2 * len(rows) for rows in said.values())
