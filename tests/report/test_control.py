"""A positive control in the report: said whether it was found, and kept out of the question's own comparisons."""

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from biotune.report import make_report, print_report, read_report

Simulate = Callable[..., Path]
RATIOS = {"marmoset": 1.0, "degrees": 0.5, "random": 1.0}


def controlled(simulate: Simulate, ratio: float, **options: Any) -> Path:
    return simulate(ratios=RATIOS | {"positive_control": ratio}, control="quarter_radius", **options)


def test_a_control_that_is_slower_is_found(simulate: Simulate) -> None:
    summary = read_report(controlled(simulate, 2.0))
    control = summary.control
    assert control is not None
    assert control.found
    assert control.comparison.verdict is not None
    assert control.comparison.verdict.name == "slower"
    assert "a quarter of its spectral radius, is found (slower, " in summary.control_sentence


def test_it_is_no_comparison_of_the_question(simulate: Simulate) -> None:
    directory = controlled(simulate, 2.0)
    summary = read_report(directory)
    assert [c.arm for c in summary.comparisons] == ["degrees", "random"]
    assert summary.confidence == pytest.approx(0.975)  # Bonferroni over two, not three
    assert summary.control is not None
    assert summary.control.comparison.ratio is not None
    assert summary.control.comparison.ratio.confidence == pytest.approx(0.95)
    assert "positive" not in " ".join(summary.answer)
    assert all("positive_control" not in names for names in (summary.arms, *summary.measures.values()))
    assert {c.arm for level in summary.levels for c in level.comparisons} == {"degrees", "random"}
    assert any("no part in the settings of the arms" in paragraph for paragraph in summary.methods)


def test_a_control_that_fails_where_the_reference_does_not_is_found(simulate: Simulate) -> None:
    summary = read_report(controlled(simulate, 1.0, never={"positive_control": 16}))
    assert summary.control is not None
    assert summary.control.found
    met = "0 of 16 of its replicates met the criterion, 16 of 16 of the reference's"
    assert "is found (slower, ≥ " in summary.control_sentence
    assert f"; {met})" in summary.control_sentence


@pytest.mark.parametrize(
    ("ratio", "never"),
    [(1.0, {}), (1.0, {"marmoset": 16, "positive_control": 16}), (1.0, {"positive_control": 2})],
    ids=["as fast", "neither learns", "fails seldom"],
)
def test_a_control_that_is_not_found_heads_the_report(simulate: Simulate, ratio: float, never: dict[str, int]) -> None:
    summary = read_report(controlled(simulate, ratio, never=never))
    assert summary.control is not None
    assert summary.control.found is False
    assert summary.control_sentence in [limit.text for limit in summary.limits if limit.kind == "banner"]


def test_one_that_is_still_to_be_confirmed_is_said_to_be(simulate: Simulate) -> None:
    summary = read_report(controlled(simulate, 2.0, phase="confirm", confirmed={"positive_control": 3}))
    assert summary.control is not None
    assert summary.control.found is None
    assert "still to be confirmed" in summary.control_sentence


def test_the_control_alone_makes_no_figure_of_the_question(simulate: Simulate) -> None:
    none_else = dict.fromkeys(RATIOS, 0)
    assert read_report(controlled(simulate, 2.0, phase="confirm", confirmed=none_else)).control is None


@pytest.mark.slow
def test_page_terminal_and_tables_have_it(simulate: Simulate) -> None:
    directory = controlled(simulate, 2.0)
    summary = make_report(directory)
    assert summary.control is not None
    page = html.unescape((directory / "report" / "index.html").read_text())
    assert summary.control_sentence in page
    console = Console(width=400, record=True)
    print_report(summary, console)
    assert summary.control_sentence in console.export_text()
    verdicts = pd.read_csv(directory / "report" / "tables" / "verdicts.csv")
    [row] = verdicts[verdicts["arm"] == "positive_control"].to_dict("records")
    assert (row["phase"], row["verdict"]) == ("positive_control", "slower")
    assert json.loads((directory / "summary.json").read_text())["control"]["found"] is True


def test_a_study_without_one_has_none(simulate: Simulate) -> None:
    assert read_report(simulate()).control is None
