"""What the report promises of its intervals and verdicts, it holds in simulated studies, through its own analysis."""

import json
import math
from pathlib import Path

import pytest

from biotune.cli import main
from biotune.errors import UserError
from biotune.validate.simulate import RATIOS, Found, Model, simulate, wrong_verdicts

SPACE = Path(__file__).parents[2] / "search_spaces" / "seq_mem.yaml"
NO_DATA = "connectome={name: 'distance_rule:marmoset'}"


def check(found: Found) -> None:
    """Within three Monte Carlo standard errors of what is promised."""
    assert abs(found.covered - found.confidence) <= 3 * found.error
    for verdict, share in found.false.items():
        assert share <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / found.studies), verdict


def test_intervals_cover_and_verdicts_are_seldom_false() -> None:
    for found in simulate(SPACE, ratios=[1.0, 2.0], studies=40, overrides=[NO_DATA]):
        assert found.pairs == 16
        assert found.confidence == pytest.approx(0.95)
        assert sum(found.verdicts.values()) == pytest.approx(1)
        check(found)


@pytest.mark.slow
def test_at_every_true_ratio() -> None:
    found = {each.ratio: each for each in simulate(SPACE, studies=500, overrides=[NO_DATA])}
    assert set(found) == set(RATIOS)
    for each in found.values():
        check(each)
        assert 0.93 <= each.covered <= 0.97
        assert sum(each.false.get(verdict, 0) for verdict in ("faster", "slower")) <= 0.05
    assert found[2.0].verdicts["slower"] > 0.99


def test_the_same_seed_gives_the_same_studies_and_a_harder_design_other_verdicts() -> None:
    def once(model: Model) -> Found:
        [found] = simulate(SPACE, ratios=[1.0], studies=10, model=model, overrides=[NO_DATA])
        return found

    assert once(Model()) == once(Model())
    assert set(once(Model(spread=0.02)).verdicts) <= {"equivalent", "slightly faster", "slightly slower"}
    assert once(Model(spread=1.0)).verdicts.get("equivalent", 0) == 0
    censored = once(Model(typical=1.5, spread=0.02))
    assert censored.verdicts == {"not comparable": 1.0}
    assert censored.censored > 0.5


@pytest.mark.parametrize(
    ("ratio", "false"),
    [
        (1.0, {"faster", "slower"}),
        (1.19, {"faster", "slower"}),
        (1.2, {"faster", "slower", "equivalent"}),
        (1 / 1.2, {"faster", "slower", "equivalent"}),
        (2.0, {"faster", "equivalent"}),
        (0.5, {"slower", "equivalent"}),
    ],
)
def test_which_verdicts_are_false(ratio: float, false: set[str]) -> None:
    assert wrong_verdicts(ratio, 0.2) == false


def test_a_study_of_one_arm_has_nothing_to_simulate() -> None:
    with pytest.raises(UserError, match="one arm"):
        next(simulate(SPACE, overrides=[NO_DATA, "arms={marmoset: {}}"]))


def test_the_command_prints_and_writes_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--studies", "5", "--ratios", "1,2", "--set", NO_DATA, "--json", str(tmp_path / "shares.json")]
    assert main(["validate", "simulate", "--space", str(SPACE), *options]) == 0
    assert "5 simulated studies of each true ratio, 16 pairs" in " ".join(capsys.readouterr().out.split())
    content = json.loads((tmp_path / "shares.json").read_text())
    assert [found["ratio"] for found in content["found"]] == [1, 2]
    assert content["model"]["spread"] == 0.25


@pytest.mark.parametrize(
    "options",
    [["--ratios", "0"], ["--ratios", "one"], ["--studies", "0"], ["--space", "none.yaml"], ["--spread", "-1"]],
)
def test_a_mistake_is_said_in_a_line(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "simulate", *options]) == 2
    assert options[1] in capsys.readouterr().err
