"""The learning check: right gradients pass, and wrong ones of every kind fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import biotune_kernels.backends.dense
from biotune.connectome import load_connectome
from biotune_kernels.backends import stepwise
from biotune_kernels.contract import Gradients
from biotune_kernels.pattern import SparsePattern
from checks import default_study, learning
from checks.learning import TOLERANCE, Learned, by_definition, on_backend

EPOCHS = 3
PLAN = default_study.plan("marmoset", load_connectome("distance_rule:marmoset", seed=1), range(2), neurons=1)
right = biotune_kernels.backends.dense.backward


@pytest.fixture(scope="module")
def expected() -> Learned:
    """What the default study's networks, with one neuron per region, learn on the definition."""
    return by_definition(PLAN, EPOCHS)


def edited(change: Callable[[Tensor], Tensor]) -> Callable[..., Gradients]:
    """The right gradients, except that of the values."""

    def backward(*arguments: Any) -> Gradients:
        found = right(*arguments)
        assert found.values is not None
        return found._replace(values=change(found.values))

    return backward


def of_two_steps(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: str,
    wanted: frozenset[str],
) -> Gradients:
    """Right for two steps: from the third on, g_{t+1} is the last step's, as if a loop kept its first value."""

    class Stuck(biotune_kernels.backends.dense._Products):
        first: Tensor | None = None

        def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
            self.first = state.clone() if self.first is None else self.first
            return super().transposed_times(self.first, add)

    products = Stuck(pattern, values, pattern.size)
    return stepwise.backward(products, grad, hidden, inputs, weight_ih, hidden_0, nonlinearity, wanted)


@pytest.mark.parametrize("backend", ["dense", "torch_csr"])
def test_right_gradients_pass(backend: str, expected: Learned) -> None:
    found = on_backend(backend, PLAN, EPOCHS, expected)
    assert found.passes(TOLERANCE["highest"]), found
    assert 0 < found.deviation < TOLERANCE["highest"] / 100, "rounding lies far below the limit"
    assert (len(found.losses), len(found.losses[0])) == (EPOCHS + 1, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(of_two_steps, id="right for two steps"),
        pytest.param(edited(lambda values: values.roll(1, dims=1)), id="edges in another order"),
        pytest.param(edited(lambda values: -values), id="sign"),
        pytest.param(edited(lambda values: 0 * values), id="nothing"),
        pytest.param(edited(lambda values: values * float("nan")), id="nan"),
    ],
)
def test_wrong_gradients_fail_at_every_precision(
    wrong: Callable[..., Any], expected: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(biotune_kernels.backends.dense, "backward", wrong)
    found = on_backend("dense", PLAN, EPOCHS, expected)
    assert not found.passes(max(TOLERANCE.values())), found


def test_half_a_gradient_fails_in_full_precision(expected: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam divides by the gradient's scale, so that only clipping shows a difference."""
    monkeypatch.setattr(biotune_kernels.backends.dense, "backward", edited(lambda values: 0.5 * values))
    found = on_backend("dense", PLAN, EPOCHS, expected)
    assert not found.passes(TOLERANCE["highest"]), found


def test_products_of_less_precision_pass_at_theirs(expected: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    class Rounded(biotune_kernels.backends.dense._Products):
        def __init__(self, pattern: SparsePattern, values: Tensor, size: int) -> None:
            super().__init__(pattern, coarse(values), size)

        def times(self, state: Tensor, add: Tensor) -> Tensor:
            return super().times(coarse(state), add)

        def transposed_times(self, state: Tensor, add: Tensor) -> Tensor:
            return super().transposed_times(coarse(state), add)

        def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
            return super().edge_products(coarse(left), coarse(right))

    def coarse(tensor: Tensor) -> Tensor:
        return tensor.bfloat16().to(tensor.dtype)

    monkeypatch.setattr(biotune_kernels.backends.dense, "_Products", Rounded)
    found = on_backend("dense", PLAN, EPOCHS, expected)
    assert found.passes(TOLERANCE["medium"]), found
    assert found.deviation > 1e-5, "it was rounded"


def test_the_command_prints_a_table_and_fails_for_one_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_memory(*_: Any) -> Gradients:
        raise torch.OutOfMemoryError("no memory\nfor this")

    options = ["--epochs", "1", "--replicates", "1", "--neurons", "1", "--json", str(tmp_path / "found.json")]
    assert learning.main([*options, "--backends", "dense,torch_csr"]) == 0
    assert capsys.readouterr().out.endswith("all pass\n")
    monkeypatch.setattr(biotune_kernels.backends.dense, "backward", no_memory)
    assert learning.main([*options, "--backends", "dense,torch_csr"]) == 1
    printed = capsys.readouterr().out
    assert "FAILS: no memory" in printed
    assert printed.endswith("tolerance 0.001: dense failed\n")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["backend"] for one in found["learned"]] == ["reference, float64", "dense", "torch_csr"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backends", "triton"], "triton can't be used here"),
        (["--epochs", "0"], "1 or more"),
        pytest.param(
            ["--device", "cuda"],
            "sees no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="it is there"),
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        learning.main(options)
    assert message in capsys.readouterr().err
