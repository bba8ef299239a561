"""The cells of a confirmation: what is the same is trained once, and read as everything that it is."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.results import POSITIVE_CONTROL
from biotune.results.documents import Cell, CommonSetting, Reading, Selection
from biotune.study import Study, load_study
from biotune.study.confirm.cells import make_cells
from biotune.study.confirm.confirm import make_jobs
from biotune.study.confirm.course import course
from biotune.study.definition.study import Setting
from biotune.study.directory.directory import new_record

PAIR: Setting = {"learning_rate": 0.3, "nonlinearity": "tanh"}
CONDITIONS = """conditions:
  primary: {}
  fast: {network: {learning_rate: 0.5}}
  longer: {task: {pattern_length: 3}, replicates: 2}
"""


@pytest.fixture
def study(small_space: Path) -> Study:
    return load_study(small_space)


@pytest.fixture
def varied(write_space: Callable[..., Path]) -> Study:
    """With conditions, one of which has the first 2 of 3 replicates, and a positive control."""
    return load_study(write_space(("tune:", f"positive_control: frozen\n{CONDITIONS}tune:")))


def at(settings: Mapping[str, Setting]) -> dict[str, CommonSetting]:
    return {arm: CommonSetting(index=0, setting=dict(setting), regrets={arm: 0.0}) for arm, setting in settings.items()}


def digest(arm: str, setting: Setting, reading: Reading) -> str:
    """Stands in for the digest of a plan, in which the nonlinearity has no part."""
    return f"{arm} {setting['learning_rate']} {reading.condition}"


def pairs(study: Study, setting: Setting = PAIR) -> dict[str, CommonSetting]:
    """All pairs at one setting."""
    return at({arm: setting for arm in study.arms if arm != study.config.reference_arm})


def every(study: Study, setting: Setting = PAIR) -> dict[str, CommonSetting]:
    """Every arm best at one setting."""
    return at(dict.fromkeys(study.arms, setting))


def read(cell: Cell) -> list[tuple[str, str]]:
    return [(one.phase, one.against) for one in cell.readings]


def test_a_pair_is_confirmed_at_its_setting_and_each_arm_at_its_own_best(study: Study) -> None:
    best = at({"real": {"learning_rate": 0.1}, "rewired": {"learning_rate": 0.2}})
    cells = make_cells(study, pairs(study), best, {}, digest)
    assert [(read(cell), cell.arm, cell.setting["learning_rate"]) for cell in cells] == [
        ([("pair", "")], "rewired", 0.3),
        ([("pair", "rewired")], "real", 0.3),
        ([("own_best", "")], "real", 0.1),
        ([("own_best", "")], "rewired", 0.2),
    ]
    assert len({cell.checkpoint(0) for cell in cells}) == len(cells)
    assert all(cell.whole for cell in cells)


def test_the_reference_is_confirmed_at_the_setting_of_every_pair_once(varied: Study) -> None:
    rates = dict(zip(pairs(varied), (0.1, 0.3), strict=True))
    apart = at({arm: {"learning_rate": rate} for arm, rate in rates.items()})
    cells = make_cells(varied, apart, every(varied), {"fast": [], "longer": []}, digest)
    reference = [cell for cell in cells if cell.arm == "real" and cell.condition == "primary"]
    assert [(cell.setting["learning_rate"], read(cell)) for cell in reference] == [
        (0.1, [("pair", "rewired")]),
        (0.3, [("pair", POSITIVE_CONTROL), ("own_best", "")]),
    ]
    assert [cell.setting["learning_rate"] for cell in cells if cell.condition == "longer"] == [0.1, 0.1]


def test_what_makes_the_same_networks_is_one_cell_that_is_read_as_both(study: Study) -> None:
    best = at(
        {
            "real": {"learning_rate": 0.3, "nonlinearity": "relu"},
            "rewired": {"learning_rate": 0.2, "nonlinearity": "relu"},
        }
    )
    cells = make_cells(study, pairs(study), best, {}, digest)
    assert [(cell.arm, read(cell)) for cell in cells] == [
        ("rewired", [("pair", "")]),
        ("real", [("pair", "rewired"), ("own_best", "")]),
        ("rewired", [("own_best", "")]),
    ]


def test_arms_that_are_equal_are_confirmed_each(study: Study) -> None:
    cells = make_cells(study, pairs(study), every(study), {}, lambda arm, setting, reading: "one plan")
    assert [(cell.arm, read(cell)) for cell in cells] == [
        ("rewired", [("pair", ""), ("own_best", "")]),
        ("real", [("pair", "rewired"), ("own_best", "")]),
    ]
    assert cells[0].checkpoint(2) != cells[1].checkpoint(2)


def test_the_primary_comes_first_then_each_condition_without_the_positive_control(varied: Study) -> None:
    same: dict[str, list[str]] = {"primary": [], "fast": [], "longer": []}
    cells = make_cells(varied, pairs(varied), every(varied), same, digest)
    assert [(cell.condition, cell.arm, cell.whole) for cell in cells] == [
        ("primary", "rewired", True),
        ("primary", "real", True),
        ("primary", POSITIVE_CONTROL, True),
        ("fast", "rewired", False),
        ("fast", "real", False),
        ("longer", "rewired", False),
        ("longer", "real", False),
    ]
    assert {cell.setting["learning_rate"] for cell in cells} == {0.3}  # the condition has its word when plans are made


def test_a_condition_is_confirmed_on_as_many_replicates_as_it_asks_for(varied: Study) -> None:
    same: dict[str, list[str]] = {"primary": [], "fast": [], "longer": []}
    cells = make_cells(varied, pairs(varied), every(varied), same, digest)
    jobs = make_jobs(varied, cells, course(varied, new_record(varied)))
    of_real = [(job.cell.condition, job.replicates) for job in jobs if job.cell.arm == "real"]
    assert of_real == [
        ("primary", (0, 1)),
        ("primary", (2,)),
        ("fast", (0, 1)),
        ("fast", (2,)),
        ("longer", (0, 1)),
    ]


def test_an_arm_that_is_the_reference_under_a_condition_is_not_trained_there(varied: Study) -> None:
    same = {"primary": [], "fast": ["rewired"], "longer": []}
    cells = make_cells(varied, pairs(varied), every(varied), same, digest)
    assert [
        cell.arm for cell in cells if cell.condition == "fast"
    ] == []  # the reference has nothing to be compared with
    assert [cell.arm for cell in cells if cell.condition == "longer"] == ["rewired", "real"]


def test_a_condition_that_comes_to_an_arms_own_best_is_read_from_it(varied: Study) -> None:
    """What is read under the primary is trained to the budget, and on all replicates that a reading asks for."""
    best = every(varied, {**PAIR, "learning_rate": 0.5})

    def by_rate(arm: str, setting: Setting, reading: Reading) -> str:
        rate = 0.5 if reading.condition == "fast" else setting["learning_rate"]
        return f"{arm} {rate} {'longer' if reading.condition == 'longer' else ''}"

    same: dict[str, list[str]] = {"primary": [], "fast": [], "longer": []}
    cells = make_cells(varied, pairs(varied), best, same, by_rate)
    [cell] = [cell for cell in cells if cell.arm == "rewired" and len(cell.readings) > 1]
    assert [(one.condition, one.phase) for one in cell.readings] == [("primary", "own_best"), ("fast", "pair")]
    assert cell.whole
    selection = Selection(pair=pairs(varied), own_best=best, cells=cells)
    assert selection.cell("rewired", "own_best") == selection.cell("rewired", "pair", "fast") == cell
    assert selection.cell("rewired", "pair", "longer").condition == "longer"


def test_two_conditions_that_come_to_one_plan_are_trained_on_the_replicates_of_the_longer(
    write_space: Callable[..., Path],
) -> None:
    """As where one sets what another leaves at its default."""
    both = "conditions:\n  primary: {}\n  few: {network: {readout: 0.5}, replicates: 2}\n  all: {task: {batch: 8}}\n"
    study = load_study(write_space(("tune:", f"{both}tune:")))
    same: dict[str, list[str]] = {"primary": [], "few": [], "all": []}

    def one_plan(arm: str, setting: Setting, reading: Reading) -> str:
        return f"{arm} {reading.condition == 'primary'}"

    cells = make_cells(study, pairs(study), every(study), same, one_plan)
    jobs = make_jobs(study, [cell for cell in cells if not cell.whole], course(study, new_record(study)))
    assert [one.condition for one in jobs[0].cell.readings] == ["few", "all"]
    assert [job.replicates for job in jobs if job.cell.arm == "real"] == [(0, 1), (2,)]


def test_an_arm_that_was_not_confirmed_is_named_with_those_that_were(study: Study) -> None:
    cells = make_cells(study, pairs(study), every(study), {}, digest)
    selection = Selection(pair=pairs(study), own_best=every(study), cells=cells)
    assert selection.cell("real", "own_best") == selection.cell("real", "pair", against="rewired") == cells[1]
    expected = "nothing of an arm 'reel' is confirmed as 'pair' under 'primary'; the arms are rewired, real"
    with pytest.raises(UserError, match=expected):
        selection.cell("reel", "pair")
    with pytest.raises(UserError, match="as 'pair' under 'primary' against 'reel'"):
        selection.cell("real", "pair", against="reel")
