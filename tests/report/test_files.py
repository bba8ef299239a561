"""The files of a report: page, figures, tables, summary.json."""

import json
import re

import pandas as pd
import pytest

from biotune.report import make_report


def test_page_has_nothing_from_elsewhere(reported, read_page):
    directory, _ = reported
    elements = read_page(directory)
    assert not [tag for tag, _ in elements.tags if tag in ("script", "img", "iframe", "object", "base")]
    # an SVG's namespaces are names, not addresses that anything is fetched from
    assert all(url.startswith(("#", "data:")) for url in elements.attributes("src") + elements.attributes("xlink:href"))
    links = elements.attributes("href")
    assert all(link.startswith(("#", "data:", "figures/", "https://doi.org/", "https://arxiv.org/")) for link in links)
    assert not re.search(r"@import|url\((?!#)", (directory / "report/index.html").read_text())


def test_every_figure_is_there_in_both_formats_and_in_words(reported, read_page):
    directory, summary = reported
    names = {file.name for file in (directory / "report/figures").iterdir()}
    elements = read_page(directory)
    shown = [i.removeprefix("figure-") for i in elements.attributes("id") if i.startswith("figure-")]
    shown = [name for name in shown if f"{name}.svg" in names]
    assert shown[0] == "ratios"
    assert names == {f"{name}.{kind}" for name in shown for kind in ("svg", "png")}
    images = [attributes for tag, attributes in elements.tags if tag == "svg"]
    assert len(images) == len(shown)
    for attributes in images:
        assert attributes["role"] == "img"
        assert any(arm in attributes["aria-label"] for arm in summary.arms)


def test_ids_are_unique(reported, read_page):
    directory, _ = reported
    ids = read_page(directory).attributes("id")
    assert len(ids) == len(set(ids))


def test_tables_and_summary_hold_the_numbers_of_the_page(reported, read_page):
    directory, summary = reported
    table = pd.read_csv(directory / "report/tables/verdicts.csv")
    content = json.loads((directory / "summary.json").read_text())
    pair = table[table["phase"] == "pair"].set_index("arm")
    text = read_page(directory).text
    for held, c in zip(content["comparisons"], summary.comparisons, strict=True):
        assert pair.loc[c.arm, "ratio"] == pytest.approx(held["ratio"]["estimate"])
        assert pair.loc[c.arm, "verdict"] == held["verdict"]["name"] == c.verdict.name
        assert c.verdict.reason in text
    assert len(pd.read_csv(directory / "report/tables/criterion_levels.csv")) == 5 * 5
    # five arms in their pairs, the reference in each of these, and all at their own best
    assert len(pd.read_csv(directory / "report/tables/replicates.csv")) == (5 + 5 + 6) * 16
    claims = pd.read_csv(directory / "report/tables/claims.csv").set_index("arm")["claim"]
    assert claims.to_dict() == {arm: claim["name"] for arm, claim in content["claims"].items()}
    assert len(pd.read_csv(directory / "report/tables/settings.csv")) == 6 * 8
    associations = pd.read_csv(directory / "report/tables/associations.csv")
    for held, row in zip(content["associations"], associations.to_dict("records"), strict=True):
        assert (row["measure"], row["rho_across"]) == (held["measure"], pytest.approx(held["across"]))
    for name in ("arms", "search", "expected_best", "measures", "importances", "topologies", "trials"):
        assert len(pd.read_csv(directory / f"report/tables/{name}.csv"))


def test_limits_methods_and_citations_are_on_the_page(reported, read_page):
    directory, summary = reported
    text = read_page(directory).text
    for part in [limit.text for limit in summary.limits] + summary.methods:
        assert re.sub(r"\s+", " ", part) in text
    links = read_page(directory).attributes("href")
    assert "https://doi.org/10.1002/cne.24023" in links
    assert "https://doi.org/10.1016/j.neunet.2021.07.011" in links


def test_a_substituted_connectome_is_said_everywhere(reported, read_page, printed):
    directory, summary = reported
    assert summary.limits[0].kind == "banner"
    for place in (read_page(directory).text, printed(summary), summary.methods[0], summary.answer[0]):
        assert "distance_rule_marmoset" in place
        assert "in place of" in place


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(simulate):
    directory = simulate(trials=3)

    def content():
        make_report(directory)
        return {file: file.read_bytes() for file in (directory / "report").rglob("*") if file.is_file()}

    assert content() == content()
