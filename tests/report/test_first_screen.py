"""What the page opens with: the answer to five questions, the list of contents, and what programs read of it."""

import json
from pathlib import Path

import yaml

from biotune.results.documents import Look

TITLES = ["What came out", "How sure", "Under which conditions", "What to do next"]
LOOKS = (16, 32, 64)


def parts(text):
    """The text below each title of the first screen, which ends where the verdicts begin."""
    start = text.index(f" {TITLES[0]} ")  # past the list of contents
    places = [text.index(f" {title} ", start) for title in TITLES]
    assert places == sorted(places)
    ends = [*places[1:], text.index(" Verdicts ", places[-1])]
    return {title: text[a + len(title) + 2 : b] for title, a, b in zip(TITLES, places, ends, strict=True)}


def test_five_answers_in_order(reported, read_page):
    directory, report = reported
    text = read_page(directory).text
    found = parts(text)
    assert text.index(report.question) < text.index(f" {TITLES[0]} ")
    rows = found["What came out"]
    for arm, claim in {"degrees": "depends on the setting", "lesioned": "slower", "random": "equivalent"}.items():
        assert f"{arm} {claim} " in rows
    assert "16 pairs" in found["How sure"]
    assert "1.72 or more" in found["How sure"]  # the least ratio that is shown, of the arm with the widest spread
    assert "One condition alone: seq_mem" in found["Under which conditions"]


def test_a_substitute_is_two_lines_and_the_reasons_are_folded_away(reported, read_page):
    directory, report = reported
    [limit] = [limit for limit in report.limits if limit.kind == "banner"]
    assert len(limit.text) < 120  # two lines of the page
    assert "no network" not in limit.text
    html = (directory / "report" / "index.html").read_text()
    banner = html[html.index('<div class="banner"') :]
    banner = banner[: banner.index("</div>")]
    shown, folded = banner.split("<details>")
    assert limit.text in shown
    assert limit.reasons in folded
    assert "no network" in limit.reasons
    step = parts(read_page(directory).text)["What to do next"]
    assert "biotune connectome fetch marmoset" in step


def test_links_within_the_page_lead_somewhere(reported, read_page):
    page = read_page(reported[0])
    links = [link for link in page.attributes("href") if link.startswith("#")]
    ids = page.attributes("id")
    assert {"#answer", "#verdicts", "#limits", "#figures", "#methods", "#provenance"} <= set(links)
    assert all(link[1:] in ids for link in links)


def test_several_studies_have_a_list_of_contents_too(of_several):
    html = of_several.page.read_text()
    for place in ("answer", "verdicts", "gain", "tasks", "studies", "citations"):
        assert f'href="#{place}"' in html
        assert html.count(f'id="{place}"') == 1


def test_open_arms_lead_to_the_next_look(simulate, make_page, read_page):
    first = Look(pairs=16, going=["random"], decided=["degrees"])
    ratios = {"marmoset": 1.0, "degrees": 0.5, "random": 1.08}
    directory = simulate(ratios=ratios, looks=LOOKS, taken=[first], spread=0.25)
    report = make_page(directory)
    [forecast] = report.looks.forecasts
    step = parts(read_page(directory).text)["What to do next"]
    assert f"random about {forecast.more}" in step
    assert "--to 32" in step
    assert "16 pairs more" in step
    assert f"random {round(100 * forecast.chances[32])}" in step
    assert "degrees" not in step  # decided


def test_a_first_look_is_to_be_run_in_full(simulate, make_page, read_page):
    directory = simulate(pairs=4, edit=lambda study: study.update(quick=True))
    make_page(directory)
    step = parts(read_page(directory).text)["What to do next"]
    assert "without --quick" in step.replace("  ", " ")
    assert "extend" not in step


def test_where_nothing_was_learnt_more_pairs_are_not_advised(simulate, make_page, read_page):
    directory = simulate(never={"marmoset": 16, "degrees": 16, "random": 16})
    make_page(directory)
    found = parts(read_page(directory).text)
    assert "not comparable" in found["What came out"]
    assert "0 of 48 confirmed networks met the criterion" in found["How sure"]
    assert "confirm.max_epochs" in found["What to do next"]
    assert "extend" not in found["What to do next"]


def test_what_is_decided_under_all_conditions_is_to_be_replicated(simulate, make_page, read_page):
    ratios = {"marmoset": 1.0, "degrees": 0.5}
    directory = simulate(ratios=ratios, conditions={"off": ({"network": {"remap": False}}, {"degrees": 0.5})})
    make_page(directory)
    found = parts(read_page(directory).text)
    assert "2 conditions: primary and off." in found["Under which conditions"]
    assert "degrees: faster under each of 2." in found["Under which conditions"]
    assert "--replicates 32 replicates it: 16 new pairs" in found["What to do next"].replace("  ", " ")


def test_one_arm_alone_is_to_be_compared(simulate, make_page, read_page):
    directory = simulate(ratios={"marmoset": 1.0})
    make_page(directory)
    assert "Add arms to compare marmoset with" in parts(read_page(directory).text)["What to do next"]


def test_an_unfinished_study_is_to_go_on(simulate, make_page, read_page):
    directory = simulate(phase="search", trials=3)
    make_page(directory)
    text = read_page(directory).text
    assert "no verdict" in text[text.index(TITLES[0]) :]
    assert f"biotune run --resume {directory}" in text[text.index(TITLES[3]) :]


def test_programs_read_what_was_found_and_what_to_cite(reported, read_page):
    directory, report = reported
    found = json.loads(read_page(directory).metadata)
    assert (found["@context"], found["@type"]) == ("https://schema.org", "Dataset")
    assert report.question in found["name"]
    assert report.limits[0].text in found["description"]  # that it is no finding about marmoset
    software, *others = found["citation"]
    cff = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())
    assert software["name"] == cff["title"]
    assert software["codeRepository"] == cff["repository-code"]
    assert software["author"]["name"] == cff["authors"][0]["name"]
    assert software["license"].endswith(f"/{cff['license']}")
    assert others == report.citations
    values = {entry["name"]: entry for entry in found["variableMeasured"]}
    degrees = values["updates to criterion, degrees to marmoset"]
    assert degrees["minValue"] < degrees["value"] < degrees["maxValue"]
    assert "maxValue" not in values["updates to criterion, lesioned to marmoset"]  # a bound: at least so much slower
    assert (directory / "report" / found["distribution"]["contentUrl"]).resolve() == directory / "summary.json"


def test_metadata_holds_any_text(simulate, make_page, read_page):
    asked = 'Is "</script><b>&amp; harmless?'
    directory = simulate(description=asked, phase="search", trials=1)
    make_page(directory)
    page = read_page(directory)
    assert asked in json.loads(page.metadata)["name"]
    assert "b" not in {tag for tag, _ in page.tags}
