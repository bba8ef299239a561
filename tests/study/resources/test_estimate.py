"""How long a study takes: what its parts depend on, how a range is spelled, and that a dry run measures them all."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from biotune.cli import run, tune_main
from biotune.errors import UserError
from biotune.study import Study, load_study
from biotune.study.plans.plans import Plans
from biotune.study.resources import timing
from biotune.study.resources.estimate import UNTIL_MET, Costs, Measured, Span, estimate, makespan, report, total
from biotune.study.resources.kernels import all_on
from biotune.study.resources.timing import time_trials


@pytest.fixture
def study(small_space: Path) -> Study:
    """Two arms; 5 trials each of up to 9 epochs, with rungs at 1 and 3; 3 confirmed replicates in blocks of 2 and 1."""
    return load_study(small_space)


def measured(study: Study, *, draw: float = 0.0, begin: float = 0.0, epoch: float = 1.0) -> Measured:
    trials = {phase: dict.fromkeys(study.arms, Costs(draw, begin, epoch)) for phase in ("search", "confirm")}
    return Measured(process=0.0, reading=0.0, kernels=0.0, trials=trials)


def test_the_whole_is_the_sum_of_its_parts_from_the_command_to_the_report(study: Study) -> None:
    parts = estimate(study, replace(measured(study, draw=1.0), process=3.0, reading=60.0, kernels=5.0), 2)
    assert list(parts) == [
        "starting Python and Ray",
        "reading",
        "drawing topologies",
        "kernels",
        "search",
        "confirm",
        "report",
    ]
    assert all(0 < span.low <= span.high for span in parts.values())
    whole = total(parts.values())
    assert whole.low == pytest.approx(sum(span.low for span in parts.values()))
    assert whole.high == pytest.approx(sum(span.high for span in parts.values()))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"reading": 100.0}, {"reading"}),
        ({"kernels": 100.0}, {"kernels"}),
        ({"process": 100.0}, {"starting Python and Ray", "kernels", "search", "confirm", "report"}),
    ],
)
def test_what_takes_longer_is_in_its_part(study: Study, change: dict[str, float], parts: set[str]) -> None:
    before = estimate(study, measured(study), 2)
    after = estimate(study, replace(measured(study), **change), 2)
    assert {name for name in after if after[name].high > before[name].high + 50} == parts


def test_topologies_are_drawn_for_the_kernels_by_each_worker_and_by_each_block(study: Study) -> None:
    [one, two] = (estimate(study, measured(study, draw=10.0, epoch=0.0), workers) for workers in (1, 2))
    # of two arms: 40 s to verify both phases, 20 s in the search, in confirm 15 s an arm at one setting, 30 s at two
    drawing = one["drawing topologies"]
    assert drawing.low < 40 + 20 + 30 <= drawing.high
    assert drawing.high > 40 + 20 + 30 + 0.7 * 30
    assert two["drawing topologies"].high < drawing.high
    assert one["search"].high < one["confirm"].high + 1 < 3  # what is drawn counts once


def test_a_search_lies_between_what_asha_stops_at_best_and_nothing_stopped(study: Study) -> None:
    found = estimate(study, measured(study), 1)["search"]
    at_best, nothing = 10 * (1 + 2 / 3 + 6 / 9), 10 * 9
    assert at_best < found.low < found.high < 1.15 * nothing
    assert estimate(study, measured(study), 2)["search"].high < 0.7 * found.high


def test_one_trial_is_as_long_as_its_epochs_however_many_could_run(write_space: Callable[..., Path]) -> None:
    study = load_study(write_space(("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 1, shared_settings: 1")))
    assert estimate(study, measured(study), 64)["search"].low >= 0.9 * 9


def test_confirm_takes_as_long_as_its_blocks_on_the_places_there_are(study: Study) -> None:
    epochs = 6 + 2  # two more, to see that a crossing at the budget holds
    alone, many = (estimate(study, measured(study), places)["confirm"] for places in (1, 64))
    assert alone.low < 2 * 2 * 1.5 * epochs < alone.high * 1.1
    assert epochs <= many.high < 1.2 * epochs * 1.15


def test_a_condition_takes_part_of_the_budget_on_its_replicates_and_without_the_positive_control(
    write_space: Callable[..., Path],
) -> None:
    def seconds(*conditions: str) -> Span:
        text = "".join(f"  {line}\n" for line in ("primary: {}", *conditions))
        space = write_space(("tune:", f"positive_control: frozen\nconditions:\n{text}tune:"))
        study = load_study(space)
        return estimate(study, measured(study), 1)["confirm"]

    alone, with_one = seconds(), seconds("a: {network: {readout: 0.5}}")
    few = seconds("a: {network: {readout: 0.5}, replicates: 2}")
    epochs = 6 + 2
    blocks = 2 * 1.5  # of two arms, on 3 replicates in blocks of 2 and 1; on 2 replicates, two thirds of that
    assert with_one.low - alone.low == pytest.approx(0.9 * UNTIL_MET[0] * epochs * blocks, rel=0.5)
    assert with_one.high - alone.high == pytest.approx(1.15 * UNTIL_MET[1] * epochs * blocks, rel=0.1)
    assert few.high - alone.high == pytest.approx((with_one.high - alone.high) * 2 / 3, rel=0.1)
    two = seconds("a: {network: {readout: 0.5}}", "b: {network: {readout: 0.6}}")
    assert two.high - alone.high == pytest.approx(2 * (with_one.high - alone.high))


def test_more_arms_and_more_curves_make_a_report_longer(study: Study, write_space: Callable[..., Path]) -> None:
    larger = load_study(write_space(("replicates: 3", "replicates: 3000")))
    assert report(larger, 5.0).low > 2 * report(study, 5.0).high
    assert report(study, 10.0).low == 2 * report(study, 5.0).low


def test_jobs_wait_for_a_free_place() -> None:
    assert makespan([2, 2, 2], 2) == 4
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([], 3) == 0


@pytest.mark.parametrize(
    ("low", "high", "spelled"),
    [
        (0, 1, "less than 5 seconds"),
        (41, 58, "40 to 60 seconds"),
        (240, 350, "4 to 6 minutes"),
        (290, 310, "about 5 minutes"),
        (5000, 8000, "83 to 133 minutes"),
        (3.2 * 3600, 5.8 * 3600, "3 to 6 hours"),
        (7 * 86400, 800 * 86400, "7 to 800 days"),
    ],
)
def test_a_range_is_spelled_in_the_unit_that_suits_it(low: float, high: float, spelled: str) -> None:
    assert str(Span(low, high)) == spelled


def test_a_trial_of_every_arm_and_phase_is_timed(small_space: Path) -> None:
    study = load_study(small_space)
    plans = replace(Plans.load(study), backends=all_on("dense", study.arms))
    found = time_trials(1, plans)
    assert {phase: list(arms) for phase, arms in found.items()} == {phase: list(study.arms) for phase in found}
    for phase, arms in found.items():
        for costs in arms.values():
            assert costs.epoch > 0
            assert costs.begin > 0
            assert (costs.measure > 0) == (phase == "confirm")
        # the null keeps the number of edges, so its networks are timed as the connectome's
        assert len({(costs.begin, costs.epoch) for costs in arms.values()}) == 1
        assert len({costs.draw for costs in arms.values()}) == len(arms)


def test_a_dry_run_counts_what_reading_took(
    small_space: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]

    def load(study: Study, trains_here: bool) -> Plans:
        clock[0] += 600.0  # a file as large as a fly's
        return plans

    def measure(plans: Plans, reading: float, **how: int) -> Measured:
        return replace(measured(plans.study, epoch=0.01), reading=reading)

    plans = Plans.load(load_study(small_space))
    monkeypatch.setattr(Plans, "load", load)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(timing, "measure", measure)
    assert tune_main(["--space", str(small_space), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "reading 9 to 12 minutes" in printed
    assert "\nin all 9 to 12 minutes, " in printed


def _dies(threads: int, given: None) -> None:
    os._exit(threads)


@pytest.mark.long
def test_a_process_that_is_killed_while_it_times_is_a_line() -> None:
    with pytest.raises(UserError, match="trials cannot be timed, 1 at once: a process was killed"):
        timing._at_once(1, 1, _dies, None)
