"""Simulated studies with planned looks: promises hold, an arm that is decided stops, and bad input is refused."""

import json
from pathlib import Path

import pytest

from biotune.cli import main
from biotune.validate.looks import MODELS, RATIOS, Found, simulate

LOOKS = (16, 32, 64)


@pytest.fixture(scope="module")
def found() -> dict[float, Found]:
    """300 studies of each ratio, with normal log ratios."""
    return {row.ratio: row for row in simulate(["normal"], RATIOS, LOOKS, 300, seed=2)}


def test_what_is_promised_over_the_looks_holds(found: dict[float, Found]) -> None:
    """Within three standard errors of 5 % and 2.5 % of 300 studies."""
    assert found[1].wrong_direction < 0.05 + 3 * 0.0126
    assert all(found[ratio].wrong_direction < 0.025 + 3 * 0.009 for ratio in RATIOS if ratio != 1)
    assert all(row.wrong_beyond < 0.025 + 3 * 0.009 and row.wrong_within < 0.05 + 3 * 0.0126 for row in found.values())
    assert all(row.covered is not None and row.covered > 0.96 for row in found.values())


def test_a_large_difference_stops_at_the_first_look_and_one_at_the_edge_goes_on(found: dict[float, Found]) -> None:
    assert found[2].pairs < 17
    assert found[1.2].pairs > 60
    assert 16 < found[1.35].pairs < 64
    for row in found.values():
        shares = list(row.decided.values())
        assert shares == sorted(shares)
        assert sum(row.verdicts.values()) == pytest.approx(1)


def test_an_estimate_at_an_early_stop_exaggerates(found: dict[float, Found]) -> None:
    assert found[1.35].estimate is not None
    assert found[1.35].estimate > 1.02


def test_more_looks_decide_more_and_one_look_is_a_study_without(found: dict[float, Found]) -> None:
    [one] = simulate(["normal"], [1.35], [16], 300, seed=2)
    assert one.pairs == 16
    assert one.decided[16] < found[1.35].decided[64]


def test_the_command_prints_and_writes_every_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.json"
    options = ["--studies", "2", "--ratios", "1,2", "--looks", "4,8", "--arms", "1", "--json", str(file)]
    assert main(["validate", "looks", *options]) == 0
    assert "looks at 4, 8 pairs" in " ".join(capsys.readouterr().out.split())
    rows = json.loads(file.read_text())["found"]
    assert [(row["model"], row["ratio"]) for row in rows] == [(name, ratio) for name in MODELS for ratio in (1, 2)]


@pytest.mark.parametrize("looks", ["32,16", "16,16", "3,6"])
def test_looks_that_are_no_plan_are_refused(looks: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "looks", "--looks", looks]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"--looks {looks}: must rise, from 4 pairs or more" in line
