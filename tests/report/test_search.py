"""What a report says of the search."""

import numpy as np
import pytest

from biotune.report import make_report, read_report
from biotune.results import Results


def test_expected_best_of_the_quasi_random_trials(simulate):
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


def test_the_column_that_the_best_setting_is_chosen_by_is_shown(reported, read_page):
    directory, summary = reported
    trials = Results(directory).read_table("trials").set_index("trial")
    for found in summary.search:
        assert found.best_updates == trials.loc[found.best_trial, "mean_updates"]
    text = read_page(directory).text
    assert "the common setting with the fewest updates to criterion" in text
    assert "had one objective: the mean over a trial's networks of their updates to criterion" in text


def test_a_grid_has_none(simulate):
    directory = simulate(trials=4, edit=lambda study: study["search"].update(sampler="grid"))
    assert [found.expected_best for found in read_report(directory).search] == [[], [], []]


@pytest.mark.slow
def test_importances_from_thirty_completed_trials_on(simulate, read_page):
    assert make_report(simulate(trials=14)).importances is None  # 9 of 14 complete in each of three arms
    directory = simulate(trials=16)
    summary = make_report(directory)
    assert summary.importances.trials == 33
    assert set(summary.importances.lost) == {"learning_rate", "nonlinearity"}
    assert "Exploratory: a random forest" in read_page(directory).text
