"""What somebody else adds a backend by: a file in `backends/` and a name in `NAMES`, and nothing more."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import benchmarks.kernels
import biotune_kernels.backends
import biotune_kernels.layer
import biotune_kernels.select
from benchmarks.kernels import Shape, why_left_out
from biotune_kernels import SparsePattern, available_backends, choose_backend, require_backend, sparse_rnn
from biotune_kernels.backends import NAMES, load

pytestmark = pytest.mark.usefixtures("fresh", "added")

FILE = """
import torch
from torch import Tensor

from biotune_kernels.backends import stepwise
from biotune_kernels.pattern import SparsePattern


class _Products:
    def __init__(self, pattern: SparsePattern, values: Tensor) -> None:
        networks = torch.arange(pattern.population)[:, None]
        self.at = networks, pattern.target, pattern.source
        self.matrices = values.new_zeros(pattern.population, pattern.size, pattern.size)
        self.matrices[self.at] = values

    def times(self, state: Tensor, add: Tensor) -> Tensor:
        return add + self.matrices @ state

    def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
        return add + self.matrices.mT @ state

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        return stepwise.outer(left, right)[self.at]


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    return None if device.type == "cpu" else "it is for CPUs; use device cpu"


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    return "it pays from 8 trials in a batch" if batch < 8 else None


def independent(device: torch.device) -> bool:
    return False


forward, backward = stepwise.functions(_Products)
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Backend `indexed`, as if its file lay in `backends/` and its name stood in `NAMES`."""
    (tmp_path / "indexed.py").write_text(FILE)
    importlib.invalidate_caches()
    monkeypatch.setattr(biotune_kernels.backends, "__path__", [*biotune_kernels.backends.__path__, str(tmp_path)])
    for module in (biotune_kernels.backends, biotune_kernels.layer, biotune_kernels.select, benchmarks.kernels):
        monkeypatch.setattr(module, "NAMES", (*NAMES, "indexed"))
    yield
    load.cache_clear()
    biotune_kernels.select._why_not.cache_clear()
    sys.modules.pop("biotune_kernels.backends.indexed", None)


def pattern() -> SparsePattern:
    place = torch.stack([torch.randperm(400, generator=torch.Generator().manual_seed(n))[:90] for n in range(2)])
    return SparsePattern(place // 20, place % 20, 20)


def test_it_is_listed_and_verified_and_runs_by_name() -> None:
    assert available_backends("cpu")["indexed"] is None
    assert available_backends("meta")["indexed"] == "it is for CPUs; use device cpu"
    assert require_backend("indexed", pattern(), batch=9, input_size=2).passed
    values = torch.randn(2, 90, generator=torch.Generator().manual_seed(0))
    given = torch.rand(2, 9, 5, 2), pattern(), torch.rand(2, 20, 2), torch.zeros(2, 20)

    def gradient(backend: str) -> Tensor:
        leaf = values.clone().requires_grad_()
        hidden = sparse_rnn(given[0], leaf, *given[1:], backend=backend)
        return torch.autograd.grad(hidden.square().sum(), leaf)[0]

    torch.testing.assert_close(gradient("indexed"), gradient("reference"), rtol=1e-4, atol=1e-4)


def test_auto_and_the_benchmark_take_it_if_it_suits_and_leave_it_out_if_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        biotune_kernels.select, "_measure", lambda names, *_: {name: 1.0 + (name != "indexed") for name in names}
    )
    assert choose_backend(pattern(), batch=8, time=5, input_size=2) == "indexed"
    assert choose_backend(pattern(), batch=7, time=5, input_size=2) != "indexed"
    assert why_left_out("indexed", pattern(), Shape(20, 90, 8, 5, 2)) == ""
    assert why_left_out("indexed", pattern(), Shape(20, 90, 7, 5, 2)) == "it pays from 8 trials in a batch"
