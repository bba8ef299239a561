"""The results of a study from Python."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import biotune as bt
from biotune.network import load_checkpoint, save_checkpoint
from biotune.results import Results
from checks.simulated_results import Simulation

Finished = tuple[Path, Results, str]


@pytest.fixture(scope="module")
def results(finished: Finished) -> bt.StudyResults:
    _, held, _ = finished
    return bt.load_results(held.path)


def test_verdicts_are_those_of_the_report(tmp_path: Path) -> None:
    simulated = Simulation(ratios={"marmoset": 1.0, "degrees": 0.5})
    results = bt.load_results(simulated.write(tmp_path / "simulated-20260101T120000Z"))
    table = results.verdicts
    assert table["claim"].to_dict() == {"marmoset": "reference", "degrees": "faster"}
    assert table.loc["marmoset", ["ratio", "low", "best_high"]].isna().all()
    rows = results.table("convergence").query("phase == 'pair'")
    degrees = rows[rows["arm"] == "degrees"].set_index("replicate")["updates"]
    of_pair = (rows["arm"] == "marmoset") & (rows["against"] == "degrees")
    ratios = degrees / rows[of_pair].set_index("replicate")["updates"]
    ratio, low, high = table.loc["degrees", ["ratio", "low", "high"]]
    assert ratio == pytest.approx(np.exp(np.log(ratios).mean()))
    assert low < ratio < high < 1
    shown = results._repr_html_()
    assert results.answer.split(" ")[0] in shown
    assert f"{ratio:.2f}" in shown


def test_what_is_not_comparable_has_no_ratio(tmp_path: Path) -> None:
    nobody = Simulation(ratios={"marmoset": 1.0, "degrees": 0.5}, never={"marmoset": 16, "degrees": 16})
    table = bt.load_results(nobody.write(tmp_path / "simulated-20260101T120000Z")).verdicts
    assert table.loc["degrees", "claim"] == "not comparable"
    assert table[["ratio", "low", "high", "best_ratio"]].isna().all(axis=None)


def test_a_first_look_says_that_it_is_no_result(tmp_path: Path) -> None:
    quick = Simulation(pairs=4, edit=lambda study: study.update(quick=True))
    results = bt.load_results(quick.write(tmp_path / "simulated-20260101T120000Z"))
    assert results.answer.startswith("A first look (--quick), with few trials and replicates: no result")


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


def test_a_block_may_begin_anywhere(finished: Finished, tmp_path: Path) -> None:
    """As in an extension, which goes on where the replicates before it ended."""
    _, held, _ = finished
    copy = Results.open(shutil.copytree(held.path, tmp_path / held.path.name))
    name = copy.read_state().selection.cell("real", "own_best").checkpoint(0).removesuffix("0000")
    folder = copy.path / "checkpoints" / "confirm"
    content = load_checkpoint(folder / f"{name}0000.pt")
    content["plan"]["replicates"] = [3, 4]
    save_checkpoint(folder / f"{name}0003.pt", content)
    expected = bt.load_results(held.path).network("real", 1)
    assert (bt.load_results(copy.path).network("real", 4).values == expected.values).all()


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
        (lambda: results.network("real", 7), "of real as own_best, replicate 7 is not confirmed"),
        (lambda: results.network("real", -1), "replicate: a whole number from 0 is needed, found -1"),
        (lambda: results.network("real", condition="off"), "is confirmed as own_best under off; there is "),
        (lambda: results.curves("reel"), "unknown arm of .* 'reel'; did you mean 'real'"),
        (lambda: results.curves(phase="confirm"), "unknown phase of .* 'confirm'; known: own_best, pair, search"),
        (
            lambda: results.curves("real", phase="pair", condition="off"),
            "unknown condition of .* 'off'; known: primary",
        ),
        (lambda: results.table("curve"), "unknown table of .* 'curve'; did you mean 'curves'"),
        (lambda: bt.load_results(tmp_path), "not a results directory"),
    ):
        with pytest.raises(bt.UserError, match=said):
            call()
