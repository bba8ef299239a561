"""What does not fit into memory is refused before any is taken, with the key that takes most of it."""

import tracemalloc
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.plans.memory import require_memory
from biotune.study.plans.plans import Plans, load_connectomes


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("topology.neurons_per_region=100000", "networks of 1,900,000 neurons .*; lower topology.neurons_per_region"),
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


def test_what_fits_is_not_refused(small_space: Path) -> None:
    study = load_study(small_space)
    connectomes = load_connectomes(study)
    for name, arm in study.arms.items():
        require_memory(study, arm, connectomes[name], available=2**30)
        with pytest.raises(UserError, match="this machine has 1 KiB"):
            require_memory(study, arm, connectomes[name], available=1024)
