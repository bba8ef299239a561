"""What a report says of studies that are not done, or that came out as none should."""

import json

import numpy as np
import pytest

from biotune.report import make_report
from biotune.results import Results


class TestUnfinished:
    def test_search_alone_has_no_verdict(self, simulate, read_page, printed):
        directory = simulate(phase="search", trials=3)
        summary = make_report(directory)
        assert not summary.comparisons
        assert "no verdict" in summary.answer[0]
        assert "9 of 9 search trials" in summary.answer[1]
        elements = read_page(directory)
        assert "Unfinished: the study had reached the search" in elements.text
        assert "figure-search" in elements.attributes("id")
        assert "Unfinished" in printed(summary)

    def test_nothing_at_all_yet(self, simulate, read_page):
        directory = simulate(phase="search", trials=0)
        summary = make_report(directory)
        assert "Nothing has been evaluated yet" in read_page(directory).text
        assert "0 of 0" in summary.answer[1]

    def test_an_arm_gets_its_verdict_when_all_its_pairs_are_there(self, simulate, read_page, verdicts):
        directory = simulate(phase="confirm", confirmed={"random": 9})
        summary = make_report(directory)
        assert verdicts(summary.comparisons) == {"degrees": "faster", "random": None}
        assert "random is still to be confirmed" in summary.answer[0]
        assert "random: 9 of 16 replicates confirmed" in read_page(directory).text

    @pytest.mark.slow
    def test_an_arm_without_a_pair_yet(self, simulate, printed, verdicts):
        summary = make_report(simulate(phase="confirm", confirmed={"random": 0}))
        assert verdicts(summary.comparisons) == {"degrees": "faster", "random": None}
        assert "random" in printed(summary)

    @pytest.mark.slow
    def test_the_reference_still_to_come(self, simulate, verdicts):
        summary = make_report(simulate(phase="confirm", confirmed={"marmoset": 0}))
        assert verdicts(summary.comparisons) == {"degrees": None, "random": None}
        assert "still to be confirmed" in summary.answer[0]

    @pytest.mark.slow
    def test_missing_replicates_of_a_finished_study_count_against_it(self, simulate, verdicts):
        summary = make_report(simulate(confirmed={"random": 9, "degrees": 0}))
        assert verdicts(summary.comparisons) == {"degrees": "not comparable", "random": "undecided"}
        assert "7 of its 16 replicates did not meet the criterion" in summary.comparisons[1].verdict.reason
        assert any("the missing ones count as not converged" in limit.text for limit in summary.limits)

    @pytest.mark.slow
    def test_remaking_it_removes_figures_that_are_no_longer_its(self, simulate):
        directory = simulate()
        make_report(directory)
        assert (directory / "report/figures/ratios.svg").exists()
        for table in ("convergence", "curves", "trials", "topologies", "matrices"):
            (directory / f"{table}.parquet").unlink()
        simulate(phase="search")
        make_report(directory)
        assert {file.stem for file in (directory / "report/figures").iterdir()} == {"search", "search_best"}


class TestDegenerateStudies:
    def test_one_arm(self, simulate, printed):
        directory = simulate(ratios={"marmoset": 1.0})
        summary = make_report(directory)
        assert "marmoset met the criterion in 16 of 16 replicates" in summary.answer[0]
        assert "nothing to compare" in summary.answer[1]
        assert "reference" in printed(summary)

    @pytest.mark.slow
    def test_one_pair(self, simulate, verdicts):
        summary = make_report(simulate(pairs=1))
        assert set(verdicts(summary.comparisons).values()) == {"undecided"}
        assert any("raise confirm.replicates" in limit.text for limit in summary.limits)

    @pytest.mark.slow
    def test_nothing_converged(self, simulate, read_page, verdicts):
        directory = simulate(never={"marmoset": 16, "degrees": 16, "random": 16})
        summary = make_report(directory)
        assert set(verdicts(summary.comparisons).values()) == {"not comparable"}
        assert summary.result("random").median_updates == np.inf
        assert "0 of 16" in read_page(directory).text

    @pytest.mark.slow
    def test_every_loss_is_nan(self, simulate, verdicts):
        directory = simulate(diverging={"degrees": 16})
        summary = make_report(directory)
        assert summary.result("degrees").converged.count == 0
        assert verdicts(summary.comparisons) == {"degrees": "slower", "random": "equivalent"}
        assert summary.comparisons[0].verdict.bound
        assert "degrees (by at least a factor of " in summary.answer[0]
        assert json.loads((directory / "summary.json").read_text())["results"]

    def test_trials_that_diverged_or_failed_are_counted_and_kept(self, simulate):
        directory = simulate(phase="search", trials=4)
        results = Results(directory)
        trials, curves = results.read_table("trials"), results.read_table("curves")
        trials.loc[trials["arm"] == "random", ["status", "best_loss"]] = ["diverged", np.nan]
        trials.loc[0, ["status", "best_loss", "error"]] = ["failed", np.nan, "Traceback\nMemoryError: too large"]
        curves.loc[curves["arm"] == "random", "validation_loss"] = np.nan
        results.write_table("trials", trials)
        results.write_table("curves", curves[curves["trial"] != trials.loc[0, "trial"]])
        summary = make_report(directory)
        texts = [limit.text for limit in summary.limits]
        assert "4 of 12 search trials diverged (random 4)." in texts
        assert "1 of 12 search trials failed (marmoset 1). First error: MemoryError: too large" in texts
        [random] = [arm for arm in summary.search if arm.arm == "random"]
        assert random.best_trial is None

    @pytest.mark.slow
    def test_all_pairs_identical_is_pointed_out(self, simulate, verdicts):
        directory = simulate()
        results = Results(directory)
        confirmed = results.read_table("convergence")
        of_reference = confirmed[confirmed["arm"] == "marmoset"].drop_duplicates(["phase", "replicate"])
        reference = of_reference.set_index(["phase", "replicate"])["updates"]
        same = confirmed["arm"] == "random"
        confirmed.loc[same, "updates"] = [
            reference[key] for key in zip(confirmed.loc[same, "phase"], confirmed.loc[same, "replicate"], strict=True)
        ]
        results.write_table("convergence", confirmed)
        summary = make_report(directory)
        assert verdicts(summary.comparisons)["random"] == "equivalent"
        assert any("random: every pair has the same ratio" in limit.text for limit in summary.limits)

    @pytest.mark.slow
    def test_a_criterion_that_is_met_at_once_is_pointed_out(self, simulate, verdicts):
        directory = simulate()
        results = Results(directory)
        results.write_table("convergence", results.read_table("convergence").assign(updates=0.25))
        summary = make_report(directory)
        assert verdicts(summary.comparisons)["degrees"] == "equivalent"
        assert any("before the first update" in limit.text for limit in summary.limits)

    @pytest.mark.slow
    def test_more_pairs_than_flips_can_be_listed(self, simulate, read_page):
        directory = simulate(pairs=22)
        assert not make_report(directory).comparisons[0].p_exact
        assert "Monte Carlo" in read_page(directory).text
