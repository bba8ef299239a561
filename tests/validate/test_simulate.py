"""What the report promises of its intervals and verdicts, it holds in simulated studies, through its own analysis."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from biotune.cli import main
from biotune.errors import UserError
from biotune.validate.shapes import SHAPES, Shape, scatter
from biotune.validate.simulate import RATIOS, Found, Model, simulate, wrong_verdicts

SPACE = Path(__file__).parents[2] / "search_spaces" / "seq_mem.yaml"
NO_DATA = "connectome={name: 'distance_rule:marmoset'}"


def check(found: Found) -> None:
    """Within three Monte Carlo standard errors of what is promised, over all arms of a study."""
    assert found.covered is not None
    assert abs(found.covered - found.confidence) <= 3 * found.error
    at_one = found.ratio == 1
    promised = (
        (found.wrong_direction, 0.05 if at_one else 0.025),
        (found.wrong_beyond, 0.005 if at_one else 0.025),
        (found.wrong_within, 0.05),
    )
    for share, most in promised:
        assert share <= most + 3 * math.sqrt(most * (1 - most) / found.studies)


def test_intervals_cover_and_verdicts_are_seldom_wrong() -> None:
    for found in simulate(SPACE, ratios=[1.0, 2.0], studies=40, overrides=[NO_DATA]):
        assert (found.arms, found.pairs) == (3, 16)
        assert found.confidence == pytest.approx(1 - 0.8 * 0.05 / 3)  # what the first of its looks spends
        assert sum(found.verdicts.values()) == pytest.approx(1)
        check(found)


@pytest.mark.long
def test_at_every_true_ratio() -> None:
    found = {each.ratio: each for each in simulate(SPACE, studies=500, overrides=[NO_DATA])}
    assert set(found) == set(RATIOS)
    for each in found.values():
        check(each)
    assert found[2.0].verdicts["slower"] > 0.99


@pytest.mark.long
@pytest.mark.parametrize("ratio", RATIOS)
def test_where_many_replicates_are_censored_directions_and_sizes_stay_true(ratio: float) -> None:
    model = Model(typical=0.6)
    [found] = simulate(SPACE, ratios=[ratio], studies=500, model=model, overrides=[NO_DATA])
    assert found.censored > 0.05
    assert found.wrong_direction <= (0.05 if ratio == 1 else 0.025) + 0.02
    assert found.wrong_beyond <= (0.005 if ratio == 1 else 0.025) + 0.02


def test_the_same_seed_gives_the_same_studies_and_a_harder_design_other_verdicts() -> None:
    def once(model: Model) -> Found:
        [found] = simulate(SPACE, ratios=[1.0], studies=10, model=model, overrides=[NO_DATA])
        return found

    assert once(Model()) == once(Model())
    certain = once(Model(spread=0.02)).verdicts
    assert set(certain) <= {"equivalent", "slightly faster", "slightly slower"}
    assert certain["equivalent"] > 0.8
    assert once(Model(spread=1.0)).verdicts.get("equivalent", 0) == 0
    censored = once(Model(typical=1.5, spread=0.02))
    assert censored.verdicts == {"not comparable": 1.0}
    assert censored.covered is None
    assert censored.censored > 0.5


def test_where_only_the_slower_side_is_censored_the_verdict_is_a_bound() -> None:
    model = Model(typical=0.3, between=0.1, spread=0.1)
    [found] = simulate(SPACE, ratios=[5.0], studies=10, model=model, overrides=[NO_DATA])
    assert found.bounds == 1
    assert found.verdicts == {"slower": 1.0}
    assert found.covered == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_the_ratio_and_the_spread_that_it_should_have(shape: Shape) -> None:
    arm, reference = scatter(shape, 2, 0.25, 200_000, np.random.default_rng(0))
    assert arm.shape == (2, 200_000)
    difference = arm[0] - reference
    assert float(difference.mean()) == pytest.approx(0, abs=0.005)
    if shape == "stragglers":
        assert float(difference.std()) > 0.4
    else:
        assert float(difference.std()) == pytest.approx(0.25, rel=0.02)
    assert float(stats.skew(difference)) == pytest.approx(2 if shape == "lognormal" else 0, abs=0.15)


def test_which_verdicts_are_wrong_of_a_true_ratio() -> None:
    beyond, within = {"faster", "slower"}, {"equivalent", "slightly faster", "slightly slower"}
    any_faster = {"faster", "faster, size open", "slightly faster"}
    any_slower = {"slower", "slower, size open", "slightly slower"}
    assert wrong_verdicts(1.0, 0.2) == any_faster | any_slower
    assert wrong_verdicts(1.19, 0.2) == any_faster | beyond
    assert wrong_verdicts(1 / 1.19, 0.2) == any_slower | beyond
    assert wrong_verdicts(1.2, 0.2) == any_faster | beyond | within
    assert wrong_verdicts(1 / 1.2, 0.2) == any_slower | beyond | within
    assert wrong_verdicts(2.0, 0.2) == any_faster | within
    assert wrong_verdicts(0.5, 0.2) == any_slower | within


def test_intervals_are_checked_for_every_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "intervals", "--studies", "30", "--json", str(tmp_path / "found.json")]) == 0
    assert "30 studies" in " ".join(capsys.readouterr().out.split())
    found = json.loads((tmp_path / "found.json").read_text())["found"]
    assert len(found) == 3 * 3 * 2 * 2
    assert all(row["low"] + row["high"] <= 0.35 for row in found)


def test_a_study_of_one_arm_has_nothing_to_simulate() -> None:
    with pytest.raises(UserError, match="one arm"):
        next(simulate(SPACE, overrides=[NO_DATA, "arms={marmoset: {}}"]))


def test_the_command_prints_and_writes_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--studies", "5", "--ratios", "1,2", "--set", NO_DATA, "--json", str(tmp_path / "shares.json")]
    assert main(["validate", "simulate", "--space", str(SPACE), *options]) == 0
    assert "5 simulated studies of each true ratio, 3 arms beside the reference, 16 pairs" in " ".join(
        capsys.readouterr().out.split()
    )
    content = json.loads((tmp_path / "shares.json").read_text())
    assert [found["ratio"] for found in content["found"]] == [1, 2]
    assert content["model"]["spread"] == 0.25


@pytest.mark.parametrize(
    "options",
    [
        ["--ratios", "0"],
        ["--ratios", "one"],
        ["--studies", "0"],
        ["--space", "none.yaml"],
        ["--spread", "-1"],
        ["--shape", "round"],
    ],
)
def test_a_mistake_is_said_in_a_line(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "simulate", *options]) == 2
    assert options[1] in capsys.readouterr().err
