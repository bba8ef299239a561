"""What training reports: the numbers of the tables' columns."""

import math
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from biotune.results import TABLES
from biotune.training import BlockReport, Convergence, Standing, Trial, TrialPlan, TrialReport

MakePlan = Callable[..., TrialPlan]


@pytest.mark.parametrize(("reported", "table"), [(Standing, "trials"), (Convergence, "convergence")])
def test_what_is_reported_of_trials_and_replicates_has_a_column(reported: type, table: str) -> None:
    names = {field.name for field in fields(reported)} - {"score", "finished"}  # a trial's best_loss, and its status
    assert names <= set(TABLES[table].names)


def test_reports_of_a_trial_together_hold_every_evaluation_once(make_plan: MakePlan) -> None:
    trial, reports = Trial(make_plan(max_epochs=4)), []
    while not trial.finished:
        trial.run_epoch()
        if trial.loop.epoch % 2 == 0 or trial.finished:
            seen = reports[-1].evaluations.first + len(reports[-1].evaluations.validation) if reports else 0
            reports.append(TrialReport.of(trial, seen, seconds=1.0))
    rows = [row for report in reports for row in report.evaluations.validation]
    np.testing.assert_array_equal(rows, [losses.tolist() for losses in trial.loop.validation_losses])
    assert reports[0].evaluations.training[0] == [None] * len(trial.plan.replicates)
    last = reports[-1].standing
    assert last.finished
    assert last.score == trial.score
    assert last.mean_updates == np.mean([outcome.updates for outcome in trial.convergence()])


def test_a_block_reports_a_row_of_each_table_for_each_replicate(make_plan: MakePlan) -> None:
    trial = Trial(make_plan(phase="confirm", max_epochs=2))
    while not trial.finished:
        trial.run_epoch()
    report = BlockReport.of(trial, seconds=1.0)
    assert len(report.convergence) == len(report.topologies) == len(trial.plan.replicates)
    for outcome, tested in zip(report.convergence, trial.loop.test_losses.tolist(), strict=True):
        assert outcome.test_loss == tested
        assert outcome.best_loss is not None
        assert math.isfinite(outcome.best_loss)
    assert [row["digest"] for row in report.topologies] == [topology.digest for topology in trial.topologies]
    assert report.matrix is not None
    assert BlockReport.of(Trial(make_plan(phase="confirm", replicates=(1,))), seconds=1.0).matrix is None


def test_replicates_of_a_plan_have_its_digest_and_no_other_plan_has(make_plan: MakePlan) -> None:
    plan = make_plan(phase="confirm", replicates=(0, 1))
    assert plan.digest == make_plan(phase="confirm", replicates=(2,)).digest
    others = [make_plan(phase="search"), make_plan(phase="confirm", seed=5), make_plan(phase="confirm", max_epochs=7)]
    assert len({plan.digest, *(other.digest for other in others)}) == 4
