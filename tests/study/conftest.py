"""Small studies, written as YAML the way a user writes them."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import biotune.study  # noqa: F401  # before a test's own import of Ray
from biotune.results import Results
from checks.ray_head import Head, ray_head

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"

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


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> tuple[Path, Results, str]:
    """The small study, run one trial at a time: its YAML, its results, and what it printed. Tests change a copy.

    It is run by the first of the processes that tests are divided among, and the others wait for it.
    """
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    shared = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    folder = shared / "finished"
    space, output, printed = folder / "space.yaml", folder / "results", folder / "printed.txt"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            folder.mkdir(exist_ok=True)
            space.write_text(small_text)
            command = [sys.executable, TUNE_MAIN, "--space", space, "--output", output, "--concurrency", "1"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            printed.write_text(done.stdout)
    [directory] = output.iterdir()
    return space, Results.open(directory), printed.read_text()


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


PLANTED = """
import os
from dataclasses import dataclass
import biotune_kernels.backends.cpu, biotune_kernels.backends.torch_csr
from biotune.tasks.seq_mem import SeqMem

def plant(module):
    right = module.backward
    def backward(grad, *others):
        found = right(grad, *others)
        return found if found.values is None else found._replace(values=1.01 * found.values)
    module.backward = backward

if "WRONG" in os.environ:
    plant(biotune_kernels.backends.cpu)
    plant(biotune_kernels.backends.torch_csr)

@dataclass(frozen=True)
class Planted(SeqMem):
    \"\"\"seq_mem; where its file is read with WRONG in the environment, the gradients of two backends are wrong.\"\"\"
"""


@pytest.fixture
def planted(write_space: Callable[..., Path], tmp_path: Path) -> Path:
    """A small study whose workers have wrong kernels where WRONG is in their environment."""
    task = tmp_path / "planted.py"
    task.write_text(PLANTED)
    return write_space(
        ("name: seq_mem,", f"name: '{task}:Planted',"),
        ("trials_per_arm: 5", "trials_per_arm: 3"),
        ("replicates: 3", "replicates: 2"),
    )


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A cluster of one machine, whose jobs run what is installed."""
    with ray_head(2, {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}) as head:
        yield head
