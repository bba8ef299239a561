"""Text from files, programs and studies is text on the page, in the tables and in the terminal, and nothing else."""

import pandas as pd
import pytest

from biotune.report import make_report
from biotune.results import Results


@pytest.mark.slow
def test_what_programs_and_files_said_is_text_and_nothing_else(simulate, read_page):
    directory = simulate(trials=3, substituted=True)
    results = Results(directory)
    trials = results.read_table("trials")
    trials.loc[0, ["status", "error"]] = ["failed", "Traceback\nValueError: <img src=x onerror=alert(1)>"]
    results.write_table("trials", trials)
    results.write_table("topologies", results.read_table("topologies").rename(columns={"density": "<b>density"}))
    state = results.read_json("state")
    for used in state["connectomes"].values():
        used |= {"reason": "<i>gone</i>", "notes": ["<u>3</u> rows"], "citation": '<a href="javascript:1">x</a>'}
    results.write_json("state", state)
    nasty = {"command": "</code><script>alert(1)</script>"}
    results.write_environment(results.read_environment().model_copy(update=nasty))
    make_report(directory)
    elements = read_page(directory)
    assert not {"script", "b", "i", "u", "img"} & {tag for tag, _ in elements.tags}
    assert not [link for link in elements.attributes("href") if "javascript" in link]
    for text in ("ValueError: <img src=x onerror=alert(1)>", "<i>gone</i>", "<u>3</u> rows"):
        assert text in elements.text


@pytest.mark.slow
def test_no_text_in_a_table_is_a_formula(simulate):
    formulas = ['=cmd|"/c calc"!A1', "+1+1", "-2+3", "@SUM(A1)"]
    directory = simulate(trials=4)
    results = Results(directory)
    results.write_table("trials", results.read_table("trials").assign(error=formulas * 3))
    make_report(directory)
    table = pd.read_csv(directory / "report/tables/trials.csv")
    assert table["error"].tolist() == [f"'{text}" for text in formulas * 3]
    assert (pd.read_csv(directory / "report/tables/arms.csv")["converged_low"] >= 0).all()  # numbers stay numbers


@pytest.mark.slow
def test_names_from_the_results_are_text_and_nothing_else(simulate, read_page, printed):
    nasty = '<script>alert(1)</script>"&$x_1$'
    directory = simulate(ratios={nasty: 1.0, "a'><b>": 0.5}, trials=3, description="Is <i>this</i> it?")
    summary = make_report(directory)
    elements = read_page(directory)
    assert not {"script", "b", "i", "u"} & {tag for tag, _ in elements.tags}
    assert nasty in elements.text
    assert "Is <i>this</i> it?" in elements.text
    svg = (directory / "report/figures/ratios.svg").read_text()
    assert "<script" not in svg
    assert "[/red]" in printed(make_report(simulate(ratios={"[/red]": 1.0, "other": 1.0}, trials=2)))
    assert nasty in summary.answer[0]
