"""A report of a study with planned looks: what it is of, who goes on, what more pairs would decide."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from biotune.cli import main
from biotune.report import Report, make_report, read_report
from biotune.results import Results
from biotune.results.documents import Look
from biotune.statistics import bonferroni, look_confidence
from checks.simulated_results import Simulation

LOOKS = (16, 32, 64)
RATIOS = {"marmoset": 1.0, "degrees": 0.5, "random": 1.08}
FIRST = Look(pairs=16, going=["random"], decided=["degrees"])
SECOND = Look(pairs=32, going=["random"], decided=[])


def simulation(taken: list[Look], **options: Any) -> Simulation:
    pairs = taken[-1].pairs if taken else 16
    stopped = {"degrees": 16} if pairs > 16 else {}
    given = {"ratios": RATIOS, "pairs": pairs, "looks": LOOKS, "taken": taken, "spread": 0.25, "confirmed": stopped}
    return Simulation(**given | options)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After the first look."""
    return simulation([FIRST]).write(tmp_path_factory.mktemp("first") / "simulated-20260101T120000Z")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After the second look, which degrees had no part in."""
    return simulation([FIRST, SECOND]).write(tmp_path_factory.mktemp("second") / "simulated-20260101T120000Z")


def ratios(report: Report) -> dict[str, tuple[int, int, float]]:
    """arm -> look, pairs and confidence."""
    return {c.arm: (c.look, c.ratio.pairs, c.ratio.confidence) for c in report.comparisons if c.ratio}


def test_the_intervals_of_the_first_look_are_of_the_plan(first: Path) -> None:
    confidence = look_confidence(LOOKS, 16, 2)
    assert confidence > bonferroni(2)
    assert ratios(read_report(first)) == {arm: (16, 16, pytest.approx(confidence)) for arm in ("degrees", "random")}


def test_an_arm_that_was_decided_keeps_its_pairs_and_its_interval(first: Path, second: Path) -> None:
    later, before = read_report(second), read_report(first)
    assert ratios(later) == {
        "degrees": (16, 16, pytest.approx(look_confidence(LOOKS, 16, 2))),
        "random": (32, 32, pytest.approx(look_confidence(LOOKS, 32, 2))),
    }
    assert {c.arm: c.verdict is not None for c in later.comparisons} == {"degrees": True, "random": True}
    assert (later.looks.shown, later.looks.decided, later.looks.going) == (32, {"degrees": 16}, ["random"])
    assert before.looks.shown == 16
    assert later.result("marmoset", "pair", "degrees").replicates == 16  # type: ignore[union-attr]
    assert later.result("marmoset", "pair", "random").replicates == 32  # type: ignore[union-attr]


def test_arms_are_compared_with_each_other_on_the_pairs_that_both_have(second: Path) -> None:
    report = read_report(second)
    between = report.contrast("degrees", "random")
    assert between is not None
    assert between.ratio is not None
    assert between.ratio.pairs == 16
    assert between.ratio.confidence == pytest.approx(look_confidence(LOOKS, 16, 3))
    to_reference = report.contrast("random", "marmoset")
    assert to_reference is not None
    assert to_reference.ratio is not None
    assert to_reference.ratio.confidence == pytest.approx(look_confidence(LOOKS, 32, 3))


def test_the_page_says_what_more_pairs_would_decide_and_what_is_not_adjusted(
    first: Path, read_page: Callable[[Path], Any]
) -> None:
    report = make_report(first)
    [forecast] = report.looks.forecasts
    assert forecast.arm == "random"
    assert forecast.more is not None
    text = read_page(first).text
    assert f"random: about {forecast.more} more pairs would decide (80 %)" in text
    enough = next((look for look in LOOKS if look >= 16 + forecast.more), LOOKS[-1])
    assert f"biotune extend {first} --to {enough}" in text
    assert "Decided before the last planned look: degrees at 16 pairs. Its estimate exaggerates on average" in text
    assert "This is the look at 16 pairs, of those planned at 16, 32 and 64 pairs." in text
    assert "sign flips, in its pair, not adjusted for looks" in text
    assert "The bands are not adjusted for looks." in text
    assert "Lan & DeMets 1983" in text


def test_the_time_of_more_pairs_is_that_of_the_confirmation_so_far(first: Path) -> None:
    looks = read_report(first).looks
    # 5 cells of 16 networks took 80.5 s; random and the reference at its setting are 2 cells
    cells = len({(c.arm, c.plan) for c in Results.open(first).read_state().selection.cells})  # type: ignore[union-attr]
    a_pair = 80.5 / (cells * 16) * 2
    assert looks.seconds == {32: pytest.approx(16 * a_pair), 64: pytest.approx(48 * a_pair)}


def test_the_report_of_an_earlier_look_is_made_again_beside_the_last(second: Path, first: Path) -> None:
    make_report(second)
    last = json.loads((second / "summary.json").read_text())
    assert main(["report", str(second), "--look", "16"]) == 0
    assert json.loads((second / "summary.json").read_text()) == last
    again = json.loads((second / "report-look-16" / "summary.json").read_text())
    assert (last["pairs"], again["pairs"]) == (32, 16)
    table = pd.read_csv(second / "report-look-16" / "tables" / "replicates.csv")
    assert set(table["replicate"]) == set(range(16))
    assert "The study has gone on to 32 pairs." in (second / "report-look-16" / "index.html").read_text()
    verdicts = pd.read_csv(second / "report" / "tables" / "verdicts.csv")
    assert dict(verdicts[verdicts["phase"] == "pair"][["arm", "look"]].to_numpy()) == {"degrees": 16, "random": 32}


def test_a_look_that_was_not_taken_has_no_report(first: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(first), "--look", "32"]) == 2
    assert "--look 32: no such look was taken; those that were are at 16 pairs" in capsys.readouterr().err
    assert not (first / "report-look-32").exists()


def test_while_the_next_look_is_under_way_the_last_one_is_shown(tmp_path: Path) -> None:
    under_way = simulation([FIRST], pairs=20, phase="confirm", confirmed={"degrees": 16})
    report = read_report(under_way.write(tmp_path / "simulated-20260101T120000Z"))
    assert ratios(report)["random"][:2] == (16, 16)
    assert all(report.claims.values())
    assert not report.finished
    assert any("an extension is under way" in limit.text for limit in report.limits)


def test_pairs_past_the_plan_are_a_replication_of_their_own(tmp_path: Path, printed: Callable[..., str]) -> None:
    replicated = simulation(
        [Look(pairs=16, going=[], decided=["degrees", "random"])],
        ratios={"marmoset": 1.0, "degrees": 0.5, "random": 1.0},
        spread=0.1,
        looks=(16,),
        pairs=36,
        replication=36,
        confirmed={},
    )
    report = read_report(replicated.write(tmp_path / "simulated-20260101T120000Z"))
    assert ratios(report)["degrees"][1] == 16
    [found] = report.replications
    assert (found.first, found.pairs) == (16, 20)
    assert {c.arm: c.ratio and (c.ratio.pairs, c.ratio.confidence) for c in found.comparisons} == {
        arm: (20, pytest.approx(bonferroni(2))) for arm in ("degrees", "random")
    }
    assert {arm: claim and claim.name for arm, claim in found.claims.items()}["degrees"] == "faster"
    text = " ".join(printed(report).split())
    assert "Replication, 20 pairs past the plan (replicates 16 to 35), analysed alone" in text


def test_replicates_that_did_not_learn_stand_in_the_way_of_more_pairs(tmp_path: Path) -> None:
    slow = simulation([Look(pairs=16, going=["degrees", "random"], decided=[])], never={"degrees": 1})
    sentences = read_report(slow.write(tmp_path / "simulated-20260101T120000Z")).looks_sentences
    assert any(
        "degrees: more pairs can't decide it, since 1 replicate of the faster side did not meet" in one
        for one in sentences
    )
