"""The published connectomes, as published."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from biotune.connectome import CATALOGUE, load_connectome


def test_size_edges_and_names_are_the_catalogues(published):
    entry = CATALOGUE[published.name]
    assert (published.size, published.edges) == (entry.size, entry.edges)
    assert published.labels is not None
    assert len(set(published.labels)) == published.size
    assert np.all(published.source != published.target) or entry.nodes == "cells"  # a worm's cell may have autapses


@pytest.mark.parametrize("published", ["macaque", "marmoset", "mouse_gamanut"], indirect=True)
def test_what_flows_into_a_region_sums_to_at_most_one_where_weights_are_fractions(published):
    """FLN is normalised per target, so this is the evidence that edges run source -> target."""
    inputs = np.bincount(published.target, published.weight)
    outputs = np.bincount(published.source, published.weight)
    assert inputs.max() <= 1 < outputs.max()
    stated = re.findall(r"\d\.\d+", CATALOGUE[published.name].evidence)
    assert stated == [f"{inputs.max():.3f}", f"{outputs.max():.3f}"]


def worm_synapses(kind: str) -> dict[tuple[str, str], float]:
    """(source, target) -> number of synapses, read by hand."""
    file = Path(os.environ["BIOTUNE_DATA"]) / CATALOGUE["celegans"].file.path
    rows = [[field.strip() for field in line.split(",")] for line in file.read_text().splitlines()[1:]]
    return {(source, target): float(weight) for source, target, weight, type in rows if type == kind}


@pytest.mark.parametrize("published", ["celegans", "celegans_chemical", "celegans_electrical"], indirect=True)
def test_the_worms_synapses_are_those_of_their_kind_and_both_are_summed(published):
    chemical, electrical = worm_synapses("chemical"), worm_synapses("electrical")
    expected = {
        "celegans": {
            pair: chemical.get(pair, 0) + electrical.get(pair, 0) for pair in chemical.keys() | electrical.keys()
        },
        "celegans_chemical": chemical,
        "celegans_electrical": electrical,
    }[published.name]
    ends = zip(published.source.tolist(), published.target.tolist(), published.weight.tolist(), strict=True)
    assert {(published.labels[a], published.labels[b]): weight for a, b, weight in ends} == expected


@pytest.mark.parametrize("published", ["celegans_electrical"], indirect=True)
def test_gap_junctions_are_as_symmetric_as_stated(published):
    matrix = published.matrix()
    between = published.source != published.target
    equal = (matrix == matrix.T)[published.target, published.source] & between
    assert f"{equal.sum()} of {between.sum()}" in CATALOGUE[published.name].evidence


@pytest.mark.parametrize("published", ["celegans_chemical"], indirect=True)
def test_muscles_have_inputs_and_no_outputs(published):
    silent = np.setdiff1d(np.arange(published.size), published.source)
    assert f"{len(silent)} muscles" in CATALOGUE[published.name].evidence
    assert all(published.labels[cell][0].islower() for cell in silent)


@pytest.mark.parametrize("published", ["mushroom_body_left", "mushroom_body_right"], indirect=True)
def test_projection_neurons_bring_the_input(published):
    projecting = [cell for cell, label in enumerate(published.labels) if label[0] == "P"]
    assert len(projecting) in (58, 63)
    assert not np.isin(published.target, projecting).any()
    assert set(projecting) <= set(published.source.tolist())


def test_neurons_alone_are_kept_by_their_names():
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the published connectomes are needed: set BIOTUNE_DATA to a folder that has them")
    made = load_connectome("celegans", keep="[A-Z].*")
    assert (made.size, made.edges) == (300, 5084)


@pytest.mark.parametrize("published", ["human"], indirect=True)
def test_tractography_is_symmetric(published):
    assert np.array_equal(published.matrix(), published.matrix().T)


def test_provenance_names_the_file_the_paper_and_the_licence(published):
    provenance = published.provenance
    assert provenance.sha256 == CATALOGUE[published.name].file.sha256
    assert provenance.substitutes is None
    assert "https://doi.org/10." in provenance.citation
    assert "MIT" in provenance.licence
    assert ("stored [" in provenance.orientation) or ("Source and Target" in provenance.orientation)


@pytest.mark.parametrize("published", ["macaque"], indirect=True)
def test_v1_projects_to_v2(published):
    assert published.labels is not None
    v1, v2 = published.labels.index("V1"), published.labels.index("V2")
    assert published.matrix()[v2, v1] == pytest.approx(0.763, abs=1e-3)


def test_same_connectome_every_time(published):
    assert np.array_equal(load_connectome(published.name).matrix(), published.matrix())
