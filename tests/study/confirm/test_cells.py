"""The cells of a confirmation: what is the same is trained once, and read by every label that it has."""

import pytest

from biotune.errors import UserError
from biotune.results.documents import Selection, Shared
from biotune.study.confirm.cells import make_cells
from biotune.study.definition.study import Setting


def digest(arm: str, setting: Setting) -> str:
    """Stands in for the digest of a plan, in which `unused` has no part."""
    return f"{arm} {setting['learning_rate']}"


def test_each_arm_is_confirmed_at_the_shared_setting_and_at_its_own_best() -> None:
    best: dict[str, Setting] = {"real": {"learning_rate": 0.1}, "rewired": {"learning_rate": 0.2}}
    cells = make_cells({"learning_rate": 0.3}, best, digest)
    assert [(cell.labels, cell.arm, cell.setting["learning_rate"]) for cell in cells] == [
        (["shared"], "real", 0.3),
        (["shared"], "rewired", 0.3),
        (["own_best"], "real", 0.1),
        (["own_best"], "rewired", 0.2),
    ]
    assert len({cell.checkpoint(0) for cell in cells}) == len(cells)


def test_an_own_best_that_makes_the_same_networks_is_one_cell_of_two_labels() -> None:
    best: dict[str, Setting] = {
        "real": {"learning_rate": 0.3, "unused": 1},
        "rewired": {"learning_rate": 0.2, "unused": 2},
    }
    cells = make_cells({"learning_rate": 0.3, "unused": 2}, best, digest)
    assert [(cell.arm, cell.labels) for cell in cells] == [
        ("real", ["shared", "own_best"]),
        ("rewired", ["shared"]),
        ("rewired", ["own_best"]),
    ]


def test_arms_that_are_equal_are_confirmed_each() -> None:
    same: Setting = {"learning_rate": 0.3}
    cells = make_cells(same, {"real": same, "copy": same}, lambda arm, setting: "the same plan")
    assert [(cell.arm, cell.labels) for cell in cells] == [
        ("real", ["shared", "own_best"]),
        ("copy", ["shared", "own_best"]),
    ]
    assert cells[0].checkpoint(2) != cells[1].checkpoint(2)


def test_an_arm_that_was_not_confirmed_is_named_with_those_that_were() -> None:
    cells = make_cells({"learning_rate": 0.3}, {"real": {"learning_rate": 0.3}}, digest)
    shared = Shared(setting={"learning_rate": 0.3}, index=0, mean_rank=1.0, ranks={"real": 1.0})
    selection = Selection(shared=shared, own_best={"real": "real-0000"}, cells=cells)
    assert selection.cell("real", "own_best") == selection.cell("real", "shared") == cells[0]
    with pytest.raises(UserError, match="nothing of an arm 'reel' is confirmed as 'shared'; the arms are real"):
        selection.cell("reel", "shared")
