"""What limits an answer, from the measures of the networks that gave it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biotune.report import read_report
from biotune.results import Results

Simulate = Callable[..., Path]


@pytest.fixture
def limits(simulate: Simulate) -> Callable[..., list[str]]:
    """The limits of a study that name the Frobenius norm; its arms have these norms and radii, if any."""

    def found(norms: Mapping[str, float] | None, radii: Mapping[str, float]) -> list[str]:
        results = Results(simulate(ratios=dict.fromkeys(radii, 1.0), pairs=4, trials=2))
        table = results.read_table("topologies")
        spread = 1 + 0.01 * (table["replicate"] - 1.5)
        if norms is not None:
            table["frobenius_norm"] = table["arm"].map(norms) * spread
        table["spectral_radius"] = table["arm"].map(radii)
        results.write_table("topologies", table)
        return [limit.text for limit in read_report(results.path).limits if "Frobenius" in limit.text]

    return found


RADII = dict.fromkeys(("marmoset", "smaller", "alike", "larger"), 0.9)


def test_norms_that_differ_at_one_radius_are_named_with_their_factor(limits: Callable[..., list[str]]) -> None:
    norms = {"marmoset": 4.0, "smaller": 3.0, "alike": 5.1, "larger": 8.0}
    smaller, larger = limits(norms, RADII)
    assert smaller.startswith(
        "smaller: at the same spectral radius as marmoset, 0.9, its initial recurrent matrix has 0.75 times the "
        "Frobenius norm (3 against 4)"
    )
    assert "larger: " in larger
    assert "2.00 times" in larger


def test_norms_are_not_compared_where_radii_differ_or_nothing_was_measured(limits: Callable[..., list[str]]) -> None:
    norms = {"marmoset": 4.0, "larger": 8.0}
    assert limits(norms, {"marmoset": 0.9, "larger": 0.9 + 1e-7})
    assert not limits(norms, {"marmoset": 0.9, "larger": 0.95})
    assert not limits(norms, {"marmoset": 0.9, "larger": float("nan")})
    assert not limits(None, {"marmoset": 0.9, "larger": 0.9})


class TestChosenSettings:
    """Settings at an end of what was tried, or next to divergence."""

    def test_one_at_an_end_is_named_once_with_all_that_it_is_the_setting_of(self, simulate: Simulate) -> None:
        texts = [limit.text for limit in read_report(simulate(pairs=4)).limits]
        [text] = [text for text in texts if "upper end of learning_rate" in text]
        assert text.startswith("The setting of marmoset at its best, degrees at its best, degrees in its pair")

    def test_one_inside_of_what_was_tried_is_not(self, simulate: Simulate) -> None:
        results = Results(simulate(pairs=4))
        trials = results.read_table("trials")
        beyond = trials[trials["index"] == 7].assign(index=8, **{"tune.learning_rate": 0.0099})
        beyond = beyond.assign(trial=[f"{arm}-0008" for arm in beyond["arm"]])
        results.write_table("trials", pd.concat([trials, beyond], ignore_index=True))
        assert not [limit for limit in read_report(results.path).limits if "end of learning_rate" in limit.text]

    def test_one_next_to_divergence_is_named_with_the_arm_that_diverged(self, simulate: Simulate) -> None:
        results = Results(simulate(pairs=4))
        trials = results.read_table("trials")
        near = (trials["arm"] == "degrees") & (trials["index"] == 2)  # 1.8 times slower, and with the same nonlinearity
        trials.loc[near, ["status", "best_loss"]] = ["diverged", np.nan]
        results.write_table("trials", trials)
        texts = [limit.text for limit in read_report(results.path).limits if "next to one" in limit.text]
        assert len(texts) == 1
        assert "diverged: degrees (learning_rate 0.00167, nonlinearity tanh)" in texts[0]
