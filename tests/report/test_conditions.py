"""What a report says of a study with conditions: where the verdict holds, and where it doesn't."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from biotune.report import make_report, read_report
from biotune.results import Results
from checks.simulated_results import Simulation

RATIOS = {"marmoset": 1.0, "degrees": 0.5, "weights": 0.6, "random": 1.0}
CONDITIONS = {
    "magnitude": ({"network": {"remap": "magnitude"}}, {"degrees": 0.6, "weights": 0.6, "random": 1.0}),
    "off": ({"network": {"remap": False}}, {"degrees": 0.55, "random": 1.0}),
    "longer": ({"task": {"pattern_length": 8}}, {"degrees": 2.0, "weights": 1.0, "random": 2.0}),
    "sparse": ({"topology": {"target_sparsity": 0.3}, "network": {"readout": 0.4}}, {"degrees": 0.5, "random": 1.0}),
}
"""Ratios to marmoset; an arm without one has the same networks as marmoset there."""

GAIN = {
    (scale, rate): {"marmoset": speed, "degrees": 0.5 * speed, "weights": 0.6 * speed, "random": speed}
    for rate in (0.001, 0.004)
    for scale, speed in ((0.5, 1.5), (1.0, 1.0), (2.0, 0.7))
}


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """A study with conditions and a gain sweep, and its report: for the tests that only look."""
    simulation = Simulation(ratios=RATIOS, conditions=CONDITIONS, gain=GAIN, typical=80, trials=2)
    directory = simulation.write(tmp_path_factory.mktemp("varied") / "simulated-20260101T120000Z")
    return directory, make_report(directory)


def by_name(specifications):
    return {(spec.arm, spec.condition): spec for spec in specifications}


def words(summary):
    return {(axis.arm, axis.axis): axis.word for axis in summary.conditions.axes}


def log_ratios(directory, arm, condition):
    """By replicate, from the table of what was confirmed."""
    rows = (
        Results(directory)
        .read_table("convergence")
        .query("phase == 'pair' and condition == @condition and against in ('', @arm)")
    )
    updates = rows.pivot_table(index="replicate", columns="arm", values="updates")
    return np.log(updates[arm] / updates["marmoset"])


class TestSpecifications:
    def test_have_the_pairs_that_their_condition_asks_for_and_no_more(self, simulate):
        """A condition may come to the plan of the primary, of which looks and replications confirm further pairs."""
        results = Results(simulate(ratios=RATIOS, conditions=CONDITIONS, trials=0))
        state = results.read_json("state")
        state["conditions"]["magnitude"]["replicates"] = 8
        results.write_json("state", state)
        further = read_report(results.path).conditions
        table = results.read_table("convergence")
        results.write_table("convergence", table[(table["condition"] != "magnitude") | (table["replicate"] < 8)])
        assert read_report(results.path).conditions == further

    def test_are_every_arm_under_every_condition_the_primary_first(self, varied):
        _, summary = varied
        names = [(spec.arm, spec.condition) for spec in summary.conditions.specifications]
        assert names == [(arm, name) for arm in ("degrees", "weights", "random") for name in ("primary", *CONDITIONS)]

    def test_find_the_ratios_that_were_simulated(self, varied):
        directory, summary = varied
        for (arm, name), spec in by_name(summary.conditions.specifications).items():
            truth = RATIOS if name == "primary" else CONDITIONS[name][1]
            if arm not in truth:
                assert (spec.status, spec.comparison, spec.together, spec.to_primary) == (
                    "not applicable",
                    None,
                    None,
                    None,
                )
                continue
            assert spec.status == "compared"
            assert spec.comparison.ratio.estimate == pytest.approx(truth[arm], rel=0.1)
            assert spec.comparison.ratio.estimate == pytest.approx(np.exp(log_ratios(directory, arm, name).mean()))
            assert spec.met == {arm: (16, 16), "marmoset": (16, 16)}

    def test_of_the_primary_are_those_of_the_verdicts(self, varied):
        _, summary = varied
        found = by_name(summary.conditions.specifications)
        for comparison in summary.comparisons:
            spec = found[comparison.arm, "primary"]
            assert (spec.comparison.ratio, spec.comparison.verdict) == (comparison.ratio, comparison.verdict)
            assert (spec.axis, spec.changes, spec.to_primary) == ("", {}, None)

    def test_have_intervals_that_hold_together_around_their_estimates(self, varied):
        _, summary = varied
        for spec in summary.conditions.specifications:
            if spec.comparison:
                ratio = spec.comparison.ratio
                assert spec.together.estimate == pytest.approx(ratio.estimate)
                assert spec.together.low < ratio.low < ratio.high < spec.together.high

    def test_divide_a_conditions_ratio_by_the_primarys_pair_by_pair(self, varied):
        directory, summary = varied
        for (arm, name), spec in by_name(summary.conditions.specifications).items():
            if name == "primary" or spec.status != "compared":
                continue
            shift = log_ratios(directory, arm, name) - log_ratios(directory, arm, "primary")
            assert spec.to_primary.estimate == pytest.approx(np.exp(shift.mean()))
            half = stats.t.ppf((1 + summary.confidence) / 2, 15) * shift.std() / 4
            assert spec.to_primary.low == pytest.approx(np.exp(shift.mean() - half))
            assert spec.to_primary.high == pytest.approx(np.exp(shift.mean() + half))


class TestAxes:
    def test_say_whether_the_primarys_direction_holds(self, varied):
        _, summary = varied
        both = "network.readout, topology.target_sparsity"
        assert words(summary) == {
            ("degrees", "network.remap"): "holds",
            ("degrees", "task.pattern_length"): "reverses",
            ("degrees", both): "holds",
            ("weights", "network.remap"): "holds",  # of magnitude alone: without remapping it is the reference
            ("weights", "task.pattern_length"): "not shown",
            ("weights", both): "not applicable",
            ("random", "network.remap"): "not shown",
            ("random", "task.pattern_length"): "not shown",  # slower, but the primary shows no direction
            ("random", both): "not shown",
        }

    def test_over_all_of_them_conditions_are_counted_and_exceptions_named(self, varied):
        _, summary = varied
        over = {one.arm: one for one in summary.conditions.over}
        assert {arm: (one.conditions, one.everywhere, one.exceptions) for arm, one in over.items()} == {
            "degrees": (5, None, ["longer"]),
            "weights": (3, None, []),
            "random": (5, None, ["longer"]),
        }
        assert over["degrees"].at_least == {"faster": 4, "slower": 1}
        assert over["weights"].at_least == {"faster": 2, "slower": 0}
        assert over["random"].at_least == {"faster": 0, "slower": 1}

    def test_a_direction_that_all_conditions_show_is_everywhere(self, simulate, printed):
        conditions = {name: (changes, dict.fromkeys(ratios, 0.6)) for name, (changes, ratios) in CONDITIONS.items()}
        summary = read_report(simulate(ratios=RATIOS, conditions=conditions, trials=2))
        over = {one.arm: one for one in summary.conditions.over}
        assert {arm: one.everywhere for arm, one in over.items()} == {
            "degrees": "faster",
            "weights": "faster",
            "random": None,  # its primary shows no direction
        }
        assert over["degrees"].at_least["faster"] == 5
        assert "degrees learns faster than marmoset under each of 5 conditions." in printed(summary, width=200)
        assert "weights learns faster than marmoset under each of 3 conditions." in printed(summary, width=200)


class TestWhatIsMissing:
    @pytest.mark.slow
    def test_is_to_come_while_the_study_runs(self, simulate, read_page):
        directory = simulate(
            ratios=RATIOS, conditions=CONDITIONS, unfinished=["longer", "sparse"], phase="confirm", trials=2
        )
        summary = make_report(directory)
        found = by_name(summary.conditions.specifications)
        assert {found["degrees", name].status for name in ("longer", "sparse")} == {"to come"}
        assert found["degrees", "off"].status == "compared"
        assert found["weights", "sparse"].status == "not applicable"
        assert words(summary)["degrees", "task.pattern_length"] == "to come"
        assert words(summary)["degrees", "network.remap"] == "holds"
        assert [one.arm for one in summary.conditions.over] == []
        assert summary.conditions_sentences == []
        assert "to come" in read_page(directory).text

    def test_was_not_run_where_the_study_is_finished(self, simulate):
        summary = read_report(simulate(ratios=RATIOS, conditions=CONDITIONS, unfinished=["longer"], trials=2))
        spec = by_name(summary.conditions.specifications)["degrees", "longer"]
        assert (spec.status, spec.comparison) == ("not run", None)
        assert words(summary)["degrees", "task.pattern_length"] == "not shown"
        over = {one.arm: one for one in summary.conditions.over}["degrees"]
        assert (over.conditions, over.everywhere, over.at_least["faster"]) == (5, None, 4)

    @pytest.mark.slow
    def test_is_not_comparable_where_too_few_met_the_criterion(self, simulate, read_page):
        directory = simulate(ratios=RATIOS, conditions=CONDITIONS, never={"degrees": 6, "marmoset": 6}, trials=2)
        summary = make_report(directory)
        spec = by_name(summary.conditions.specifications)["degrees", "magnitude"]
        assert spec.comparison.verdict.name == "not comparable"
        assert spec.met == {"degrees": (10, 16), "marmoset": (10, 16)}
        assert words(summary)["degrees", "network.remap"] == "not shown"
        over = {one.arm: one for one in summary.conditions.over}["degrees"]
        assert over.at_least["faster"] == 0
        assert "not comparable" in read_page(directory).text


class TestGain:
    def test_is_a_point_for_each_arm_scale_and_rate(self, varied):
        _, summary = varied
        points = {(p.arm, p.scale, p.learning_rate): p for p in summary.conditions.gain}
        assert set(points) == {(arm, *point) for arm in RATIOS for point in GAIN}
        for (arm, scale, rate), point in points.items():
            assert point.updates == pytest.approx(80 * GAIN[scale, rate][arm], rel=0.25)
            assert point.met == (16, 16)
            if arm == "marmoset":
                assert point.comparison is None
            else:
                assert point.comparison.ratio.estimate == pytest.approx(RATIOS[arm], rel=0.1)

    def test_is_no_part_of_what_holds_over_the_conditions(self, varied):
        _, summary = varied
        assert {spec.condition for spec in summary.conditions.specifications} == {"primary", *CONDITIONS}

    def test_is_a_figure_of_its_own(self, varied, read_page):
        directory, _ = varied
        assert (directory / "report" / "figures" / "gain.svg").is_file()
        [spoken] = [
            text for text in read_page(directory).attributes("aria-label") if text and "at learning rate" in text
        ]
        for arm in RATIOS:
            for rate in ("0.001", "0.004"):
                assert f"{arm} at learning rate {rate}: " in spoken


class TestPage:
    def test_has_the_section_with_a_row_for_each_arm_and_condition(self, varied, read_page):
        directory, summary = varied
        text = read_page(directory).text
        others = ["Under which conditions does it hold?", "target_sparsity 0.3", "not applicable the same networks"]
        for sentence in others + summary.conditions_sentences:
            assert sentence in text
        for spec in summary.conditions.specifications:
            for ratio in [spec.comparison.ratio if spec.comparison else None, spec.to_primary]:
                if ratio:
                    assert f"{ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" in text

    def test_has_the_specification_curve_which_is_spoken_too(self, varied, read_page):
        directory, _ = varied
        assert {file.suffix for file in (directory / "report" / "figures").glob("specification_curve.*")} == {
            ".svg",
            ".png",
        }
        labels = [text for text in read_page(directory).attributes("aria-label") if text and "by condition" in text]
        [spoken] = labels
        for arm in ("degrees", "weights", "random"):
            for name in ("primary", *CONDITIONS):
                assert f"{arm} under {name}: " in spoken
        assert "weights under off: not applicable: the same networks as the reference" in spoken

    def test_terminal_and_summary_say_a_sentence_of_each_arm(self, varied, printed):
        directory, summary = varied
        shown = " ".join(printed(summary, width=200).split())
        content = json.loads((directory / "summary.json").read_text())
        assert content["conditions_sentences"] == summary.conditions_sentences
        for sentence in summary.conditions_sentences:
            assert sentence in shown
        degrees, weights, random = summary.conditions_sentences
        assert degrees.startswith("degrees: faster under the primary condition; this holds along ")
        assert "this reverses along task.pattern_length" in degrees
        assert "slower under longer (" in degrees
        assert "of all 5 conditions, faster under at least 4" in degrees
        assert weights.startswith("weights: ")
        assert random.startswith("random: no direction is shown under the primary condition; ")

    def test_summary_has_all_of_it(self, varied):
        directory, summary = varied
        content = json.loads((directory / "summary.json").read_text())["conditions"]
        assert len(content["specifications"]) == 15
        assert len(content["gain"]) == 24
        assert [one["word"] for one in content["axes"]] == [axis.word for axis in summary.conditions.axes]
        spec = content["specifications"][1]
        assert (spec["arm"], spec["condition"], spec["axis"]) == ("degrees", "magnitude", "network.remap")
        assert spec["changes"] == {"network.remap": "magnitude"}


def read_csv(directory, name):
    return pd.read_csv(directory / "report" / "tables" / f"{name}.csv")


class TestTables:
    def test_have_a_row_for_each_arm_and_condition(self, varied):
        directory, summary = varied
        table = read_csv(directory, "conditions").set_index(["arm", "condition"])
        assert len(table) == 15
        for key, spec in by_name(summary.conditions.specifications).items():
            row = table.loc[key]
            assert row["status"] == spec.status
            if spec.comparison is None:
                assert row[["verdict", "ratio", "low", "together_low", "to_primary"]].isna().all()
                assert row["pairs"] == 0
                continue
            assert row["verdict"] == spec.comparison.verdict.name
            assert (row["met"], row["reference_met"], row["pairs"]) == (16, 16, 16)
            ratio, together = spec.comparison.ratio, spec.together
            assert row[["ratio", "low", "high"]].tolist() == pytest.approx([ratio.estimate, ratio.low, ratio.high])
            assert row[["together_low", "together_high"]].tolist() == pytest.approx([together.low, together.high])
            if spec.to_primary:
                found = row[["to_primary", "to_primary_low", "to_primary_high"]].tolist()
                assert found == pytest.approx([spec.to_primary.estimate, spec.to_primary.low, spec.to_primary.high])
        assert table.loc[("degrees", "sparse"), "axis"] == "network.readout, topology.target_sparsity"

    def test_have_a_row_for_each_point_of_the_sweep(self, varied):
        directory, summary = varied
        table = read_csv(directory, "gain")
        assert table[["arm", "scale", "learning_rate"]].to_numpy().tolist() == [
            [point.arm, point.scale, point.learning_rate] for point in summary.conditions.gain
        ]
        assert table["updates_geometric_mean"].tolist() == pytest.approx([p.updates for p in summary.conditions.gain])
        assert (table["met"] == 16).all()
        assert table.loc[table["arm"] == "marmoset", "ratio"].isna().all()
        assert table.loc[table["arm"] != "marmoset", "ratio"].notna().all()


@pytest.mark.slow
def test_a_study_without_conditions_has_nothing_of_them(simulate, read_page, printed):
    directory = simulate(trials=2)
    summary = make_report(directory)
    assert summary.conditions is None
    assert summary.conditions_sentences == []
    assert "Under which conditions" not in read_page(directory).text
    for name in ("specification_curve.svg", "gain.svg"):
        assert not (directory / "report" / "figures" / name).exists()
    for name in ("conditions.csv", "gain.csv"):
        assert not (directory / "report" / "tables" / name).exists()
    assert "primary condition" not in printed(summary)
    assert json.loads((directory / "summary.json").read_text())["conditions"] is None
