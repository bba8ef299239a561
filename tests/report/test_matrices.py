"""The figures of each arm's matrix, and of a connectome with the names of its regions."""

import html

import pytest

from biotune.report import make_report
from biotune.results import Results

HOSTILE = ["$\\frac{", "[bold red]", "<b onerror=x>", "a\nb", "--><b>", "x" * 200, "", "皮質", "%s{}", "&amp;"]
"""Names of ten regions."""


@pytest.mark.slow
def test_each_arms_matrix(simulate, read_page):
    directory = simulate()
    make_report(directory)
    assert "figure-matrices" in read_page(directory).attributes("id")
    (directory / "matrices.parquet").unlink()  # as long as nothing is confirmed
    make_report(directory)
    assert "figure-matrices" not in read_page(directory).attributes("id")


@pytest.mark.slow
@pytest.mark.parametrize("names", [[f"area {n}" for n in range(10)], HOSTILE], ids=["plain", "hostile"])
@pytest.mark.filterwarnings("error")
def test_each_connectomes_matrix_with_the_names_of_its_regions(simulate, read_page, drawn, names):
    directory = simulate()
    results = Results(directory)
    state = results.read_state()
    used = {arm: one.model_copy(update={"regions": names}) for arm, one in state.connectomes.items()}
    results.write_state(state.model_copy(update={"connectomes": used}))
    make_report(directory)
    page = read_page(directory)
    assert "figure-regions" in page.attributes("id")
    texts = drawn(directory / "report" / "figures" / "regions.svg")
    for name in filter(None, names):  # beside its row, and below its column
        name = name.replace("\n", " ").replace("--", "- -")[:12]  # a comment has no --
        assert sum(html.unescape(text).startswith(html.unescape(name)) for text in texts) == 2, (name, texts)
    assert sum(text.startswith("marmoset, 10 regions") for text in texts) == 1
    assert not any("degrees" in text for text in texts)  # rewired, of the same connectome
    assert not page.attributes("onerror")


@pytest.mark.slow
def test_names_of_regions_are_left_out_if_they_are_too_many_to_be_read_or_do_not_fit(simulate, read_page):
    directory = simulate()
    results = Results(directory)
    state = results.read_state()
    for names in ([f"r{n}" for n in range(61)], ["a", "b"], []):
        used = {arm: one.model_copy(update={"regions": names}) for arm, one in state.connectomes.items()}
        results.write_state(state.model_copy(update={"connectomes": used}))
        make_report(directory)
        assert "figure-regions" not in read_page(directory).attributes("id")


@pytest.mark.slow
def test_a_matrix_without_any_weight_is_drawn_blank(simulate, read_page):
    directory = simulate()
    results = Results(directory)
    results.write_table("matrices", results.read_table("matrices").assign(weight=0.0))
    make_report(directory)
    assert "figure-matrices" in read_page(directory).attributes("id")
