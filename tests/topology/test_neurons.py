"""Neurons per region by the density of its neurons."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import Connectome, Provenance, load_connectome, with_neuron_density
from biotune.errors import UserError
from biotune.topology import expand, neuron_counts

PROVENANCE = Provenance(kind="file", species="mouse", citation="", licence="", orientation="")


def ring(*density: float) -> Connectome:
    size = len(density)
    source = np.arange(size)
    target = (source + 1) % size
    return Connectome("ring", size, source, target, np.ones(size), PROVENANCE, neuron_density=np.array(density))


def test_ratio_and_rank():
    regions = ring(10.0, 40.0, 20.0, 10.0)
    assert neuron_counts(regions, {"density": "ratio", "mean": 4}).tolist() == [2, 8, 4, 2]
    assert neuron_counts(regions, {"density": "rank", "mean": 5}).tolist() == [3, 8, 6, 3]


@given(
    density=st.lists(st.floats(1e3, 1e6), min_size=2, max_size=30),
    mean=st.floats(1, 50),
    scale=st.sampled_from(["rank", "ratio"]),
)
def test_denser_regions_have_no_fewer_neurons_and_the_mean_is_kept(density, mean, scale):
    counts = neuron_counts(ring(*density), {"density": scale, "mean": mean})
    assert counts.min() >= 1
    assert np.all(np.diff(counts[np.argsort(density)]) >= 0)
    assert counts.mean() >= mean - 0.5  # but for the rounding, and for what had less than one neuron
    assert counts.mean() <= mean + 1


def test_a_region_that_was_not_measured_needs_a_number():
    regions = ring(10.0, np.nan, 30.0)
    with pytest.raises(UserError, match=r"density of 1 of ring's 3 regions was not measured \(region 1 is the first\)"):
        neuron_counts(regions, {"density": "ratio"})
    assert neuron_counts(regions, {"density": "ratio", "unmeasured": 5}).tolist() == [2, 5, 6]


def test_densities_that_are_not_known_and_options_that_will_not_do():
    with pytest.raises(UserError, match="no neuron densities are known for distance_rule:human; known for macaque, m"):
        with_neuron_density(load_connectome("distance_rule:human"))
    with pytest.raises(UserError, match="ring comes without neuron densities"):
        neuron_counts(replace(ring(1.0, 2.0), neuron_density=None), {"density": "rank"})
    with pytest.raises(UserError, match=r"unknown neurons_per_region\.density 'ranks'; did you mean 'rank'"):
        neuron_counts(ring(1.0, 2.0), {"density": "ranks"})
    with pytest.raises(UserError, match=r"mean: 0 is not above 0"):
        neuron_counts(ring(1.0, 2.0), {"density": "rank", "mean": 0})


@pytest.mark.skipif(not os.environ.get("BIOTUNE_DATA"), reason="the published densities are needed: set BIOTUNE_DATA")
@pytest.mark.parametrize(("name", "options"), [("marmoset", {}), ("macaque", {"unmeasured": 4})])
def test_the_published_densities(name, options):
    cortex = with_neuron_density(load_connectome(name))
    topology = expand(
        cortex, neurons_per_region={"density": "ratio", "mean": 4, **options}, generator=np.random.default_rng(1)
    )
    counts = np.bincount(topology.region)
    measured = np.isfinite(cortex.neuron_density)
    assert counts[measured].mean() == pytest.approx(4, abs=0.2)
    assert np.all(counts[~measured] == 4)
    assert np.argmax(counts) == np.nanargmax(cortex.neuron_density)
