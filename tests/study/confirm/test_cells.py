"""The cells of a confirmation: what is the same is trained once, and read as everything that it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.results import POSITIVE_CONTROL
from biotune.results.documents import Reading, Selection, Shared
from biotune.study import Study, load_study
from biotune.study.confirm.cells import make_cells
from biotune.study.confirm.confirm import make_jobs
from biotune.study.definition.study import Setting

SHARED: Setting = {"learning_rate": 0.3, "nonlinearity": "tanh"}
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


def digest(arm: str, setting: Setting, reading: Reading) -> str:
    """Stands in for the digest of a plan, in which the nonlinearity has no part."""
    return f"{arm} {setting['learning_rate']} {reading.condition}"


def test_each_arm_is_confirmed_at_the_shared_setting_and_at_its_own_best(study: Study) -> None:
    best: dict[str, Setting] = {"real": {"learning_rate": 0.1}, "rewired": {"learning_rate": 0.2}}
    cells = make_cells(study, SHARED, best, {}, digest)
    assert [([one.phase for one in cell.readings], cell.arm, cell.setting["learning_rate"]) for cell in cells] == [
        (["shared"], "real", 0.3),
        (["shared"], "rewired", 0.3),
        (["own_best"], "real", 0.1),
        (["own_best"], "rewired", 0.2),
    ]
    assert len({cell.checkpoint(0) for cell in cells}) == len(cells)
    assert all(cell.whole for cell in cells)


def test_an_own_best_that_makes_the_same_networks_is_one_cell_that_is_read_as_both(study: Study) -> None:
    best: dict[str, Setting] = {
        "real": {"learning_rate": 0.3, "nonlinearity": "relu"},
        "rewired": {"learning_rate": 0.2, "nonlinearity": "relu"},
    }
    cells = make_cells(study, SHARED, best, {}, digest)
    assert [(cell.arm, [one.phase for one in cell.readings]) for cell in cells] == [
        ("real", ["shared", "own_best"]),
        ("rewired", ["shared"]),
        ("rewired", ["own_best"]),
    ]


def test_arms_that_are_equal_are_confirmed_each(study: Study) -> None:
    cells = make_cells(study, SHARED, dict.fromkeys(study.arms, SHARED), {}, lambda arm, setting, reading: "one plan")
    assert [(cell.arm, [one.phase for one in cell.readings]) for cell in cells] == [
        ("real", ["shared", "own_best"]),
        ("rewired", ["shared", "own_best"]),
    ]
    assert cells[0].checkpoint(2) != cells[1].checkpoint(2)


def test_the_primary_comes_first_then_each_condition_without_the_positive_control(varied: Study) -> None:
    same: dict[str, list[str]] = {"primary": [], "fast": [], "longer": []}
    cells = make_cells(varied, SHARED, dict.fromkeys(varied.arms, SHARED), same, digest)
    assert [(cell.condition, cell.arm, cell.whole) for cell in cells] == [
        ("primary", "real", True),
        ("primary", "rewired", True),
        ("primary", POSITIVE_CONTROL, True),
        ("fast", "real", False),
        ("fast", "rewired", False),
        ("longer", "real", False),
        ("longer", "rewired", False),
    ]
    assert {cell.setting["learning_rate"] for cell in cells} == {0.3}  # the condition has its word when plans are made


def test_a_condition_is_confirmed_on_as_many_replicates_as_it_asks_for(varied: Study) -> None:
    same: dict[str, list[str]] = {"primary": [], "fast": [], "longer": []}
    jobs = make_jobs(varied, make_cells(varied, SHARED, dict.fromkeys(varied.arms, SHARED), same, digest))
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
    cells = make_cells(varied, SHARED, dict.fromkeys(varied.arms, SHARED), same, digest)
    assert [cell.arm for cell in cells if cell.condition == "fast"] == ["real"]
    assert [cell.arm for cell in cells if cell.condition == "longer"] == ["real", "rewired"]


def test_a_condition_that_comes_to_an_arms_own_best_is_read_from_it(varied: Study) -> None:
    """What is read under the primary is trained to the budget, and on all replicates that a reading asks for."""
    best: dict[str, Setting] = {arm: SHARED | {"learning_rate": 0.5} for arm in varied.arms}

    def by_rate(arm: str, setting: Setting, reading: Reading) -> str:
        rate = 0.5 if reading.condition == "fast" else setting["learning_rate"]
        return f"{arm} {rate} {'longer' if reading.condition == 'longer' else ''}"

    same: dict[str, list[str]] = {"primary": [], "fast": [], "longer": []}
    cells = make_cells(varied, SHARED, best, same, by_rate)
    [cell] = [cell for cell in cells if cell.arm == "real" and len(cell.readings) > 1]
    assert [(one.condition, one.phase) for one in cell.readings] == [("primary", "own_best"), ("fast", "shared")]
    assert cell.whole
    selection = Selection(
        shared=Shared(setting=dict(SHARED), index=0, mean_rank=1.0, ranks={}), own_best={}, cells=cells
    )
    assert selection.cell("real", "own_best") == selection.cell("real", "shared", "fast") == cell
    assert selection.cell("real", "shared", "longer").condition == "longer"


def test_two_conditions_that_come_to_one_plan_are_trained_on_the_replicates_of_the_longer(
    write_space: Callable[..., Path],
) -> None:
    """As where one sets what another leaves at its default."""
    both = "conditions:\n  primary: {}\n  few: {network: {readout: 0.5}, replicates: 2}\n  all: {task: {batch: 8}}\n"
    study = load_study(write_space(("tune:", f"{both}tune:")))
    same: dict[str, list[str]] = {"primary": [], "few": [], "all": []}

    def one_plan(arm: str, setting: Setting, reading: Reading) -> str:
        return f"{arm} {reading.condition == 'primary'}"

    cells = make_cells(study, SHARED, dict.fromkeys(study.arms, SHARED), same, one_plan)
    jobs = make_jobs(study, [cell for cell in cells if not cell.whole])
    assert [one.condition for one in jobs[0].cell.readings] == ["few", "all"]
    assert [job.replicates for job in jobs if job.cell.arm == "real"] == [(0, 1), (2,)]


def test_an_arm_that_was_not_confirmed_is_named_with_those_that_were(study: Study) -> None:
    cells = make_cells(study, SHARED, {"real": SHARED}, {}, digest)
    shared = Shared(setting=dict(SHARED), index=0, mean_rank=1.0, ranks={"real": 1.0})
    selection = Selection(shared=shared, own_best={"real": "real-0000"}, cells=cells)
    assert selection.cell("real", "own_best") == selection.cell("real", "shared") == cells[0]
    expected = "nothing of an arm 'reel' is confirmed as 'shared' under 'primary'; the arms are real"
    with pytest.raises(UserError, match=expected):
        selection.cell("reel", "shared")
