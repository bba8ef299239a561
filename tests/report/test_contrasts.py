"""Every arm compared with every other."""

import json
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from biotune.report import make_report
from biotune.results import Results


def test_is_a_table_of_ratios_that_hold_together(reported, read_page):
    directory, summary = reported
    text = read_page(directory).text
    assert "Do the arms differ from one another?" in text
    assert "the 15 pairs of arms hold together with 95 % (99.67 % each)" in text
    own = Results(directory).read_table("convergence").query("phase == 'own_best'")
    updates = own.pivot_table(index="replicate", columns="arm", values="updates")
    for arm, to in permutations(summary.arms, 2):
        found = summary.contrast(arm, to)
        assert found.ratio.estimate == pytest.approx(np.exp(np.log(updates[arm] / updates[to]).mean()))
        assert found.ratio.confidence == pytest.approx(1 - 0.05 / 15)
        assert found.comparable == ("frozen" not in (arm, to))
        assert found.differs == (found.comparable and not found.ratio.low <= 1 <= found.ratio.high)
        shown = f"{found.ratio.estimate:.2f} [{found.ratio.low:.2f}, {found.ratio.high:.2f}]"
        assert (shown in text) == found.comparable
    assert summary.contrast("lesioned", "random").differs
    assert not summary.contrast("random", "marmoset").differs


def test_its_estimates_are_those_of_the_verdicts_and_its_intervals_are_wider(reported):
    _, summary = reported
    for comparison in summary.own_best:
        found = summary.contrast(comparison.arm, summary.reference).ratio
        assert found.estimate == comparison.ratio.estimate
        assert found.low < comparison.ratio.low < comparison.ratio.high < found.high


def test_is_in_the_files(reported):
    directory, summary = reported
    held = json.loads((directory / "summary.json").read_text())["contrasts"]
    table = pd.read_csv(directory / "report/tables/contrasts.csv")
    assert len(held) == len(table) == 6 * 5
    for entry, row, found in zip(held, table.to_dict("records"), summary.contrasts, strict=True):
        assert (entry["arm"], entry["to"]) == (row["arm"], row["to"]) == (found.arm, found.to)
        assert entry["ratio"]["estimate"] == pytest.approx(row["ratio"]) == found.ratio.estimate
        assert entry["differs"] == row["differs"] == found.differs


@pytest.mark.slow
def test_marks_where_two_arms_differ_and_says_which_are_not_comparable(simulate, read_page):
    directory = simulate(ratios={"marmoset": 1.0, "degrees": 1.0, "random": 2.0}, never={"degrees": 4})
    make_report(directory)
    page = (directory / "report/index.html").read_text()
    section = page[page.index('<h2 id="contrasts">') :]
    section = section[: section.index("</section>")]
    assert section.count("<strong>") == 2  # random and marmoset, both ways round
    assert section.count("not comparable</small>") == 4


@pytest.mark.slow
def test_two_arms_have_none(simulate, read_page):
    directory = simulate(ratios={"marmoset": 1.0, "degrees": 0.5})
    summary = make_report(directory)
    assert summary.contrasts == []
    assert "differ from one another" not in read_page(directory).text
    assert "compared with every other" not in summary.methods[-1]


@pytest.mark.slow
def test_an_arm_that_is_still_to_be_confirmed_is_shown_as_such(simulate, read_page):
    directory = simulate(phase="confirm", confirmed={"random": 0})
    summary = make_report(directory)
    assert summary.contrast("random", "degrees").ratio is None
    assert summary.contrast("degrees", "marmoset").differs
    page = (directory / "report/index.html").read_text()
    assert page.count("<small>to come</small>") == 4 + 2  # as contrasts, and in both ways of comparing
