"""What is said over several conditions, in simulated studies whose truth is known."""

import json
from pathlib import Path

import pytest

from biotune.cli import main
from biotune.validate import conditions
from biotune.validate.conditions import families


@pytest.fixture
def of_six(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer kinds of studies, so that there is time for more of each."""
    monkeypatch.setattr(conditions, "CONDITIONS", (6,))
    monkeypatch.setattr(conditions, "SHARED", (0.9,))


@pytest.mark.usefixtures("of_six")
def test_intervals_hold_together_and_cost_less_than_bonferronis_where_conditions_share_their_pairs() -> None:
    for row in families(studies=20, seed=1):
        assert row.left_out <= 0.2
        assert row.width < 0.95


@pytest.mark.usefixtures("of_six")
def test_what_is_claimed_over_conditions_is_seldom_wrong_where_single_intervals_often_are() -> None:
    none, half, all_but_one = families(studies=20, seed=2)
    assert (none.effects, half.effects, all_but_one.effects) == (0, 3, 5)
    assert none.everywhere == half.everywhere == 0  # not even close to every condition
    assert all_but_one.everywhere <= 0.2
    assert max(row.too_many for row in (none, half, all_but_one)) <= 0.15


def test_the_command_writes_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str], of_six: None) -> None:
    file = tmp_path / "found.json"
    assert main(["validate", "conditions", "--studies", "2", "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["arms"] == 3
    assert [row["effects"] for row in content["found"]] == [0, 3, 5]
    assert "2 studies of each kind" in capsys.readouterr().out
