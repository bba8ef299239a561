"""What the report says of an arm and of its methods, in words, and how its own speed is measured."""

import pytest

from benchmarks.report import repeat
from biotune.report import read_report
from biotune.report.text.methods import describe_arm, kernels_seen
from biotune.results import Results


def test_an_arm_is_its_null_and_what_it_sets() -> None:
    null = {"name": "degree_preserving", "level": "region", "weights": "shuffled", "fraction": 1.0}
    assert describe_arm({"null": null}) == (
        "degree preserving null of the regions, which keeps each node's number of inputs, number of "
        "outputs and output weights, its weights then shuffled"
    )
    carried = describe_arm({"null": {**null, "weights": "carried"}})
    assert "shuffled" not in carried
    assert describe_arm({}) == "as it is"
    neurons = {"neurons_per_region": {"density": "rank", "mean": 4.0, "unmeasured": None}, "draw": 1}
    assert describe_arm({"topology": neurons}) == "neurons per region (density rank, mean 4, unmeasured none); draw 1"


def test_the_methods_name_what_stands_beside_the_verdict(simulate):
    doses = {"marmoset": 1.0, "half": 0.9, "all": 0.8}
    text = read_report(simulate(pairs=19, ratios=doses, fractions={"half": 0.5}, trials=2)).methods[-1]
    for part in ("bootstrap-t", "permutation p", "slope of log updates", "Spearman"):
        assert part in text
    text = read_report(simulate(pairs=16, ratios={"marmoset": 1.0, "all": 0.8}, trials=2)).methods[-1]
    assert "permutation p" not in text
    assert "slope of log updates" not in text


def test_the_page_says_how_far_the_kernels_are_from_their_definition(reported, read_page):
    directory, _ = reported
    assert (
        "Compared with their definition in float64, hidden states and gradients deviated in relative norm by at most "
        "4e-07 (2e-05 allowed) with backend triton on a GPU."
    ) in read_page(directory).text
    assert kernels_seen({"kernels": []}) == ""


def test_the_benchmark_repeats_a_study(simulate, tmp_path):
    results, into = Results(simulate(trials=2, pairs=4)), Results(tmp_path / "repeated")
    # of the search; three times 2 arms in their pairs, the reference in both, and 3 arms at their own best, of 4 each
    assert repeat(results, into, 100) == 2 * 3 * 4 + 3 * 28
    assert len(into.read_table("convergence")) == 3 * 28
    summary = read_report(into.path)
    assert summary.pairs == 12
    assert summary.finished


def test_the_share_of_targets_that_came_out_is_said(simulate):
    methods = " ".join(read_report(simulate()).methods)
    assert "means that a neuron reached, of the neurons of a target region, 3 of 4, a share of 0.75." in methods
    exact = read_report(simulate(edit=lambda study: study["topology"].update(target_sparsity=0.75)))
    assert "means that a neuron reached" not in " ".join(exact.methods)


def test_a_readout_that_does_not_see_all_neurons_is_said(simulate):
    def methods(**changes):
        def edit(study):
            study["network"] |= changes.get("network", {})
            study["arms"]["degrees"] |= changes.get("arm", {})

        return " ".join(read_report(simulate(ratios={"marmoset": 1.0, "degrees": 0.5}, edit=edit)).methods)

    assert "readout saw" not in methods()
    assert "readout saw" not in methods(network={"readout": 1.0})
    partial = methods(network={"readout": 0.4})
    assert "The readout saw 40\N{NO-BREAK SPACE}% of the neurons, drawn at random in each replicate;" in partial
    assert "readout 0.4" not in partial
    own = methods(network={"readout": 1.0}, arm={"network": {"readout": 0.4}})
    assert "saw all of the neurons, unless the arm sets another share" in own


@pytest.mark.parametrize(
    ("topology", "arm", "tune", "said"),
    [
        ({}, {}, {}, "The spectral radius of the initial recurrent matrix was scaled to 0.9."),
        ({}, {"spectral_radius": 2.0}, {}, "recurrent matrix was scaled to 0.9, unless the arm sets another."),
        ({}, {"frobenius_norm": 3.0}, {}, "recurrent matrix was scaled to 0.9, unless the arm sets its own scale."),
        (
            {"spectral_radius": None, "frobenius_norm": 5.9},
            {},
            {},
            "The initial recurrent matrix was scaled to a Frobenius norm of 5.9.",
        ),
        ({"spectral_radius": None}, {}, {}, "The spectral radius of the initial recurrent matrix was not set."),
        ({"frobenius_norm": None}, {}, {"frobenius_norm": {"uniform": [3, 9]}}, "frobenius_norm (uniform, 3 to 9)"),
    ],
)
def test_what_the_initial_matrix_was_scaled_to_is_said(simulate, topology, arm, tune, said):
    def edit(study):
        study["topology"] |= topology
        study["arms"]["degrees"]["topology"] = arm
        study["tune"] |= tune

    methods = " ".join(read_report(simulate(ratios={"marmoset": 1.0, "degrees": 0.5}, edit=edit, trials=2)).methods)
    assert said in methods
    assert ("initial recurrent matrix was" in methods) == (not tune)
    assert "frobenius_norm none" not in methods
