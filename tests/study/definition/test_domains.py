"""What is tuned: ranges, choices that do not go together, and a grid over all of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.search.sampler import sobol_settings

WriteSpace = Callable[..., Path]


def test_a_whole_number_is_drawn_from_its_range(write_space: WriteSpace) -> None:
    domain = "nonlinearity: {choice: [tanh, relu]}"
    study = load_study(write_space((domain, "neurons_per_region: {int: [1, 3]}")))
    drawn = [setting["neurons_per_region"] for setting in sobol_settings(study.config.tune, 32, seed=1)]
    assert set(drawn) == {1, 2, 3}
    assert all(type(value) is int for value in drawn)


def test_values_that_are_allowed_alone_but_not_together_are_refused(write_space: WriteSpace) -> None:
    together = "optimizer: {choice: [Adam, SGD]}\n  momentum: {choice: [0.0, 0.9]}"
    with pytest.raises(
        UserError,
        match=r"space.yaml:\d+: tune\.momentum: momentum 0.9, optimizer 'Adam' cannot be combined .momentum is for",
    ):
        load_study(write_space(("nonlinearity: {choice: [tanh, relu]}", together)))
    load_study(write_space(("nonlinearity: {choice: [tanh, relu]}", together.replace("Adam", "RMSprop"))))


GRID = (
    ("loguniform: [1.0e-3, 1.0e-1]", "choice: [1.0e-3, 1.0e-2, 1.0e-1]"),
    ("trials_per_arm: 5, shared_settings: 2,", "sampler: grid,"),
)


def test_a_grid_has_as_many_trials_as_combinations(write_space: WriteSpace, tmp_path: Path) -> None:
    study = load_study(write_space(*GRID))
    assert (study.config.search.trials_per_arm, study.config.search.shared_settings) == (6, 6)
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(study.resolved()))
    assert load_study(again).resolved() == study.resolved()


@pytest.mark.parametrize("key", ["trials_per_arm", "shared_settings"])
def test_a_grid_of_another_size_than_its_combinations_is_refused(write_space: WriteSpace, key: str) -> None:
    expected = (
        rf"space\.yaml:14: search\.{key}: sampler grid tries each of the 6 combinations .* {key} is 5; leave it out"
    )
    with pytest.raises(UserError, match=expected):
        load_study(write_space(*GRID, ("sampler: grid", f"sampler: grid, {key}: 5")))
