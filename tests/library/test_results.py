"""The results of a study from Python."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import biotune as bt
from biotune.results import Results

Finished = tuple[Path, Results, str]


@pytest.fixture(scope="module")
def results(finished: Finished) -> bt.StudyResults:
    _, held, _ = finished
    return bt.load_results(held.path)


def test_verdicts_are_those_of_the_report(results: bt.StudyResults) -> None:
    table = results.verdicts
    assert list(table.index) == ["real", "rewired"]
    assert table.loc["real", ["claim", "ratio"]].isna().all()
    rewired = table.loc["rewired"]
    assert rewired["low"] < rewired["ratio"] < rewired["high"]
    pairs = (
        results.table("convergence").query("phase == 'pair'").pivot(index="replicate", columns="arm", values="updates")
    )
    assert rewired["ratio"] == pytest.approx(np.exp(np.log(pairs["rewired"] / pairs["real"]).mean()))
    shown = results._repr_html_()
    assert results.answer.split(" ")[0] in shown
    assert f"{rewired['ratio']:.2f}" in shown
    assert rewired["claim"] in shown


def test_curves_are_of_one_way_of_comparing(results: bt.StudyResults) -> None:
    curves = results.curves(arm="rewired")
    assert set(curves["phase"]) == {"own_best"}
    assert curves.groupby("replicate").size().tolist() == [6 + 2 + 1] * 3
    assert set(results.curves(phase="search")["arm"]) == {"real", "rewired"}


def test_figures_are_those_of_the_page(results: bt.StudyResults) -> None:
    held = {file.stem for file in (results.path / "report" / "figures").glob("*.svg")}
    assert set(results.figures) == held
    assert results.figures["ratios"]._repr_svg_().startswith("<svg")
    assert results.figures["ratios"].png.startswith(b"\x89PNG")


@pytest.mark.parametrize("replicate", [0, 1, 2])
def test_a_network_has_the_final_loss_of_its_row(results: bt.StudyResults, replicate: int) -> None:
    """Its data are drawn again from the study's seeds, and its loss on them is the one in the table."""
    network = results.network("rewired", replicate=replicate)
    row = results.table("convergence").query(f"phase == 'own_best' and arm == 'rewired' and replicate == {replicate}")
    digests = results.table("topologies").query(f"arm == 'rewired' and replicate == {replicate}")
    assert network.topology.digest in set(digests["digest"])
    plan = network.details
    from biotune.seeds import generator

    trials = network.task.trials(plan["trials"], generator(plan["seed"], "confirm", replicate, "trials"))
    first = round(plan["trials"] * plan["train_share"])
    outputs = network(trials.inputs[first:])[:, network.task.scored]
    loss = float(np.mean((outputs - trials.targets[first:]) ** 2))
    last = results.curves("rewired").query(f"replicate == {replicate}")["validation_loss"].iloc[-1]
    assert loss == pytest.approx(last, rel=1e-4)
    assert row["budget"].item() == 18
    assert network.details["arm"] == "rewired"


def test_the_report_is_written_again(finished: Finished, tmp_path: Path) -> None:
    _, held, _ = finished
    copy = bt.load_results(shutil.copytree(held.path, tmp_path / "copy"))
    shutil.rmtree(copy.path / "report")
    page = copy.report()
    assert page == copy.path / "report" / "index.html"
    assert page.is_file()
    assert page.as_uri() in copy._repr_html_()


def test_bad_input_is_named(results: bt.StudyResults, tmp_path: Path) -> None:
    for call, said in (
        (lambda: results.network("rewird"), "no arm 'rewird' is confirmed; the arms are rewired, real"),
        (lambda: results.network("real", 7), r"real-\w+-0006.pt: isn't there; of real at own_best, replicate 7"),
        (lambda: results.network("real", -1), "replicate: a whole number from 0 is needed, found -1"),
        (lambda: results.network("real", condition="off"), "is confirmed as own_best under off; there is "),
        (lambda: results.curves("reel"), "unknown arm of .* 'reel'; did you mean 'real'"),
        (lambda: results.curves(phase="confirm"), "unknown phase of .* 'confirm'; known: own_best, pair, search"),
        (lambda: results.curves(condition="off"), "unknown condition of .* 'off'; known: primary"),
        (lambda: results.table("curve"), "unknown table of .* 'curve'; did you mean 'curves'"),
        (lambda: bt.load_results(tmp_path), "not a results directory"),
    ):
        with pytest.raises(bt.UserError, match=said):
            call()
