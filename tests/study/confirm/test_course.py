"""The course of a confirmation: what a look decides, who goes on, and which replicates that takes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from biotune.errors import UserError
from biotune.results.documents import Cell, CommonSetting, Extension, Look, Selection
from biotune.results.journal import Journal
from biotune.study import Study, load_study
from biotune.study.confirm.cells import make_cells
from biotune.study.confirm.confirm import Job, jobs_left
from biotune.study.confirm.course import blocks_of, course, is_done, take_look
from biotune.study.confirm.extension import More, extension_of
from biotune.study.directory.directory import new_record
from biotune.study.history.events import Confirmed, Extended, Looked, Selected, append
from biotune.study.history.record import Record
from biotune.training import BlockReport, Convergence, Evaluations

SETTING = {"learning_rate": 0.01, "nonlinearity": "tanh"}
PLAN = "confirm: {looks: [4, 8, 16], max_epochs: 6, population: 3}"
ONE_NULL = "  rewired: {null: {name: degree_preserving, level: neuron}}\n"
TWO_NULLS = f"{ONE_NULL}  random: {{null: {{name: erdos_renyi, level: neuron}}}}\n"


@pytest.fixture
def study(write_space: Callable[..., Path]) -> Study:
    """With a condition, a positive control and looks at 4, 8 and 16 pairs."""
    more = "conditions:\n  primary: {}\n  fast: {network: {learning_rate: 0.5}}\npositive_control: frozen\ntune:"
    return load_study(
        write_space(
            ("confirm: {replicates: 3, max_epochs: 6, population: 2}", PLAN),
            (ONE_NULL, TWO_NULLS),
            ("tune:", more),
        )
    )


@pytest.fixture
def record(study: Study) -> Record:
    """Of a search that has ended; each arm is best at the setting of its pair."""
    record = new_record(study)
    at = CommonSetting(index=0, setting=SETTING, regrets={})
    everywhere = dict.fromkeys(study.arms, at)
    pairs = {arm: at for arm in study.arms if arm != "real"}
    same: dict[str, list[str]] = {"primary": [], "fast": []}
    cells = make_cells(study, pairs, everywhere, same, lambda arm, setting, reading: f"{arm} {reading.condition}")
    record.apply(Selected(selection=Selection(pair=pairs, own_best=everywhere, cells=cells)))
    return record


def cells(record: Record) -> list[Cell]:
    assert record.selection is not None
    return record.selection.cells


def replicates(study: Study, record: Record) -> dict[tuple[str, str], list[int]]:
    """Arm and condition -> the replicates that the course takes of it."""
    now = course(study, record)
    return {
        (cell.arm, cell.condition): [one for block in blocks_of(study, cell, now) for one in block]
        for cell in cells(record)
    }


def confirm(study: Study, record: Record, ratios: Mapping[str, float], spread: float = 0.1) -> None:
    """Confirms all that is asked for, with these ratios of updates to the reference's."""
    now = course(study, record)
    for cell in cells(record):
        for block in blocks_of(study, cell, now):
            draws = np.random.default_rng([len(cell.arm), *block]).normal(0, spread, len(block))
            outcomes = [
                Convergence(True, False, 50 * ratios.get(cell.arm, 1.0) * float(np.exp(one)), 300, 0.1, 0.1, 0.1, "")
                for one in draws
            ]
            losses = [[1.0] * len(block)] * 2
            report = BlockReport(Evaluations(0, losses, losses, []), outcomes, [{}] * len(block), None, 1.0)
            record.apply(Confirmed(cell=cell, replicates=list(block), report=report))


def look(study: Study, record: Record) -> Look:
    found = take_look(study, record, course(study, record))
    record.apply(Looked(look=found))
    return found


def ask(record: Record, **asked: int) -> None:
    record.apply(Extended(extension=Extension(asked="now", **asked), selection=record.selection))


def test_a_study_starts_with_the_first_look_of_every_arm(study: Study, record: Record) -> None:
    now = course(study, record)
    assert (now.look, now.going) == (4, ["rewired", "random"])
    assert set(now.pairs.values()) == {4}
    assert {key: len(found) for key, found in replicates(study, record).items()} == dict.fromkeys(
        replicates(study, record), 4
    )


def test_arms_that_a_look_decides_stop_and_the_reference_goes_on_with_the_others(study: Study, record: Record) -> None:
    confirm(study, record, {"rewired": 3.0, "random": 1.25})
    assert not is_done(study, record)
    assert look(study, record) == Look(pairs=4, going=["random"], decided=["rewired"])
    assert is_done(study, record)
    ask(record, to=8)
    now = course(study, record)
    assert (now.look, now.going) == (8, ["random"])
    taken = replicates(study, record)
    assert {arm: len(found) for (arm, condition), found in taken.items() if condition == "primary"} == {
        "rewired": 4,
        "random": 8,
        "real": 8,
        "positive_control": 4,
    }
    assert {len(found) for (_, condition), found in taken.items() if condition == "fast"} == {4}
    assert not is_done(study, record)


def test_no_block_is_of_two_looks(study: Study, record: Record) -> None:
    confirm(study, record, {})
    record.apply(Looked(look=Look(pairs=4, going=["rewired", "random"], decided=[])))
    ask(record, to=16)
    record.apply(Looked(look=Look(pairs=8, going=["rewired"], decided=["random"])))
    [cell] = [cell for cell in cells(record) if (cell.arm, cell.condition) == ("rewired", "primary")]
    now = course(study, record)
    assert list(blocks_of(study, cell, now)) == [
        (0, 1, 2), (3,), (4, 5, 6), (7,), (8, 9, 10), (11, 12, 13), (14, 15),
    ]  # fmt: skip
    assert [record.look_of(replicate) for replicate in (0, 3, 4, 7, 8, 15)] == [4, 4, 8, 8, 16, 16]


def test_a_replication_has_every_arm_past_the_plan_and_leaves_it_as_it_is(study: Study, record: Record) -> None:
    confirm(study, record, {"rewired": 3.0, "random": 3.0})
    look(study, record)
    ask(record, replicates=20)
    ask(record, replicates=24)
    assert course(study, record).look is None
    taken = replicates(study, record)
    for arm in ("real", "rewired", "random"):
        assert taken[arm, "primary"] == [*range(4), *range(16, 24)]
    assert taken["positive_control", "primary"] == list(range(4))
    assert taken["random", "fast"] == list(range(4))
    assert [record.look_of(replicate) for replicate in (16, 19, 20, 23)] == [20, 20, 24, 24]


def test_an_arm_that_cannot_be_compared_stops(study: Study, record: Record) -> None:
    confirm(study, record, {"rewired": 3.0})
    for block in record.blocks:
        if block.cell.arm in ("random", "real") and block.cell.condition == "primary":
            block.convergence = [Convergence(False, False, 300, 300, 1.0, 1.0, 1.0, "") for _ in block.convergence]
    found = look(study, record)
    assert "random" not in found.going + found.decided


def test_what_is_taken_in_again_changes_nothing(study: Study, record: Record, tmp_path: Path) -> None:
    confirm(study, record, {"rewired": 3.0, "random": 1.25})
    journal = Journal(tmp_path / "journal.jsonl")
    found = Looked(look=take_look(study, record, course(study, record)))
    extended = Extended(extension=Extension(asked="now", to=8, conditions={"more": {}}), selection=record.selection)
    for _ in range(2):
        record.apply(append(journal, found))
        record.apply(append(journal, extended))
    assert (len(record.looks), len(record.extensions)) == (1, 1)


class TestWhatMayBeAdded:
    def refused(self, study: Study, record: Record, **more: int) -> str:
        with pytest.raises(UserError) as error:
            extension_of(study, record, More(**more), Path("results/small"))
        [line] = str(error.value).splitlines()
        return line

    def test_is_the_next_planned_look(self, study: Study, record: Record) -> None:
        confirm(study, record, {"rewired": 3.0, "random": 1.25})
        look(study, record)
        found = extension_of(study, record, More(), Path())
        assert found is not None
        assert (found.to, found.replicates) == (8, None)

    def test_is_nothing_while_an_extension_is_under_way(self, study: Study, record: Record) -> None:
        confirm(study, record, {"rewired": 3.0, "random": 1.25})
        look(study, record)
        ask(record, to=8)
        assert extension_of(study, record, More(), Path()) is None
        more = extension_of(study, record, More(to=16), Path())
        assert more is not None
        assert more.to == 16

    def test_is_no_look_that_was_not_planned_or_was_taken(self, study: Study, record: Record) -> None:
        assert self.refused(study, record, to=12) == ("--to 12: is no planned look; the study planned 4, 8, 16 pairs")
        assert "--to 4: was asked for before; the looks after it are 8, 16 pairs" in self.refused(study, record, to=4)
        confirm(study, record, {"rewired": 3.0, "random": 1.25})
        look(study, record)
        assert "--to 4: was taken before" in self.refused(study, record, to=4)

    def test_is_nothing_once_every_arm_is_decided(self, study: Study, record: Record) -> None:
        confirm(study, record, {"rewired": 3.0, "random": 3.0})
        look(study, record)
        assert "no arm is left to go on with, since the look at 4 pairs" in self.refused(study, record)

    def test_is_nothing_after_the_last_look(self, study: Study, record: Record) -> None:
        ask(record, to=16)
        for pairs in (4, 8, 16):
            confirm(study, record, {})
            record.apply(Looked(look=Look(pairs=pairs, going=["random"], decided=[])))
        line = self.refused(study, record)
        assert "the last of the planned looks, at 16 pairs, was taken; --replicates N adds" in line

    @pytest.mark.parametrize("replicates", [1, 16, 19])
    def test_is_no_replication_of_fewer_than_four_pairs(self, study: Study, record: Record, replicates: int) -> None:
        assert "give 20 or more" in self.refused(study, record, replicates=replicates)
        found = extension_of(study, record, More(replicates=20), Path())
        assert found is not None
        assert (found.to, found.replicates) == (None, 20)

    def test_is_nothing_new_if_what_was_asked_for_is_asked_for_again(self, study: Study, record: Record) -> None:
        confirm(study, record, {"rewired": 1.25, "random": 1.25})
        look(study, record)
        ask(record, to=16)
        ask(record, replicates=20)
        for more in (More(to=16), More(replicates=20), More(to=16, replicates=20)):
            assert extension_of(study, record, more, Path()) is None
        assert "--to 8: was asked for before" in self.refused(study, record, to=8)

    def test_is_no_replication_that_is_done(self, study: Study, record: Record) -> None:
        confirm(study, record, {"rewired": 3.0, "random": 3.0})
        look(study, record)
        ask(record, replicates=20)
        confirm(study, record, {})
        assert "give 24 or more" in self.refused(study, record, replicates=20)

    def test_is_no_look_that_no_arm_got_to(self, study: Study, record: Record) -> None:
        ask(record, to=16)
        confirm(study, record, {"rewired": 3.0, "random": 3.0})
        look(study, record)
        assert "no arm is left to go on with, since the look at 4 pairs" in self.refused(study, record)


def test_of_a_cell_that_is_asked_for_more_only_the_new_replicates_are_left(study: Study, record: Record) -> None:
    [cell] = [cell for cell in cells(record) if (cell.arm, cell.condition) == ("rewired", "primary")]
    losses = [[1.0] * 3] * 2
    outcome = Convergence(True, False, 50.0, 300, 0.1, 0.1, 0.1, "")
    report = BlockReport(Evaluations(0, losses, losses, []), [outcome] * 3, [{}] * 3, None, 1.0)
    record.apply(Confirmed(cell=cell, replicates=[0, 1, 2], report=report))
    left = jobs_left([Job(cell, (0, 1, 2, 3, 4)), Job(cell, (0, 1))], record)
    assert [job.replicates for job in left] == [(3, 4)]
