"""What the display shows while a study runs, drawn for 80 columns; nothing runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from biotune.results import LABELS
from biotune.results.documents import Cell, Extension, Look, Reading, Selection
from biotune.study import Study, load_study
from biotune.study.confirm.block import Reached
from biotune.study.confirm.confirm import Job
from biotune.study.directory.directory import new_record
from biotune.study.history.events import Ended, Extended, Looked, Progress, Proposed, Selected
from biotune.study.history.record import Block, Curves, Record
from biotune.study.monitor.display import LEFT, Display
from biotune.study.resources.estimate import Span
from biotune.training import UNREPORTED, Evaluations, TrialReport

LONG = "degrees_and_strengths_in_the_visual_half"
SETTING = {"learning_rate": 0.01, "nonlinearity": "tanh"}


@pytest.fixture
def study(write_space: Callable[..., Path]) -> Study:
    return load_study(write_space(("  rewired:", f"  {LONG}:"), ("max_epochs: 6", "max_epochs: 100")))


@pytest.fixture
def record(study: Study) -> Record:
    """Of a search in which one trial of three epochs, six seconds long, has ended."""
    record = Record(study.config.search.replicates, updates_per_epoch={"primary": 3}, planned=[3])
    losses = [[1.0, 1.0]] * 4
    standing = replace(UNREPORTED, score=1.0, finished=True, seconds=6.0)
    record.apply(Proposed(trial="real-0000", arm="real", index=0, origin="sobol", setting=SETTING))
    record.apply(Progress(trial="real-0000", report=TrialReport(Evaluations(0, losses, losses, []), standing)))
    record.apply(Ended(trial="real-0000", status="completed", error=""))
    return record


def select(study: Study, record: Record) -> list[Cell]:
    readings = [Reading(condition="primary", phase=phase) for phase in LABELS]
    cells = [
        Cell(plan=arm * 9, arm=arm, condition="primary", setting=SETTING, readings=readings, whole=True)
        for arm in study.arms
    ]
    record.apply(Selected(selection=Selection(pair={}, own_best={}, cells=cells)))
    return cells


def confirmed(cell: Cell, replicates: tuple[int, ...], epochs: int) -> Block:
    """A block that has been trained for so many epochs."""
    losses = np.ones((epochs + 1, len(replicates)))
    return Block(cell, list(replicates), Curves(losses, losses), [], [], None)


def make_display(study: Study, record: Record, console: Console | None = None) -> Display:
    console = console or Console(width=80, record=True, quiet=True)
    return Display(
        study, record, concurrency=2, console=console, dashboard=None, banners=[], afterwards=Span(10.0, 20.0)
    )


def confirming(display: Display) -> Display:
    display.enter("confirm")
    return display


def drawn(display: Display, width: int = 80) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(display)
    return capture.get().splitlines()


def test_the_search_shows_every_arm_by_its_full_name(study: Study, record: Record) -> None:
    lines = drawn(make_display(study, record))
    [row] = [line for line in lines if line.startswith(LONG)]
    assert row.split() == [LONG, "0/5", "0", "0", "0", "–"]
    [row] = [line for line in lines if line.startswith("real")]
    assert row.split() == ["real", "1/5", "0", "0", "0", "1.00e+00"]


def test_a_narrower_terminal_folds_the_name(study: Study, record: Record) -> None:
    _, _, _, *folded = drawn(make_display(study, record), width=60)
    assert "".join(line.split()[0] for line in folded) == LONG


def test_confirm_shows_the_blocks_that_run_and_their_epochs(study: Study, record: Record) -> None:
    display = make_display(study, record)
    real, rewired = select(study, record)
    display.enter("confirm")
    display.confirming([Job(real, (0, 1), Reached(12, 3.0)), Job(real, (2,), Reached(34, 3.0)), Job(rewired, (0, 1))])
    rows = {line.split()[0]: line.split()[1:] for line in drawn(display)}
    assert rows["real"] == ["0/3", "2", "12–34", "of", "100"]
    assert rows[LONG] == ["0/3", "1", "0", "of", "100"]
    display.confirming([])
    assert [LONG, "0/3", "0"] in [line.split() for line in drawn(display)]


def test_without_a_terminal_the_line_says_it_too(study: Study, record: Record) -> None:
    console = Console(width=200, force_terminal=False)
    display = make_display(study, record, console)
    real, _ = select(study, record)
    with console.capture() as capture:
        display.enter("confirm")
        display.jobs = [Job(real, (0, 1), Reached(12, 3.0))]
        display.changed(now=True)
    assert "confirm: real 0/3 (1 block running, epoch 12 of 100)" in capture.get()


def test_planned_looks_show_which_arms_are_decided_and_which_go_on(write_space: Callable[..., Path]) -> None:
    names = ("erdos_renyi", "weights_shuffled")
    nulls = "".join(f"  {name}: {{null: {{name: {name}, level: neuron}}}}\n" for name in names)
    plan = "confirm: {looks: [4, 8], max_epochs: 6, population: 2}"
    study = load_study(
        write_space(
            ("confirm: {replicates: 3, max_epochs: 6, population: 2}", plan), ("reference_arm", f"{nulls}reference_arm")
        )
    )
    record = new_record(study)
    display = confirming(make_display(study, record))
    select(study, record)
    assert "first, at 4" in "\n".join(drawn(display))
    record.apply(Looked(look=Look(pairs=4, going=["erdos_renyi"], decided=["rewired"])))
    extension = Extension(asked="now", to=8)
    record.apply(Extended(extension=extension, selection=record.selection))
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in drawn(display)}
    assert rows["rewired"].endswith("decided at 4")
    assert rows["erdos_renyi"] == "0/8 0 going on to 8"
    assert rows["weights_shuffled"].endswith("stopped at 4")
    record.apply(Looked(look=Look(pairs=8, going=["erdos_renyi"], decided=[])))
    assert "open at 8" in "\n".join(drawn(display))


def test_what_is_left_is_a_range_that_ends_with_the_report(study: Study, record: Record) -> None:
    display = make_display(study, record)
    assert make_display(study, Record(2, {"primary": 3}, [16])).left() is None
    searching = display.left()
    real, rewired = select(study, record)
    confirming = display.left()
    assert searching is not None
    assert confirming is not None
    # an epoch of a replicate takes a second: two blocks of two replicates and two of one, on two places
    assert confirming.low - 10 < 102 * 3 < confirming.high - 20
    assert searching.low > confirming.high
    fast = [Job(real, (0, 1), Reached(50, 10.0)), Job(rewired, (0, 1), Reached(50, 10.0))]
    display.confirming(fast)
    by_now = display.left()
    assert by_now is not None
    assert by_now.low - 10 < 0.1 * (52 * 2 + 102) < by_now.high - 20
    assert drawn(display)[0].endswith(f", {by_now} left")


def test_when_all_is_confirmed_the_report_is_left(study: Study, record: Record) -> None:
    display = make_display(study, record)
    for cell in select(study, record):
        for block in study.blocks(study.config.confirm.replicates):
            record.confirmed[Job(cell, block).key] = confirmed(cell, block, 0)
    assert display.left() == Span(10.0, 20.0)


def test_a_block_that_ends_early_is_taken_to_last_as_long_as_those_before_it(write_space: Callable[..., Path]) -> None:
    conditions = "conditions:\n  primary: {}\n  partial: {network: {readout: 0.5}}\n"
    study = load_study(write_space(("tune:", f"{conditions}tune:"), ("max_epochs: 6", "max_epochs: 100")))
    record = Record(study.config.search.replicates, {"primary": 3, "partial": 3}, [16], paces=[1.0])
    display = make_display(study, record)
    display.pace = 1.0  # a second per epoch of a replicate
    reading, of_partial = (Reading(condition=name, phase="pair") for name in study.conditions)
    whole, early = (
        Cell(plan=one.condition, arm="real", condition=one.condition, setting=SETTING, readings=[one], whole=whole)
        for one, whole in ((reading, True), (of_partial, False))
    )
    record.apply(Selected(selection=Selection(pair={}, own_best={}, cells=[whole, early])))
    for block in study.blocks(3):
        record.confirmed[Job(whole, block).key] = confirmed(whole, block, 102)
    first, last = study.blocks(3)

    def seconds() -> float:
        left = display.left()
        assert left is not None
        return (left.low - display.afterwards.low) / LEFT[0]

    assert seconds() == pytest.approx(51 * 2)  # half of the epochs that it may take: two places, blocks of 2 and of 1
    record.confirmed[Job(early, last).key] = confirmed(early, last, 20)
    assert seconds() == pytest.approx(20 * 2)
    display.confirming([Job(early, first, Reached(5, 10.0))])
    assert seconds() == pytest.approx(15 * 2)
    assert {line.split()[0]: line.split()[1] for line in drawn(confirming(display))}["real"] == "4/6"
