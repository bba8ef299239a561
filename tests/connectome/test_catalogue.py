"""The published connectomes, as published."""

import re

import numpy as np
import pytest

from biotune.connectome import CATALOGUE, load_connectome


def test_size_edges_and_names_are_the_catalogues(published):
    entry = CATALOGUE[published.name]
    assert (published.size, published.edges) == (entry.regions, entry.edges)
    assert published.labels is not None
    assert len(set(published.labels)) == published.size
    assert np.all(published.source != published.target)


@pytest.mark.parametrize("published", ["macaque", "marmoset", "mouse_gamanut"], indirect=True)
def test_what_flows_into_a_region_sums_to_at_most_one_where_weights_are_fractions(published):
    """FLN is normalised per target, so this is the evidence that edges run source -> target."""
    inputs = np.bincount(published.target, published.weight)
    outputs = np.bincount(published.source, published.weight)
    assert inputs.max() <= 1 < outputs.max()
    stated = re.findall(r"\d\.\d+", CATALOGUE[published.name].evidence)
    assert stated == [f"{inputs.max():.3f}", f"{outputs.max():.3f}"]


@pytest.mark.parametrize("published", ["human"], indirect=True)
def test_tractography_is_symmetric(published):
    assert np.array_equal(published.matrix(), published.matrix().T)


def test_provenance_names_the_file_the_paper_and_the_licence(published):
    provenance = published.provenance
    assert provenance.sha256 == CATALOGUE[published.name].file.sha256
    assert provenance.substitutes is None
    assert "https://doi.org/10." in provenance.citation
    assert "MIT" in provenance.licence
    assert provenance.orientation.startswith("stored [")


@pytest.mark.parametrize("published", ["macaque"], indirect=True)
def test_v1_projects_to_v2(published):
    assert published.labels is not None
    v1, v2 = published.labels.index("V1"), published.labels.index("V2")
    assert published.matrix()[v1, v2] == pytest.approx(0.763, abs=1e-3)


def test_same_connectome_every_time(published):
    assert np.array_equal(load_connectome(published.name).matrix(), published.matrix())
