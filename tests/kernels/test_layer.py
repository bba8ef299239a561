"""sparse_rnn as a PyTorch operator, and what it says to bad input."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from biotune_kernels import SparsePattern, available_backends, sparse_rnn
from biotune_kernels.operator import sparse_rnn_backward_operator, sparse_rnn_operator

POPULATION, SIZE, BATCH, TIME, INPUTS = 2, 5, 3, 4, 2
NATIVE = [name for name, reason in available_backends("cpu").items() if reason is None and name in ("dense", "cpu")]


def arguments(dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([[0, 1, 2, 4, 4, 0], [3, 0, 1, 1, 2, 4]])
    source = torch.tensor([[1, 1, 0, 3, 4, 0], [2, 4, 0, 1, 2, 3]])

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    return {
        "inputs": random(POPULATION, BATCH, TIME, INPUTS),
        "values": random(POPULATION, 6),
        "pattern": SparsePattern(target, source, SIZE),
        "weight_ih": random(POPULATION, SIZE, INPUTS),
        "bias": random(POPULATION, SIZE),
        "hidden_0": random(POPULATION, BATCH, SIZE),
    }


def as_operator(given: dict[str, Any], backend: str) -> tuple[Any, ...]:
    pattern = given["pattern"]
    tensors = [given[name].requires_grad_() for name in ("inputs", "values", "weight_ih", "bias", "hidden_0")]
    return *tensors, pattern.target, pattern.source, pattern.size, "tanh", backend


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_reference_is_the_definition(nonlinearity: str) -> None:
    given = arguments()
    pattern = given["pattern"]
    hidden = sparse_rnn(**given, nonlinearity=nonlinearity, backend="reference")
    for p in range(POPULATION):
        rnn = torch.nn.RNN(INPUTS, SIZE, nonlinearity=nonlinearity, batch_first=True, dtype=torch.float64)
        weight_hh = torch.zeros(SIZE, SIZE, dtype=torch.float64)
        weight_hh[pattern.target[p], pattern.source[p]] = given["values"][p]
        weights = (given["weight_ih"][p], weight_hh, given["bias"][p], torch.zeros(SIZE, dtype=torch.float64))
        rnn.load_state_dict(dict(zip(rnn.state_dict(), weights, strict=True)))
        expected, _ = rnn(given["inputs"][p], given["hidden_0"][p : p + 1])
        torch.testing.assert_close(hidden[p], expected)


@pytest.mark.parametrize("backend", ["reference", *NATIVE])
def test_gradients_are_those_of_finite_differences(backend: str) -> None:
    given = arguments()
    names = ("inputs", "values", "weight_ih", "bias", "hidden_0")
    pattern = given["pattern"]

    def layer(*tensors: torch.Tensor) -> torch.Tensor:
        return sparse_rnn(**dict(zip(names, tensors, strict=True)), pattern=pattern, backend=backend)

    leaves = tuple(given[name].requires_grad_() for name in names)
    assert torch.autograd.gradcheck(layer, leaves)
    if backend == "reference":
        assert torch.autograd.gradgradcheck(layer, leaves)


@pytest.mark.parametrize("backend", NATIVE)
def test_the_operator_passes_opcheck(backend: str) -> None:
    torch.library.opcheck(sparse_rnn_operator, as_operator(arguments(), backend))
    hidden = sparse_rnn_operator(*as_operator(arguments(), backend)).detach()
    inputs, values, weight_ih, _, hidden_0, *rest = as_operator(arguments(), backend)
    tensors = [tensor.detach() for tensor in (inputs, values, weight_ih, hidden_0)]
    everything = [True] * 5
    torch.library.opcheck(sparse_rnn_backward_operator, (torch.ones_like(hidden), hidden, *tensors, *rest, everything))


@pytest.mark.long
@pytest.mark.parametrize("backend", [*NATIVE, "auto"])
def test_compiles_in_one_piece(backend: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path))
    given = arguments()
    leaf = given["values"].requires_grad_()

    def loss(values: torch.Tensor) -> torch.Tensor:
        return (sparse_rnn(**{**given, "values": values}, backend=backend) ** 2).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(compiled(leaf), loss(leaf))
        torch.testing.assert_close(torch.autograd.grad(compiled(leaf), leaf), torch.autograd.grad(loss(leaf), leaf))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("backend", ["reference", *NATIVE])
def test_inference_keeps_nothing_for_a_backward(backend: str, mode: Callable[[], Any]) -> None:
    given = arguments()
    given["values"].requires_grad_()
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        sparse_rnn(**given, backend=backend)
        assert kept, "a pass for training keeps what its backward needs"
        kept.clear()
        with mode():
            hidden = sparse_rnn(**given, backend=backend)
    assert not kept
    last = weakref.ref(hidden)
    del hidden
    assert last() is None


def test_a_second_derivative_is_refused_where_there_is_none() -> None:
    given = arguments()
    leaf = given["values"].requires_grad_()
    (gradient,) = torch.autograd.grad((sparse_rnn(**given, backend="dense") ** 2).sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate"):
        torch.autograd.grad(gradient.sum(), leaf)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": torch.ones(2, 3, 4, dtype=torch.float64)},
            r"inputs: expected \[population, batch, time, input_size\]",
        ),
        ({"inputs": torch.ones(2, 0, 4, 2, dtype=torch.float64)}, r"inputs: .*1 or more, got \[2, 0, 4, 2\]"),
        (
            {"inputs": torch.ones(2, 3, 4, 2, dtype=torch.int64)},
            r"inputs: expected float32 or float64, got torch.int64",
        ),
        ({"inputs": torch.ones(2, 3, 4, 2)}, r"values: torch.float64, but inputs is torch.float32"),
        ({"inputs": torch.ones(1, 3, 4, 2, dtype=torch.float64)}, r"inputs: a population of 1 .*the pattern has 2"),
        (
            {"values": torch.ones(2, 7, dtype=torch.float64)},
            r"values: expected \[population, nnz\] = \[2, 6\], got \[2, 7\]",
        ),
        ({"values": [1.0]}, r"values: expected a tensor, got list"),
        (
            {"weight_ih": torch.ones(2, 5, 3, dtype=torch.float64)},
            r"weight_ih: expected .* = \[2, 5, 2\], got \[2, 5, 3\]",
        ),
        ({"bias": torch.ones(5, dtype=torch.float64)}, r"bias: expected \[population, size\] = \[2, 5\], got \[5\]"),
        (
            {"hidden_0": torch.ones(2, 5, 3, dtype=torch.float64)},
            r"hidden_0: expected .* = \[2, 3, 5\], got \[2, 5, 3\]",
        ),
        ({"pattern": None}, r"pattern: expected a SparsePattern, got NoneType"),
        ({"nonlinearity": "sigmoid"}, r"nonlinearity: expected one of tanh, relu, got 'sigmoid'"),
        ({"first": 4}, r"first: expected a step from 0 to 3, got 4"),
        ({"backend": "cuda"}, r"backend: expected auto or one of .*, got 'cuda'"),
        ({"bias": torch.ones(2, 5, dtype=torch.float64, device="meta")}, r"bias: on meta, but inputs is on cpu"),
    ],
)
def test_bad_input_is_named_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        sparse_rnn(**{**arguments(), **change})
    assert "\n" not in str(caught.value)


def test_a_backend_that_is_not_usable_says_why() -> None:
    unusable = {name: reason for name, reason in available_backends("cpu").items() if reason is not None}
    for name, reason in unusable.items():
        with pytest.raises(ValueError, match=f"backend: {name} can't be used here: ") as caught:
            sparse_rnn(**arguments(), backend=name)
        assert reason in str(caught.value)
