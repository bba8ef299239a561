"""Small studies, written as YAML the way a user writes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = """# Is a small study run from end to end?
name: small
seed: 3
task: {name: seq_mem, pattern_length: 2, trials: 60, batch: 16}
connectome: {name: "distance_rule:mouse_gamanut"}
topology: {neurons_per_region: 2}
arms:
  real: {}
  rewired: {null: {name: degree_preserving, level: neuron}}
reference_arm: real
tune:
  learning_rate: {loguniform: [1.0e-3, 1.0e-1]}
  nonlinearity: {choice: [tanh, relu]}
search: {trials_per_arm: 5, shared_settings: 2, replicates: 2, max_epochs: 9, grace: 1, reduction: 3}
confirm: {replicates: 3, max_epochs: 6, population: 2}
"""


@pytest.fixture(scope="session")
def small_text() -> str:
    return SMALL


@pytest.fixture
def write_space(tmp_path: Path) -> Callable[..., Path]:
    def write(*changes: tuple[str, str], text: str = SMALL) -> Path:
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file = tmp_path / "space.yaml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def small_space(write_space: Callable[..., Path]) -> Path:
    return write_space()
