"""Measures of the networks that go with their speed."""

import numpy as np
import pandas as pd
import pytest

from biotune.report import make_report
from biotune.results import PROPAGATION, Results


@pytest.mark.slow
def test_measures_are_marked_as_association(simulate, read_page):
    directory = simulate()
    results = Results(directory)
    topologies, confirmed = results.read_table("topologies"), results.read_table("convergence")
    both = topologies.merge(confirmed[confirmed["phase"] == "own_best"], on=["arm", "replicate"])
    results.write_table("topologies", topologies.assign(follows=-both["updates"].to_numpy()))
    summary = make_report(directory)
    measures = ["entries_changed", "follows", "reciprocity", "rewired"]
    assert sorted(a.measure for a in summary.associations) == measures
    assert {(a.networks, a.arms) for a in summary.associations} == {(48, 3)}
    assert summary.associations[0].measure == "follows"
    assert summary.associations[0].within.value == pytest.approx(-1)
    assert summary.associations[0].across == pytest.approx(-1)
    assert [a.within is None for a in summary.associations] == [False, False, True, True]  # set by the arm alone
    text = read_page(directory).text
    caption = text[text.index("Measures associated with speed") :]
    assert caption.index("Dots: within arms") < caption.index("Open squares: over the networks of all arms")
    assert "without an interval" in caption
    table = pd.read_csv(directory / "report/tables/associations.csv")
    assert list(table)[3:] == ["rho_within", "rho_within_low", "rho_within_high", "rho_across"]
    reciprocity = summary.associations[1]
    low, high = reciprocity.within.low, reciprocity.within.high
    shown = f"48 3 arms {reciprocity.within.value:.2f} [{low:.2f}, {high:.2f}] {reciprocity.across:.2f}"
    assert shown in text
    assert "what follows is association" in text
    assert {"figure-associations", "figure-measures"} <= set(read_page(directory).attributes("id"))


@pytest.mark.slow
def test_how_networks_start_stands_apart_from_their_topology(simulate, read_page):
    directory = simulate()
    results = Results(directory)
    make_report(directory)
    assert "how the networks start" not in read_page(directory).text
    topologies = results.read_table("topologies")
    start = {name: np.linspace(0.25, 0.5, len(topologies)) for name in PROPAGATION}
    results.write_table("topologies", topologies.assign(**start, after=1.0))
    summary = make_report(directory)
    assert set(PROPAGATION) <= {a.measure for a in summary.associations}
    text = read_page(directory).text
    of_topology, of_start = text[text.index("measures of each arm") :].split("how the networks start")
    for name in ("reciprocity", "after"):
        assert f" {name} " in of_topology
    for name in PROPAGATION:
        assert name.replace("_", " ") in of_start
        assert name.replace("_", " ") not in of_topology
