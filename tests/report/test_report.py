"""What a report says of a whole study, on its page, in its files and in the terminal."""

import html
import json
import re
from itertools import pairwise, permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from biotune.report import make_report, read_report
from biotune.results import PROPAGATION, Results

HOSTILE = ["$\\frac{", "[bold red]", "<b onerror=x>", "a\nb", "--><b>", "x" * 200, "", "皮質", "%s{}", "&amp;"]
"""Names of ten regions."""


def texts(svg: Path) -> list[str]:
    """The texts in a figure: matplotlib draws them as paths, with a comment that has the text."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    return [node.text.strip() for node in ElementTree.parse(svg, parser).iter() if node.tag is ElementTree.Comment]


class TestAnswer:
    def test_finds_the_ratios_that_were_simulated(self, reported, verdicts):
        _, summary = reported
        found = {c.arm: c.ratio.estimate for c in summary.comparisons}
        assert found["degrees"] == pytest.approx(0.5, rel=0.1)
        assert found["random"] == pytest.approx(1.0, rel=0.1)
        assert verdicts(summary.comparisons) == {
            "degrees": "faster",
            "lesioned": "slower",
            "random": "equivalent",
            "sparse": "slower, size open",
            "frozen": "undecided",
        }

    def test_is_two_sentences_that_name_every_arm(self, reported):
        _, summary = reported
        for arm in summary.arms:
            assert arm in summary.answer[0]
        assert "degrees (0.5" in summary.answer[0]
        assert "16 pairs" in summary.answer[1]
        assert "learning_rate 0.003" in summary.answer[1]

    def test_says_where_own_best_settings_disagree(self, reported):
        _, summary = reported
        [sentence] = summary.disagreements
        assert sentence.startswith("degrees is faster at the shared setting")
        assert "equivalent with each arm at its own best" in sentence
        assert "1 verdict would differ" in summary.answer[1]

    def test_says_that_a_shared_setting_is_everyones_best(self, simulate):
        assert "also each arm's own best" in read_report(simulate()).answer[1]

    def test_of_other_criterion_levels(self, simulate):
        summary = read_report(simulate())
        assert len(summary.levels) == 5
        # log loss falls in straight lines here, so the ratio is the same wherever the criterion lies
        for level in summary.levels:
            assert [c.ratio.estimate for c in level.comparisons] == pytest.approx(
                [c.ratio.estimate for c in summary.comparisons], rel=0.02
            )

    def test_counts_a_diverged_replicate_as_one_that_did_not_converge(self, reported):
        _, summary = reported
        lesioned = summary.result("lesioned")
        assert (lesioned.diverged, lesioned.converged.count, lesioned.converged.total) == (1, 15, 16)
        assert np.isfinite(lesioned.final_loss[1])
        texts = " ".join(limit.text for limit in summary.limits)
        assert "lesioned: 1 confirmed replicate diverged" in texts
        assert "lesioned: 1 confirmed replicate did not meet the criterion" in texts
        assert "random: 1 confirmed" not in texts

    def test_widens_the_intervals_for_the_arms_of_the_study(self, simulate):
        assert read_report(simulate()).confidence == pytest.approx(0.975)


class TestBesideTheVerdict:
    def test_a_bootstrap_t_interval_stands_beside_the_paired_t(self, reported, read_page):
        directory, summary = reported
        text = read_page(directory).text
        for c in summary.comparisons:
            assert c.bootstrap.estimate == c.ratio.estimate
            assert (c.bootstrap.low, c.bootstrap.high) != (c.ratio.low, c.ratio.high)
            if c.verdict.name != "not comparable":
                high = "∞" if c.bootstrap_verdict.bound else f"{c.bootstrap.high:.2f}"
                assert f"[{c.bootstrap.low:.2f}, {high}]" in text

    def test_the_reference_among_at_least_nineteen_draws(self, simulate, read_page):
        directory = simulate(pairs=19)
        degrees, random = make_report(directory).comparisons
        assert (degrees.rank.percentile, degrees.rank.p) == (100, 1 / 20)
        assert 0 < random.rank.percentile < 100
        text = read_page(directory).text
        assert "marmoset is at percentile 100 of 19 draws of degrees" in text
        assert "permutation p = 0.050" in text

    def test_fewer_draws_give_a_sentence_instead(self, simulate, read_page):
        directory = simulate(pairs=18)
        summary = make_report(directory)
        assert [c.rank for c in summary.comparisons] == [None, None]
        assert "there are 18 draws of each, and with fewer than 19 no rank" in read_page(directory).text

    def test_an_arm_that_is_no_null_has_no_place(self, simulate):
        directory = simulate(
            pairs=20, edit=lambda study: study["arms"].update(degrees={"connectome": {"name": "macaque"}})
        )
        assert [c.rank is None for c in read_report(directory).comparisons] == [True, False]

    def test_intervals_that_lie_apart_are_said(self, simulate):
        summary = read_report(simulate(ratios={"marmoset": 1.0, "degrees": 0.6}, own_best={"degrees": 0.3}))
        [sentence] = summary.disagreements
        assert sentence.startswith("degrees is faster at the shared setting and with each arm at its own best")
        assert "the intervals do not overlap" in sentence
        assert "though not the same ratios" in summary.answer[1]


class TestEveryArmWithEveryOther:
    def test_is_a_table_of_ratios_that_hold_together(self, reported, read_page):
        directory, summary = reported
        text = read_page(directory).text
        assert "Do the arms differ from one another?" in text
        assert "the 15 pairs of arms hold together with 95 % (99.67 % each)" in text
        shared = Results(directory).read_table("convergence").query("phase == 'shared'")
        updates = shared.pivot_table(index="replicate", columns="arm", values="updates")
        for arm, to in permutations(summary.arms, 2):
            found = summary.contrast(arm, to)
            assert found.ratio.estimate == pytest.approx(np.exp(np.log(updates[arm] / updates[to]).mean()))
            assert found.ratio.confidence == pytest.approx(1 - 0.05 / 15)
            assert found.comparable == ("frozen" not in (arm, to))
            assert found.differs == (found.comparable and not found.ratio.low <= 1 <= found.ratio.high)
            shown = f"{found.ratio.estimate:.2f} [{found.ratio.low:.2f}, {found.ratio.high:.2f}]"
            assert (shown in text) == found.comparable
        assert summary.contrast("degrees", "random").differs
        assert not summary.contrast("random", "marmoset").differs

    def test_its_estimates_are_those_of_the_verdicts_and_its_intervals_are_wider(self, reported):
        _, summary = reported
        for comparison in summary.comparisons:
            found = summary.contrast(comparison.arm, summary.reference).ratio
            assert found.estimate == comparison.ratio.estimate
            assert found.low < comparison.ratio.low < comparison.ratio.high < found.high

    def test_is_in_the_files(self, reported):
        directory, summary = reported
        held = json.loads((directory / "summary.json").read_text())["contrasts"]
        table = pd.read_csv(directory / "report/tables/contrasts.csv")
        assert len(held) == len(table) == 6 * 5
        for entry, row, found in zip(held, table.to_dict("records"), summary.contrasts, strict=True):
            assert (entry["arm"], entry["to"]) == (row["arm"], row["to"]) == (found.arm, found.to)
            assert entry["ratio"]["estimate"] == pytest.approx(row["ratio"]) == found.ratio.estimate
            assert entry["differs"] == row["differs"] == found.differs

    def test_marks_where_two_arms_differ_and_says_which_are_not_comparable(self, simulate, read_page):
        directory = simulate(ratios={"marmoset": 1.0, "degrees": 1.0, "random": 2.0}, never={"degrees": 4})
        make_report(directory)
        page = (directory / "report/index.html").read_text()
        section = page[page.index('<h2 id="contrasts">') :]
        section = section[: section.index("</section>")]
        assert section.count("<strong>") == 2  # random and marmoset, both ways round
        assert section.count("not comparable</small>") == 4

    def test_two_arms_have_none(self, simulate, read_page):
        directory = simulate(ratios={"marmoset": 1.0, "degrees": 0.5})
        summary = make_report(directory)
        assert summary.contrasts == []
        assert "differ from one another" not in read_page(directory).text
        assert "compared with every other" not in summary.methods[-1]

    def test_an_arm_that_is_still_to_be_confirmed_is_shown_as_such(self, simulate, read_page):
        directory = simulate(phase="confirm", confirmed={"random": 0})
        summary = make_report(directory)
        assert summary.contrast("random", "degrees").ratio is None
        assert summary.contrast("degrees", "marmoset").differs
        page = (directory / "report/index.html").read_text()
        assert page.count("<small>to come</small>") == 4


class TestWhichProperty:
    RATIOS = {"marmoset": 1.0, "a tenth": 0.98, "half": 0.8, "all": 0.6}  # noqa: RUF012
    FRACTIONS = {"a tenth": 0.1, "half": 0.5, "all": 1.0}  # noqa: RUF012

    def test_the_dose_comes_first(self, simulate, read_page, printed):
        directory = simulate(ratios=self.RATIOS, fractions=self.FRACTIONS)
        summary = make_report(directory)
        [trend] = summary.trends
        assert trend.fractions == {"marmoset": 0, **self.FRACTIONS}
        changed = Results(directory).read_table("topologies").groupby("arm")["entries_changed"].mean()
        assert trend.doses == pytest.approx(dict(changed))  # what was changed, not what was asked for
        assert trend.doses["half"] == pytest.approx(0.6)
        assert trend.slope.factor == pytest.approx(0.6, rel=0.1)
        assert trend.slope.high < 0.7
        text = read_page(directory).text
        assert text.index("makes learning faster") < text.index("Verdicts")
        assert "makes learning faster" in re.sub(r"\s+", " ", printed(summary))
        ids = read_page(directory).attributes("id")
        assert ids.index("figure-dose") < ids.index("figure-associations")
        assert "The trend comes from doses that were set. What follows is association" in text
        assert "0 %, 14 %, 60 % and 100 % of them" in text
        drawn = texts(directory / "report" / "figures" / "dose.svg")
        assert "share of the matrix's entries that the null changed" in drawn
        table = pd.read_csv(directory / "report/tables/trends.csv")
        assert table["fractions"].tolist() == ["0, 0.1, 0.5, 1"]
        assert table["entries_changed"].tolist() == ["0, 0.136, 0.6, 1"]

    def test_a_trend_that_cannot_be_told(self, simulate, read_page):
        directory = simulate(ratios=dict.fromkeys(self.RATIOS, 1.0), fractions=self.FRACTIONS)
        make_report(directory)
        assert "does not show whether learning gets faster or slower" in read_page(directory).text

    def test_no_trend_where_an_arm_does_not_converge(self, simulate, read_page):
        directory = simulate(ratios=self.RATIOS, fractions=self.FRACTIONS, never={"all": 8})
        [trend] = make_report(directory).trends
        assert trend.slope is None
        assert "fewer than 80 % of the replicates of all met the criterion" in read_page(directory).text

    def test_no_trend_over_doses_that_the_results_do_not_have(self, simulate, read_page):
        directory = simulate(ratios=self.RATIOS, fractions=self.FRACTIONS)
        results = Results(directory)
        topologies = results.read_table("topologies")
        results.write_table("topologies", topologies.drop(columns="entries_changed"))
        [trend] = make_report(directory).trends
        assert (trend.doses, trend.slope) == ({}, None)
        text = read_page(directory).text
        assert "over fractions of 0 %, 10 %, 50 % and 100 %" in text
        assert "the results don't have the share of entries changed" in text
        results.write_table("topologies", topologies.assign(entries_changed=0.5))
        assert read_report(directory).trends[0].reason == "the null changed as much in all arms"

    def test_both_shares_stand_beside_each_null(self, simulate, read_page):
        directory = simulate(fractions={"degrees": 0.5})
        make_report(directory)
        text = read_page(directory).text
        assert "degrees 12 % of edges rewired, 60 % of entries changed" in text
        assert "random 25 % of edges rewired, 100 % of entries changed" in text
        assert "marmoset 0 %" not in text
        measures = pd.read_csv(directory / "report/tables/measures.csv").set_index(["measure", "arm"])["mean"]
        assert (measures["rewired", "degrees"], measures["entries_changed", "degrees"]) == (0.125, pytest.approx(0.6))

    def test_two_doses_are_no_trend(self, simulate):
        assert not read_report(simulate(ratios={"marmoset": 1.0, "half": 0.8}, fractions={"half": 0.5})).trends

    def test_measures_are_marked_as_association(self, simulate, read_page):
        directory = simulate()
        results = Results(directory)
        topologies, confirmed = results.read_table("topologies"), results.read_table("convergence")
        both = topologies.merge(confirmed[confirmed["phase"] == "shared"], on=["arm", "replicate"])
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

    def test_how_networks_start_stands_apart_from_their_topology(self, simulate, read_page):
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

    def test_each_arms_matrix(self, simulate, read_page):
        directory = simulate()
        make_report(directory)
        assert "figure-matrices" in read_page(directory).attributes("id")
        (directory / "matrices.parquet").unlink()  # as long as nothing is confirmed
        make_report(directory)
        assert "figure-matrices" not in read_page(directory).attributes("id")

    @pytest.mark.parametrize("names", [[f"area {n}" for n in range(10)], HOSTILE], ids=["plain", "hostile"])
    @pytest.mark.filterwarnings("error")
    def test_each_connectomes_matrix_with_the_names_of_its_regions(self, simulate, read_page, names):
        directory = simulate()
        results = Results(directory)
        state = results.read_state()
        used = {arm: one.model_copy(update={"regions": names}) for arm, one in state.connectomes.items()}
        results.write_state(state.model_copy(update={"connectomes": used}))
        make_report(directory)
        page = read_page(directory)
        assert "figure-regions" in page.attributes("id")
        drawn = texts(directory / "report" / "figures" / "regions.svg")
        for name in filter(None, names):  # beside its row, and below its column
            name = name.replace("\n", " ").replace("--", "- -")[:12]  # a comment has no --
            assert sum(html.unescape(text).startswith(html.unescape(name)) for text in drawn) == 2, (name, drawn)
        assert sum(text.startswith("marmoset, 10 regions") for text in drawn) == 1
        assert not any("degrees" in text for text in drawn)  # rewired, of the same connectome
        assert not page.attributes("onerror")

    def test_names_of_regions_are_left_out_if_they_are_too_many_to_be_read_or_do_not_fit(self, simulate, read_page):
        directory = simulate()
        results = Results(directory)
        state = results.read_state()
        for names in ([f"r{n}" for n in range(61)], ["a", "b"], []):
            used = {arm: one.model_copy(update={"regions": names}) for arm, one in state.connectomes.items()}
            results.write_state(state.model_copy(update={"connectomes": used}))
            make_report(directory)
            assert "figure-regions" not in read_page(directory).attributes("id")

    def test_a_matrix_without_any_weight_is_drawn_blank(self, simulate, read_page):
        directory = simulate()
        results = Results(directory)
        results.write_table("matrices", results.read_table("matrices").assign(weight=0.0))
        make_report(directory)
        assert "figure-matrices" in read_page(directory).attributes("id")


class TestSearch:
    def test_expected_best_of_the_quasi_random_trials(self, simulate):
        directory = simulate(trials=8)
        results = Results(directory)
        trials = results.read_table("trials")
        trials["origin"] = np.where(trials["index"] < 4, "shared", "tpe")
        trials.loc[(trials["arm"] == "random") & (trials["index"] == 0), ["status", "best_loss"]] = ["diverged", np.nan]
        results.write_table("trials", trials)
        summary = read_report(directory)
        for found in summary.search:
            assert len(found.expected_best) == 4
            losses = trials[(trials["arm"] == found.arm) & (trials["origin"] == "shared")]["best_loss"].fillna(1 / 12)
            assert found.expected_best[-1] == pytest.approx(losses.min())
            assert found.expected_best[0] == pytest.approx(np.exp(np.log(losses).mean()))

    def test_the_column_that_the_best_setting_is_chosen_by_is_shown(self, reported, read_page):
        directory, summary = reported
        trials = Results(directory).read_table("trials").set_index("trial")
        for found in summary.search:
            assert found.best_updates == trials.loc[found.best_trial, "mean_updates"]
        text = read_page(directory).text
        assert "the trial with the fewest updates to criterion" in text
        assert "ranked by their updates to criterion" in text

    def test_a_grid_has_none(self, simulate):
        directory = simulate(trials=4, edit=lambda study: study["search"].update(sampler="grid"))
        assert [found.expected_best for found in read_report(directory).search] == [[], [], []]

    def test_importances_from_thirty_completed_trials_on(self, simulate, read_page):
        assert make_report(simulate(trials=14)).importances is None  # 9 of 14 complete in each of three arms
        directory = simulate(trials=16)
        summary = make_report(directory)
        assert summary.importances.trials == 33
        assert set(summary.importances.lost) == {"learning_rate", "nonlinearity"}
        assert "Exploratory: a random forest" in read_page(directory).text


class TestFiles:
    def test_page_has_nothing_from_elsewhere(self, reported, read_page):
        directory, _ = reported
        elements = read_page(directory)
        assert not [tag for tag, _ in elements.tags if tag in ("script", "img", "iframe", "object", "base")]
        # an SVG's namespaces are names, not addresses that anything is fetched from
        assert all(
            url.startswith(("#", "data:")) for url in elements.attributes("src") + elements.attributes("xlink:href")
        )
        links = elements.attributes("href")
        assert all(
            link.startswith(("#", "data:", "figures/", "https://doi.org/", "https://arxiv.org/")) for link in links
        )
        assert not re.search(r"@import|url\((?!#)", (directory / "report/index.html").read_text())

    def test_every_figure_is_there_in_both_formats_and_in_words(self, reported, read_page):
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

    def test_ids_are_unique(self, reported, read_page):
        directory, _ = reported
        ids = read_page(directory).attributes("id")
        assert len(ids) == len(set(ids))

    def test_tables_and_summary_hold_the_numbers_of_the_page(self, reported, read_page):
        directory, summary = reported
        table = pd.read_csv(directory / "report/tables/verdicts.csv")
        content = json.loads((directory / "summary.json").read_text())
        shared = table[table["phase"] == "shared"].set_index("arm")
        text = read_page(directory).text
        for held, c in zip(content["comparisons"], summary.comparisons, strict=True):
            assert shared.loc[c.arm, "ratio"] == pytest.approx(held["ratio"]["estimate"])
            assert shared.loc[c.arm, "verdict"] == held["verdict"]["name"] == c.verdict.name
            assert c.verdict.reason in text
        assert len(pd.read_csv(directory / "report/tables/criterion_levels.csv")) == 5 * 5
        assert len(pd.read_csv(directory / "report/tables/replicates.csv")) == 2 * 6 * 16
        associations = pd.read_csv(directory / "report/tables/associations.csv")
        for held, row in zip(content["associations"], associations.to_dict("records"), strict=True):
            assert (row["measure"], row["rho_across"]) == (held["measure"], pytest.approx(held["across"]))
        for name in ("arms", "search", "expected_best", "measures", "importances", "topologies", "trials"):
            assert len(pd.read_csv(directory / f"report/tables/{name}.csv"))

    def test_limits_methods_and_citations_are_on_the_page(self, reported, read_page):
        directory, summary = reported
        text = read_page(directory).text
        for part in [limit.text for limit in summary.limits] + summary.methods:
            assert re.sub(r"\s+", " ", part) in text
        links = read_page(directory).attributes("href")
        assert "https://doi.org/10.1002/cne.24023" in links
        assert "https://doi.org/10.1016/j.neunet.2021.07.011" in links

    def test_a_substituted_connectome_is_said_everywhere(self, reported, read_page, printed):
        directory, summary = reported
        assert summary.limits[0].kind == "banner"
        for place in (read_page(directory).text, printed(summary), summary.methods[0], summary.answer[0]):
            assert "distance_rule_marmoset" in place
            assert "in place of" in place

    def test_the_same_results_give_the_same_bytes(self, simulate):
        directory = simulate(trials=3)

        def content():
            make_report(directory)
            return {file: file.read_bytes() for file in (directory / "report").rglob("*") if file.is_file()}

        assert content() == content()

    def test_what_programs_and_files_said_is_text_and_nothing_else(self, simulate, read_page):
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

    def test_no_text_in_a_table_is_a_formula(self, simulate):
        formulas = ['=cmd|"/c calc"!A1', "+1+1", "-2+3", "@SUM(A1)"]
        directory = simulate(trials=4)
        results = Results(directory)
        results.write_table("trials", results.read_table("trials").assign(error=formulas * 3))
        make_report(directory)
        table = pd.read_csv(directory / "report/tables/trials.csv")
        assert table["error"].tolist() == [f"'{text}" for text in formulas * 3]
        assert (pd.read_csv(directory / "report/tables/arms.csv")["converged_low"] >= 0).all()  # numbers stay numbers

    def test_names_from_the_results_are_text_and_nothing_else(self, simulate, read_page, printed):
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


class TestTerminal:
    @pytest.mark.parametrize("width", [100, 80])
    def test_fits(self, reported, width, printed):
        directory, summary = reported
        lines = printed(summary, width).splitlines()
        assert max(len(line) for line in lines if not line.startswith("Report: ")) <= width
        assert lines[-1] == f"Report: {directory / 'report' / 'index.html'}"
        table = [line.split() for line in lines if line.startswith(tuple(summary.arms)) and "/16" in line]
        assert [row[0] for row in table] == list(summary.arms)
        assert table[0][1] == "reference"
        assert table[1][1] == "faster"

    def test_names_the_limits_first(self, reported, printed):
        _, summary = reported
        text = printed(summary, 1000)
        places = [text.index(part) for part in (summary.limits[0].text, *summary.answer, "verdict ")]
        assert all(a < b for a, b in pairwise(places))
