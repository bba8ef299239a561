"""Small studies, written as YAML the way a user writes them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import biotune.study  # noqa: F401  # before a test's own import of Ray
from checks.ray_head import Head, ray_head


@pytest.fixture
def write_space(tmp_path: Path, small_text: str) -> Callable[..., Path]:
    def write(*changes: tuple[str, str], text: str = small_text) -> Path:
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
