"""What a study claims of arms that are equally fast at their best settings, in simulated searches."""

import json
from pathlib import Path

import pytest

from biotune.cli import main
from biotune.validate.selection import Design, Found, Model, simulate


def tails(found: Found, estimand: str) -> tuple[float, float]:
    return found.faster[estimand], found.slower[estimand]


def test_what_one_setting_makes_of_two_optima_is_not_claimed() -> None:
    found = simulate(Design(nulls=3, agree=True, settings=16), Model(), studies=60, seed=1)
    assert sum(tails(found, "pair")) > 0.2
    for claimed, at_pair in zip(tails(found, "claim"), tails(found, "pair"), strict=True):
        assert claimed <= 0.16 < at_pair
    assert max(found.beyond["claim"]) <= 0.03


@pytest.mark.parametrize("agree", [True, False])
def test_a_null_that_is_added_or_doubled_changes_no_other_claim(agree: bool) -> None:
    assert simulate(Design(nulls=3, agree=agree, settings=8), Model(), studies=20, seed=2).changed == 0


def test_arms_with_one_optimum_are_compared_where_both_are_best() -> None:
    found = simulate(Design(nulls=1, agree=True, settings=16), Model(distance=0.0, kept=1.0), studies=60, seed=3)
    assert sum(tails(found, "claim")) <= 0.15


def test_a_rung_that_sees_nothing_leaves_arms_few_settings_in_common_and_makes_no_claims_of_that() -> None:
    design = Design(nulls=1, agree=True, settings=16)
    none, nothing = (simulate(design, Model(keys=1, seen=seen), studies=60, seed=3) for seen in (None, 0.0))
    assert sum(tails(nothing, "pair")) > sum(tails(none, "pair")) + 0.2
    assert sum(tails(nothing, "claim")) <= 0.15


@pytest.mark.long
@pytest.mark.parametrize(("nulls", "agree"), [(1, True), (3, True), (3, False), (5, True), (5, False)])
@pytest.mark.parametrize(("keys", "settings"), [(1, 16), (2, 32)])
def test_each_tail_of_the_claim_is_wrong_in_one_study_of_twenty(
    nulls: int, agree: bool, keys: int, settings: int
) -> None:
    found = simulate(Design(nulls, agree, settings), Model(keys=keys), studies=1000, seed=4)
    assert max(tails(found, "claim")) <= 0.05
    assert max(found.beyond["claim"]) <= 0.01


def test_the_command_writes_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.json"
    assert main(["validate", "selection", "--studies", "2", "--keys", "1", "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["model"]["keys"] == 1
    assert {row["design"]["settings"] for row in content["found"]} == {8, 16, 32}
    assert "claim" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "needed"), [("--distance", "0.6 or less"), ("--seen", "1 or less")])
def test_what_cannot_be_simulated_is_refused(capsys: pytest.CaptureFixture[str], option: str, needed: str) -> None:
    assert main(["validate", "selection", option, "2"]) != 0
    assert needed in capsys.readouterr().err
