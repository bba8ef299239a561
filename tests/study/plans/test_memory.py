"""What does not fit into memory is refused before any is taken, with the key that takes most of it."""

import tracemalloc
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.plans.plans import Plans


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("topology.neurons_per_region=100000", "networks of 1,900,000 neurons .*; lower topology.neurons_per_region"),
        (
            "tune.neurons_per_region={choice: [100000, 2]}",
            "networks of 1,900,000 neurons .*; lower topology.neurons_per_region",
        ),
        ("task.trials=1000000000", "the data of 1,000,000,000 trials of 5 steps .*; lower task.trials"),
        ("task.batch=1000000000", "the states of 1,000,000,000 trials of 5 steps .*; lower task.batch"),
        ("task.pattern_length=100000000000", "the states of 16 trials of 200,000,000,001 steps"),
    ],
)
def test_what_does_not_fit_is_refused_before_memory_is_taken(small_space: Path, override: str, named: str) -> None:
    study = load_study(small_space, overrides=[override])
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=rf"arm real: needs about .* of memory, and this machine has .*: {named}"):
            Plans.load(study)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_more_evaluations_than_the_driver_can_keep_are_refused(small_space: Path) -> None:
    many = ["search.trials_per_arm=100000", "search.max_epochs=1000000"]
    with pytest.raises(UserError, match=r"evaluations in the search \(2 arms × 100,000 trials × .* lower search"):
        Plans.load(load_study(small_space, overrides=many))
    many = ["confirm.replicates=100000", "confirm.max_epochs=1000000"]
    with pytest.raises(UserError, match=r"evaluations in the confirmation .* lower confirm.replicates"):
        Plans.load(load_study(small_space, overrides=many))
    many.append("gain={scales: [0.5, 1, 2], learning_rates: [0.001, 0.01]}")
    own_best, pair = 100_000, 100_000 + 6 * (100_000 + 2)  # each part of the sweep on both phases' seeds
    with pytest.raises(UserError, match=rf"\({2 * (own_best + pair):,} networks"):
        Plans.load(load_study(small_space, overrides=many))
    many.append("arms.third={}")  # then there are two pairs that the reference is in
    with pytest.raises(UserError, match=rf"\({3 * (own_best + pair) + pair:,} networks"):
        Plans.load(load_study(small_space, overrides=many))


def test_trials_must_fit_where_they_are_trained(small_space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(small_space, overrides=["task.batch=16"])
    plans = Plans.load(study)
    plans.require_room(2**30, "the largest machine of the cluster")
    with pytest.raises(
        UserError,
        match=r"^condition primary, arm real: needs about .*, and the largest machine of the cluster has 1 KiB",
    ):
        plans.require_room(1024, "the largest machine of the cluster")
    little = load_study(small_space, overrides=["task.trials=1000000000"])
    with pytest.raises(UserError, match="this machine has"):
        Plans.load(little)
    Plans.load(little, trains_here=False)  # a driver draws, and trains nothing
