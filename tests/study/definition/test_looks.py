"""Planned looks in a study's YAML."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from biotune.errors import UserError
from biotune.study import load_study

WriteSpace = Callable[..., Path]

CONFIRM = "confirm: {replicates: 3, max_epochs: 6, population: 2}"


def confirm(**keys: object) -> tuple[str, str]:
    return CONFIRM, f"confirm: {yaml.safe_dump({**keys, 'max_epochs': 6}, default_flow_style=True).strip()}"


@pytest.mark.parametrize("replicates", [{"replicates": 4}, {}])
def test_the_first_look_is_the_number_of_replicates(
    write_space: WriteSpace, tmp_path: Path, replicates: dict[str, int]
) -> None:
    study = load_study(write_space(confirm(looks=[4, 8, 16], **replicates)))
    assert (study.config.confirm.replicates, study.config.confirm.planned) == (4, [4, 8, 16])
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(study.resolved()))
    assert load_study(again).resolved() == study.resolved()


def test_a_study_without_planned_looks_has_one_of_any_size(write_space: WriteSpace, tmp_path: Path) -> None:
    study = load_study(write_space())
    assert study.config.confirm.planned == [3]
    assert study.resolved()["confirm"]["looks"] is None
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(study.resolved()))
    assert load_study(again).digest == study.digest


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"looks": [16, 16, 32]}, "looks must rise, and name no number twice, found [16, 16, 32]"),
        ({"looks": [32, 16]}, "looks must rise, and name no number twice, found [32, 16]"),
        ({"looks": [3, 6]}, "a look at 3 pairs is too early; give 4 or more"),
        ({"replicates": 2, "looks": [2, 8]}, "a look at 2 pairs is too early; give 4 or more"),
        ({"looks": [2]}, "a look at 2 pairs is too early; give 4 or more"),
        ({"looks": [-1, 8]}, "greater than or equal to 1"),
        ({"looks": []}, "looks is empty"),
        ({"looks": [8.5, 16]}, "valid integer"),
        (
            {"replicates": 8, "looks": [16, 32]},
            "the first look has 16 pairs, but replicates is 8; leave replicates out, or set looks to [8, …] or null",
        ),
    ],
)
def test_looks_that_are_no_plan_are_refused_in_one_line(
    write_space: WriteSpace, keys: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as refused:
        load_study(write_space(confirm(**keys)))
    [line] = str(refused.value).splitlines()
    assert "confirm" in line
    assert message in line


def test_a_quick_look_has_no_planned_looks(write_space: WriteSpace) -> None:
    study = load_study(write_space(confirm(looks=[16, 32])), quick=True)
    assert study.config.confirm.planned == [4]
    [note] = [note for note in study.notes if "--quick" in note]
    assert "without planned looks" in note
