import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biotune.statistics import LEAST_TRIALS, expected_best, importances


class TestExpectedBest:
    @given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=7))
    def test_is_the_mean_over_all_choices(self, losses):
        expected = [
            stats.gmean([min(chosen) for chosen in itertools.combinations(losses, n)])
            for n in range(1, len(losses) + 1)
        ]
        assert expected_best(losses) == pytest.approx(expected)

    def test_of_very_many(self):
        best = expected_best(np.geomspace(1e-5, 1, 3000))
        assert best[-1] == pytest.approx(1e-5)
        assert best[0] == pytest.approx(10**-2.5)
        assert (np.diff(best) <= 0).all()

    def test_of_none(self):
        assert expected_best([]).tolist() == []


class TestImportances:
    def settings(self, count):
        generator = np.random.default_rng(7)
        return pd.DataFrame(
            {
                "rate": generator.uniform(size=count),
                "kind": generator.choice(["a", "b"], count),
                "idle": generator.uniform(size=count),
            }
        )

    @pytest.mark.slow
    def test_finds_what_the_loss_depends_on(self):
        settings = self.settings(80)
        arm = np.arange(80) % 4
        noise = np.random.default_rng(1).normal(0, 0.1, 80)
        loss = np.exp(5 * settings["rate"] + (settings["kind"] == "a") + 3 * arm + noise)
        found = importances(settings, arm, loss, seed=1)
        assert found.explained > 0.8
        assert found.lost["rate"] > found.lost["kind"] > 0.05
        assert abs(found.lost["idle"]) < 0.03

    @pytest.mark.slow
    def test_say_that_they_know_nothing_of_noise(self):
        settings = self.settings(60)
        found = importances(settings, np.zeros(60), np.exp(np.random.default_rng(2).normal(size=60)), seed=1)
        assert found.explained < 0.1

    @pytest.mark.slow
    def test_need_thirty_trials_that_differ(self):
        settings = self.settings(LEAST_TRIALS)
        losses = np.geomspace(1, 2, LEAST_TRIALS)
        assert importances(settings[:-1], np.zeros(LEAST_TRIALS - 1), losses[:-1], seed=1) is None
        assert importances(settings, np.zeros(LEAST_TRIALS), np.ones(LEAST_TRIALS), seed=1) is None
        assert importances(settings, np.zeros(LEAST_TRIALS), losses, seed=1).trials == LEAST_TRIALS
