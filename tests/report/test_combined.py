"""CombinedReport studies on one page."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from biotune.cli import main
from biotune.errors import UserError
from biotune.report import make_combined_report, print_combined
from biotune.report.text.combined import gain_sentence
from biotune.results import Results

THREE_WAYS = ({"name": "as", "radius": None}, {"name": "equal"}, {"name": "tuned", "tuned_radius": True})


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page.read_text(), flags=re.S)))


def gain_of(simulate, tmp_path, *ratios, **options):
    """What is said of the arm `degrees` with these true ratios, in so many of the three ways."""
    directories = [
        simulate(**way, **options, trials=2, ratios={"marmoset": 1.0, "degrees": ratio})
        for way, ratio in zip(THREE_WAYS, ratios, strict=False)
    ]
    [found] = make_combined_report(directories, tmp_path / "out").gain
    return found


class TestGain:
    def test_a_sign_that_survives(self, simulate, tmp_path):
        found = gain_of(simulate, tmp_path, 0.5, 0.6, 0.7)
        assert found.survives is True
        assert list(found.ways) == ["as it comes", "set equal to 0.9", "tuned per arm"]
        assert gain_sentence(found).startswith("degrees learns faster than marmoset whichever way")
        assert "faster" in text_of(tmp_path / "out" / "index.html")

    def test_a_sign_that_does_not(self, simulate, tmp_path):
        found = gain_of(simulate, tmp_path, 0.5, 2.0, 0.7)
        assert found.survives is False
        assert "does not survive" in gain_sentence(found)

    def test_one_that_is_gone_in_one_way(self, simulate, tmp_path):
        found = gain_of(simulate, tmp_path, 0.5, 1.0, 0.7)
        assert found.survives is False
        assert "does not survive: it is within the margin set equal to 0.9" in gain_sentence(found)

    def test_one_that_cannot_be_told(self, simulate, tmp_path):
        found = gain_of(simulate, tmp_path, 0.5, 1.0, 0.7, spread=0.6)
        assert found.survives is None
        assert "can't be told: set equal to 0.9 its direction is open" in gain_sentence(found)

    def test_no_difference_at_all(self, simulate, tmp_path):
        found = gain_of(simulate, tmp_path, 1.0, 1.0, 1.0)
        assert found.survives is None
        assert "learns as fast as marmoset whichever way" in gain_sentence(found)

    def test_a_way_that_is_missing(self, simulate, tmp_path):
        found = gain_of(simulate, tmp_path, 0.5, 0.6)
        assert found.survives is None
        assert "no study has the radius tuned per arm" in gain_sentence(found)

    def test_the_norm_in_place_of_the_radius_is_shown_beside_it(self, simulate, tmp_path):
        def edit(study):
            study["topology"] |= {"spectral_radius": None, "frobenius_norm": 5.9}

        def tuned(study):
            study["tune"]["frobenius_norm"] = {"uniform": [3, 9]}

        directories = [simulate(**way, trials=2, ratios={"marmoset": 1.0, "degrees": 0.5}) for way in THREE_WAYS]
        norms = {"norm": edit, "norm_tuned": tuned}
        directories += [
            simulate(name=name, trials=2, edit=change, ratios={"marmoset": 1.0, "degrees": 0.6})
            for name, change in norms.items()
        ]
        [found] = make_combined_report(directories, tmp_path / "out").gain
        ways = ["as it comes", "set equal to 0.9", "tuned per arm", "norm set equal to 5.9", "norm tuned per arm"]
        assert list(found.ways) == ways
        assert found.survives is True
        assert "whichever way the spectral radius or norm is treated" in gain_sentence(found)
        assert "where the Frobenius norm is set or tuned in place of the radius" in text_of(tmp_path / "out/index.html")
        table = pd.read_csv(tmp_path / "out" / "tables" / "gain.csv").set_index("way")
        assert (table["phase"] == "own_best").to_dict() == {way: way.endswith("per arm") for way in ways}

    def test_the_norm_is_none_of_the_three_ways_but_counts(self, simulate, tmp_path):
        def edit(study):
            study["topology"] |= {"spectral_radius": None, "frobenius_norm": 5.9}

        directories = [
            simulate(**THREE_WAYS[1], trials=2, ratios={"marmoset": 1.0, "degrees": 0.5}),
            simulate(name="norm", trials=2, edit=edit, ratios={"marmoset": 1.0, "degrees": 2.0}),
        ]
        [found] = make_combined_report(directories, tmp_path / "out").gain
        assert found.missing == ["as it comes", "tuned per arm"]
        assert found.survives is False
        assert "does not survive: it depends on gain" in gain_sentence(found)

    def test_tuned_is_read_from_own_best_settings(self, of_several):
        degrees, random = of_several.gain
        assert degrees.ways["tuned per arm"].ratio.estimate == pytest.approx(0.7, rel=0.15)
        assert degrees.survives is True
        assert random.survives is False

    def test_two_sets_are_told_apart_by_their_studies(self, simulate, tmp_path):
        ratios = {"marmoset": 1.0, "degrees": 0.5}
        directories = [
            simulate(**way | {"name": f"{way['name']}-{task}"}, task=task, ratios=ratios, trials=2)
            for task in ("seq_mem", "nback_mem")
            for way in THREE_WAYS[:2]
        ]
        one, other = make_combined_report(directories, tmp_path / "out").gain
        assert " in as-seq_mem and equal-seq_mem (" in gain_sentence(one)
        assert " in as-nback_mem and equal-nback_mem (" in gain_sentence(other)

    def test_studies_that_differ_in_more_are_no_such_set(self, simulate, tmp_path):
        wider = simulate(**THREE_WAYS[1], trials=2, edit=lambda study: study.update(equivalence_margin=0.3))
        directories = [simulate(**THREE_WAYS[0], trials=2), wider]
        found = make_combined_report(directories, tmp_path / "out")
        assert not found.gain
        assert "degrees is faster in as and equal." in found.answer[0]


class TestOverTasks:
    def test_is_the_interquartile_mean_over_all_pairs(self, simulate, tmp_path):
        ratios = ({"marmoset": 1.0, "degrees": 0.5}, {"marmoset": 1.0, "degrees": 0.7})
        directories = [
            simulate(name=task, task=task, ratios=one, pairs=pairs, seed=seed, trials=2)
            for task, one, pairs, seed in zip(("seq_mem", "nback_mem"), ratios, (16, 8), (1, 2), strict=True)
        ]
        [found] = make_combined_report(directories, tmp_path / "out").over_tasks
        tables = [Results(directory).read_table("convergence") for directory in directories]
        logs = []
        for table in tables:
            wide = table[(table["phase"] == "pair")].pivot_table(index="replicate", columns="arm", values="updates")
            logs.append(np.log(wide["degrees"] / wide["marmoset"])[:8])
        middle = np.sort(np.concatenate(logs))[4:-4]
        assert found.ratio.estimate == pytest.approx(np.exp(middle.mean()))
        assert found.ratio.pairs == 8
        assert found.ratio.low < found.ratio.estimate < found.ratio.high

    def test_is_not_given_where_a_task_is_there_twice(self, simulate, tmp_path):
        ratios = {"marmoset": 1.0, "degrees": 0.5}
        tasks = {"one": "seq_mem", "two": "nback_mem", "three": "nback_mem"}
        directories = [simulate(name=name, task=task, ratios=ratios, trials=2) for name, task in tasks.items()]
        [found] = make_combined_report(directories, tmp_path / "out").over_tasks
        assert (found.ratio, found.reason) == (None, "two and three have the same task; name one of them")

    def test_is_not_given_where_a_task_is_not_comparable(self, simulate, tmp_path):
        directories = [
            simulate(name="one", ratios={"marmoset": 1.0, "degrees": 0.5}, trials=2),
            simulate(name="two", task="nback_mem", ratios={"marmoset": 1.0, "degrees": 0.5}, never={"degrees": 9}),
        ]
        [found] = make_combined_report(directories, tmp_path / "out").over_tasks
        assert found.ratio is None
        assert found.reason == "not finished, or too few replicates met the criterion, in two"


class TestPage:
    def test_sets_every_verdict_side_by_side(self, of_several):
        text = text_of(of_several.page)
        for label, summary in of_several.studies.items():
            assert label in text
            for c in summary.comparisons:
                assert f"{c.ratio.estimate:.2f} [{c.ratio.low:.2f}, {c.ratio.high:.2f}]" in text
        assert "other: Unfinished" in text
        assert "other: Not the connectome asked for" in text

    def test_text_from_the_studies_is_text_and_nothing_else(self, simulate, tmp_path):
        nasty = '<script>alert(1)</script>"&$x_1$'
        arms = {"marmoset": 1.0, "<b>bold</b>": 0.5}
        directories = [simulate(name=name, description=nasty, ratios=arms, trials=2) for name in ("one", "two")]
        page = make_combined_report(directories, tmp_path / "out").page.read_text()
        assert "<script" not in page
        assert "<b>" not in page
        assert "&lt;script&gt;alert(1)" in page

    def test_links_the_pages_that_there_are(self, of_several):
        assert (of_several.page.parent / of_several.link("gain")).resolve() == of_several.studies["gain"].page
        assert of_several.link("other") is None

    def test_files_hold_its_numbers(self, of_several):
        folder = of_several.page.parent
        content = json.loads((folder / "summary.json").read_text())
        assert list(content["studies"]) == ["gain", "gain_equal", "gain_tuned", "nback", "other"]
        assert content["gain"][0]["survives"] is True
        verdicts = pd.read_csv(folder / "tables/verdicts.csv")
        assert len(verdicts) == 4 * 2 * 2
        assert len(pd.read_csv(folder / "tables/gain.csv")) == 6
        assert {file.name for file in (folder / "figures").iterdir()} == {"ratios.svg", "ratios.png"}

    def test_the_terminal_says_the_same(self, of_several):
        console = Console(width=80)
        with console.capture() as capture:
            print_combined(of_several, console)
        lines = capture.get().splitlines()
        assert max(len(line) for line in lines if not line.startswith("Report: ")) <= 80
        assert lines[-1] == f"Report: {of_several.page}"
        assert sum("faster" in line for line in lines) >= 6

    def test_studies_of_one_name_are_told_apart_by_directory(self, simulate, tmp_path):
        first = simulate(trials=2)
        second = shutil.copytree(first, tmp_path / "simulated-again")
        assert list(make_combined_report([first, second], tmp_path / "out").studies) == [first.name, second.name]


class TestBadInput:
    def test_each_is_one_sentence(self, simulate, tmp_path):
        first, second = simulate(trials=2), simulate(name="other", trials=2)
        with pytest.raises(UserError, match="given twice"):
            make_combined_report([first, second, first], tmp_path / "out")
        with pytest.raises(UserError, match="not a results directory"):
            make_combined_report([first, tmp_path], tmp_path / "out")
        with pytest.raises(UserError, match="is a results directory"):
            make_combined_report([first, second], first)
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "thesis.txt").write_text("mine")
        with pytest.raises(UserError, match="holds files that are no report"):
            make_combined_report([first, second], tmp_path / "full")
        assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.txt"]

    def test_nothing_confirmed_yet(self, simulate, tmp_path):
        directories = [simulate(name=name, phase="search", trials=2) for name in ("one", "two")]
        make_combined_report(directories, tmp_path / "out")
        assert "Nothing has been confirmed yet" in text_of(tmp_path / "out" / "index.html")

    def test_at_the_command_line(self, simulate, tmp_path, capsys):
        directories = [str(simulate(name=name, trials=2)) for name in ("one", "two")]
        assert main(["report", *directories]) == 0
        assert (tmp_path / "combined-report" / "index.html").is_file()
        assert main(["report", *directories]) == 0  # made again
        assert main(["report", directories[0], "--output", str(tmp_path / "else")]) == 2
        assert "goes into that directory" in capsys.readouterr().err
