"""What is kept up with every event equals what a count of everything would give."""

from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from biotune.study.history.record import STATES, Record

LOSSES = st.one_of(st.none(), st.floats(1e-6, 1e3))


@st.composite
def searches(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of a search: trials that report, report again from an older checkpoint, diverge late, and end."""
    events: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 8))):
        arm = draw(st.sampled_from(["real", "rewired"]))
        name = f"{arm}-{number:04d}"
        setting = {"learning_rate": 0.01}
        keys = {"arm": arm, "index": number, "origin": "tpe", "setting": setting}
        events.append({"event": "proposed", "trial": name, **keys})
        reported = 0
        for _ in range(draw(st.integers(0, 4))):
            first = draw(st.integers(0, reported))
            rows = [[draw(LOSSES), draw(LOSSES)] for _ in range(draw(st.integers(1, 3)))]
            reported = first + len(rows)
            events.append(
                {
                    "event": "progress",
                    "trial": name,
                    "first": first,
                    "training": rows,
                    "validation": rows,
                    "accuracy": [],
                    "score": draw(LOSSES),
                    "finished": False,
                    "seconds": 1.0,
                    "mean_updates": 3.0,
                    "converged": draw(st.integers(0, 2)),
                    "diverged": draw(st.integers(0, 2)),
                }
            )
        if draw(st.booleans()):
            events.append({"event": "ended", "trial": name, "status": draw(st.sampled_from(STATES[1:])), "error": ""})
    return events


@given(searches())
def test_the_tally_of_an_arm_is_the_count_of_its_trials(events: list[dict[str, Any]]) -> None:
    record = Record(search_replicates=2, updates_per_epoch=3)
    for event in events:
        record.apply(event)
        for arm in ("real", "rewired"):
            trials, tally = record.of_arm(arm), record.tally(arm)
            assert trials == [t for t in record.trials.values() if t.arm == arm]
            assert {state: tally[state] for state in STATES} == {
                state: sum(t.status == state for t in trials) for state in STATES
            }
            assert tally["epochs"] == sum(t.epochs for t in trials)
            assert tally["replicates_converged"] == sum(t.converged for t in trials)
            assert tally["replicates_diverged"] == sum(t.diverged for t in trials)
            assert record.best(arm) == min((t.score for t in trials if t.score is not None), default=None)
    trained = [t for t in record.trials.values() if t.status in ("completed", "stopped")]
    assert record.trained_epochs == sum(t.epochs for t in trained)
    assert record.trained_seconds == sum(t.seconds for t in trained)


@given(searches())
def test_an_event_that_comes_twice_changes_nothing(events: list[dict[str, Any]]) -> None:
    once, twice = (Record(search_replicates=2, updates_per_epoch=3) for _ in range(2))
    setting = {"learning_rate": 0.01}
    best = {"real": {"setting": setting, "trial": "real-0000", "same_as_shared": True}}
    rows = {"training": [[None]], "validation": [[1.0]], "accuracy": []}
    further: list[dict[str, Any]] = [
        {"event": "spent", "phase": "search", "seconds": 3.0},
        {"event": "selected", "shared": {"setting": setting, "index": 0}, "own_best": best},
        {
            "event": "confirmed",
            **{"phases": ["shared", "own_best"], "arm": "real", "replicates": [0], "setting": setting, **rows},
            **{"convergence": [{"converged": False}], "measures": [{"neurons": 3}], "matrix": None, "seconds": 1.0},
        },
        {"event": "set_aside", "checkpoint": "search/real-0000.pt", "reason": "it is damaged"},
    ]
    for event in events + further:
        once.apply(event)
        for _ in range(2):
            twice.apply(event)
    for name in ("trials", "curves"):
        one, other = (getattr(record, f"{name}_table")() for record in (once, twice))
        pd.testing.assert_frame_equal(one, other)
    for name in ("trained_seconds", "trained_epochs", "seconds", "selection", "set_aside"):
        assert getattr(once, name) == getattr(twice, name)
    assert len(twice.blocks) == 1
    for arm in ("real", "rewired"):
        assert once.tally(arm) == twice.tally(arm)
        assert once.best(arm) == twice.best(arm)


@given(searches())
def test_the_curves_are_what_was_reported_last_of_every_epoch(events: list[dict[str, Any]]) -> None:
    record = Record(search_replicates=2, updates_per_epoch=3)
    said: dict[str, list[list[float | None]]] = {}
    for event in events:
        record.apply(event)
        if event["event"] == "progress":
            said.setdefault(event["trial"], [])[event["first"] :] = event["validation"]
    table = record.curves_table()
    for trial, rows in said.items():
        held = table[table["trial"] == trial]
        assert held["epoch"].tolist() == [epoch for epoch in range(len(rows)) for _ in range(2)]
        assert held["replicate"].tolist() == [0, 1] * len(rows)
        assert held["updates"].tolist() == [3 * epoch for epoch in range(len(rows)) for _ in range(2)]
        losses = held["validation_loss"].astype(object).where(held["validation_loss"].notna(), None).tolist()
        assert losses == [loss for row in rows for loss in row]
    assert len(table) == sum(2 * len(rows) for rows in said.values())
