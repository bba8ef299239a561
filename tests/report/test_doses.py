"""Arms in which a null may move different shares of the edges."""

import re

import pandas as pd
import pytest

from biotune.report import make_report, read_report
from biotune.results import Results

RATIOS = {"marmoset": 1.0, "a tenth": 0.98, "half": 0.8, "all": 0.6}
FRACTIONS = {"a tenth": 0.1, "half": 0.5, "all": 1.0}


@pytest.mark.slow
def test_the_dose_comes_first(simulate, read_page, printed, drawn):
    directory = simulate(ratios=RATIOS, fractions=FRACTIONS)
    summary = make_report(directory)
    [trend] = summary.trends
    assert trend.fractions == {"marmoset": 0, **FRACTIONS}
    changed = Results(directory).read_table("topologies").groupby("arm")["entries_changed"].mean()
    assert trend.doses == pytest.approx(dict(changed))  # what was changed, not what was asked for
    assert trend.doses["half"] == pytest.approx(0.6)
    assert trend.slope.factor == pytest.approx(0.6, rel=0.1)
    assert trend.slope.high < 0.7
    text = read_page(directory).text
    answer = text.index(" What came out ")  # past the list of contents
    assert text.index("makes learning faster", answer) < text.index(" Verdicts ", answer)
    assert "makes learning faster" in re.sub(r"\s+", " ", printed(summary))
    ids = read_page(directory).attributes("id")
    assert ids.index("figure-dose") < ids.index("figure-associations")
    assert "The trend comes from doses that were set. What follows is association" in text
    assert "0 %, 14 %, 60 % and 100 % of them" in text
    texts = drawn(directory / "report" / "figures" / "dose.svg")
    assert "share of the matrix's entries that the null changed" in texts
    table = pd.read_csv(directory / "report/tables/trends.csv")
    assert table["fractions"].tolist() == ["0, 0.1, 0.5, 1"]
    assert table["entries_changed"].tolist() == ["0, 0.136, 0.6, 1"]


@pytest.mark.slow
def test_a_trend_that_cannot_be_told(simulate, read_page):
    directory = simulate(ratios=dict.fromkeys(RATIOS, 1.0), fractions=FRACTIONS)
    make_report(directory)
    assert "does not show whether learning gets faster or slower" in read_page(directory).text


@pytest.mark.slow
def test_no_trend_where_an_arm_does_not_converge(simulate, read_page):
    directory = simulate(ratios=RATIOS, fractions=FRACTIONS, never={"all": 8})
    [trend] = make_report(directory).trends
    assert trend.slope is None
    assert "fewer than 80 % of the replicates of all met the criterion" in read_page(directory).text


@pytest.mark.slow
def test_no_trend_over_doses_that_the_results_do_not_have(simulate, read_page):
    directory = simulate(ratios=RATIOS, fractions=FRACTIONS)
    results = Results(directory)
    topologies = results.read_table("topologies")
    results.write_table("topologies", topologies.drop(columns="entries_changed"))
    [trend] = make_report(directory).trends
    assert (trend.doses, trend.slope) == ({}, None)
    text = read_page(directory).text
    assert "over fractions of 0 %, 10 %, 50 % and 100 %" in text
    assert "the results don't have the share of entries changed" in text
    results.write_table("topologies", topologies.assign(entries_changed=0.5))
    assert read_report(directory).trends[0].reason == "the null changed as much in all arms"


@pytest.mark.slow
def test_both_shares_stand_beside_each_null(simulate, read_page):
    directory = simulate(fractions={"degrees": 0.5})
    make_report(directory)
    text = read_page(directory).text
    assert "degrees 12 % of edges rewired, 60 % of entries changed" in text
    assert "random 25 % of edges rewired, 100 % of entries changed" in text
    assert "marmoset 0 %" not in text
    measures = pd.read_csv(directory / "report/tables/measures.csv").set_index(["measure", "arm"])["mean"]
    assert (measures["rewired", "degrees"], measures["entries_changed", "degrees"]) == (0.125, pytest.approx(0.6))


def test_two_doses_are_no_trend(simulate):
    assert not read_report(simulate(ratios={"marmoset": 1.0, "half": 0.8}, fractions={"half": 0.5})).trends
