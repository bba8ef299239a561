"""No backend is used before it is verified: right ones pass, and ones with planted mistakes do not."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import biotune_kernels.select
import biotune_kernels.verification
import checks.kernels
from benchmarks.kernels import Shape
from biotune_kernels import (
    SparsePattern,
    available_backends,
    choose,
    choose_backend,
    require_backend,
    sparse_rnn,
    verify,
)
from biotune_kernels.backends import dense, load
from biotune_kernels.backends.reference import backward as plain_backward
from biotune_kernels.backends.reference import forward as plain_forward
from biotune_kernels.contract import Gradients
from biotune_kernels.verification import deviation, tolerance

pytestmark = pytest.mark.usefixtures("fresh")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
USABLE = [name for name, reason in available_backends(DEVICE).items() if reason is None]
Backward = Callable[..., Gradients]


def pattern(size: int = 40, edges: int = 800, population: int = 1) -> SparsePattern:
    generator = torch.Generator().manual_seed(size)
    place = torch.stack([torch.randperm(size**2, generator=generator)[:edges] for _ in range(population)])
    return SparsePattern(place // size, place % size, size).to(DEVICE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("backend", USABLE)
def test_what_is_right_passes(backend: str, nonlinearity: str, dtype: torch.dtype) -> None:
    for size, edges, population, batch, inputs in ((1, 0, 1, 1, 0), (40, 800, 3, 37, 2), (130, 5000, 2, 70, 50)):
        found = verify(backend, pattern(size, edges, population), batch, inputs, nonlinearity, dtype)
        assert found.passed, found
        assert found.deviation.keys() == {"hidden", "values", "weight_ih", "bias"}
        if edges and dtype == torch.float32:  # in float64 the reference is what it is compared with
            assert all(value > 0 for value in found.deviation.values())


def test_a_large_problem_is_compared_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges and batch columns that are not compared change nothing, and cost little."""
    monkeypatch.setattr(biotune_kernels.verification, "_EDGES", 500)
    monkeypatch.setattr(biotune_kernels.verification, "_OPERATIONS", 1e6)
    ran = []

    def recorded(inputs: Tensor, *arguments: object) -> Tensor:
        ran.append(inputs.shape)
        return plain_forward(inputs, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(load("reference"), "forward", recorded)
    assert verify("reference", pattern(100, 5000, 5), 128, 2).passed
    whole, compared = ran
    assert whole == ((5, 5, 2, 128) if DEVICE == "cuda" else (5, 1, 2, 8))
    assert compared == (5, 2 if DEVICE == "cuda" else 1, 2, 8)
    assert all(verify(name, pattern(100, 5000, 5), 128, 2).passed for name in USABLE)


@given(
    sizes=st.tuples(*(st.integers(*ends) for ends in ((1, 4), (1, 3), (0, 3), (1, 9), (0, 25)))),
    unscored=st.integers(0, 3),
    started=st.booleans(),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
)
def test_the_plain_derivative_is_that_of_autograd(
    sizes: tuple[int, ...], unscored: int, started: bool, nonlinearity: str
) -> None:
    time, population, inputs, batch, edges = sizes
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    place = torch.stack([torch.randperm(25, generator=generator)[:edges] for _ in range(population)])
    edges_of = SparsePattern(place // 5, place % 5, 5)
    leaves = random(time, population, inputs, batch), random(population, edges), random(population, 5, inputs)
    bias, hidden_0 = random(population, 5), random(population, 5, batch) if started else None
    hidden = plain_forward(*leaves, bias, hidden_0, edges_of, nonlinearity)
    first = unscored % time
    grad = torch.randn(hidden[first:].shape, generator=generator, dtype=torch.float64)
    found = plain_backward(grad, hidden.detach(), *leaves, hidden_0, edges_of, nonlinearity, frozenset())
    wanted = {"inputs": leaves[0], "values": leaves[1], "weight_ih": leaves[2], "bias": bias}
    if hidden_0 is not None:
        wanted["hidden_0"] = hidden_0
    exact = torch.autograd.grad(hidden[first:], list(wanted.values()), grad, allow_unused=True)
    for (name, leaf), expected in zip(wanted.items(), exact, strict=True):
        torch.testing.assert_close(getattr(found, name), torch.zeros_like(leaf) if expected is None else expected)


RIGHT = dense.backward


def scaled(name: str, where: tuple[object, ...], factor: float) -> Backward:
    """Gradients, of which one part is wrong by a factor."""

    def backward(*arguments: object) -> Gradients:
        gradients = RIGHT(*arguments)  # type: ignore[arg-type]
        getattr(gradients, name)[where] *= factor
        return gradients

    return backward


def right_for_two_steps(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    edges: SparsePattern,
    nonlinearity: str,
    wanted: frozenset[str],
) -> Gradients:
    """What a loop does that keeps its first value: every step but the last gets the gradient of the last one."""
    products = dense._Products(edges, values, edges.size)
    first = len(hidden) - len(grad)
    grad_pre = torch.zeros_like(hidden)
    for t in reversed(range(len(hidden))):
        total = grad[t - first] if t >= first else torch.zeros_like(hidden[0])
        if t < len(hidden) - 1:
            total = products.transposed_times(grad_pre[-1], add=total)
        slope = 1 - hidden[t].square() if nonlinearity == "tanh" else (hidden[t] > 0).to(hidden.dtype)
        grad_pre[t] = slope * total
    return Gradients(
        products.edge_products(grad_pre[1:], hidden[:-1]),
        (grad_pre @ inputs.mT).sum(0),
        grad_pre.sum((0, 3)),
    )


def blind_to_the_last_columns(grad: Tensor, *arguments: object) -> Gradients:
    """What a kernel does if its last block of the batch is never launched."""
    grad = grad.clone()
    grad[..., 112:] = 0
    return RIGHT(grad, *arguments)  # type: ignore[arg-type]


def silent(*arguments: object) -> Gradients:
    gradients = RIGHT(*arguments)  # type: ignore[arg-type]
    return Gradients(*(None if gradient is None else gradient * torch.nan for gradient in gradients))


WRONG: dict[str, Backward] = {
    "right for two steps": right_for_two_steps,
    "values of one network": scaled("values", (-1,), 1.001),
    "input weights": scaled("weight_ih", (), 1.001),
    "bias": scaled("bias", (), 1.001),
    "the other way": scaled("values", (), -1.0),
    "half of the edges": scaled("values", (..., slice(None, None, 2)), 0.0),
    "last columns": blind_to_the_last_columns,
    "not a number": silent,
}


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_gradient_is_refused_by_name_and_left_out_by_auto(
    wrong: str, nonlinearity: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dense, "backward", WRONG[wrong])
    # the fastest, by far
    monkeypatch.setattr(
        biotune_kernels.select, "_measure", lambda names, *_: {name: 1.0 + (name != "dense") for name in names}
    )
    shape = pattern(population=2), 128
    with pytest.raises(
        ValueError, match=r"backend dense deviates .* by .*bias .*; 2e-05 is allowed .*; torch 2"
    ) as refused:
        require_backend("dense", *shape, 2, nonlinearity)
    assert "\n" not in str(refused.value)
    choice = choose(*shape, 7, 2, nonlinearity)
    assert choice.backend != "dense"
    assert choice.verification.passed
    assert [one.backend for one in choice.refused] == ["dense"]
    assert f"{refused.value}; it is left out" in caplog.text


def test_wrong_states_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = dense.forward
    monkeypatch.setattr(dense, "forward", lambda *arguments: right(*arguments) * 1.0001)
    found = verify("dense", pattern(), 16, 2)
    assert not found.passed
    assert found.deviation["hidden"] > 5e-5


def test_auto_in_a_layer_never_is_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        biotune_kernels.select, "_measure", lambda names, *_: {name: 1.0 + (name != "dense") for name in names}
    )
    edges = pattern()
    inputs, values = torch.rand(1, 9, 6, 2, device=DEVICE), torch.rand(1, 800, device=DEVICE).requires_grad_()
    others = torch.rand(1, 40, 2, device=DEVICE), torch.rand(1, 40, device=DEVICE)

    def gradient(backend: str) -> Tensor:
        hidden = sparse_rnn(inputs, values, edges, *others, backend=backend)
        return torch.autograd.grad(hidden.square().sum(), values)[0]

    exact = gradient("reference")
    monkeypatch.setattr(dense, "backward", right_for_two_steps)
    torch.testing.assert_close(gradient("auto"), exact, rtol=1e-4, atol=1e-4)


def test_where_none_is_right_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in USABLE:
        monkeypatch.setattr(load(name), "backward", silent)
    with pytest.raises(ValueError, match=r"no backend computes here what it should: backend .* deviates"):
        choose_backend(pattern(), 8, 3, 2)


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """rounded(bits): `dense` multiplies operands with that many bits, as tensor cores do: 10 in TF32, 7 in bfloat16."""
    backward, forward = dense.backward, dense.forward

    def plant(bits: int) -> None:
        def less(tensor: Tensor) -> Tensor:
            half, drop = 1 << (22 - bits), (1 << (23 - bits)) - 1
            return ((tensor.contiguous().view(torch.int32) + half) & ~drop).view(torch.float32)

        def less_forward(inputs: Tensor, values: Tensor, weight_ih: Tensor, *others: object) -> Tensor:
            return forward(less(inputs), less(values), less(weight_ih), *others)  # type: ignore[arg-type]

        def less_backward(grad: Tensor, hidden: Tensor, inputs: Tensor, values: Tensor, *others: object) -> Gradients:
            return backward(less(grad), hidden, less(inputs), less(values), *others)  # type: ignore[arg-type]

        monkeypatch.setattr(dense, "forward", less_forward)
        monkeypatch.setattr(dense, "backward", less_backward)

    return plant


@pytest.mark.parametrize(("bits", "passes"), [(10, ["high", "medium"]), (7, ["medium"])])
def test_the_tolerance_is_that_of_the_precision_asked_for(
    bits: int, passes: list[str], rounded: Callable[[int], None]
) -> None:
    rounded(bits)
    try:
        passed = []
        for precision in ("highest", "high", "medium"):
            torch.set_float32_matmul_precision(precision)
            passed += [precision] if verify("dense", pattern(220, 23000), 128, 2).passed else []
    finally:
        torch.set_float32_matmul_precision("highest")
    assert passed == passes
    assert tolerance(torch.float64, "medium") < tolerance(torch.float32, "highest")


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(biotune_kernels.select, "_chosen", {})
    monkeypatch.setattr(biotune_kernels.verification, "_verified", {})


def test_what_passed_is_remembered_and_what_did_not_is_looked_at_again(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def look(*arguments: object) -> dict[str, float]:
        looked.append(arguments[0])
        return deviation(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(biotune_kernels.verification, "deviation", look)
    first = verify("dense", pattern(), 16, 2)
    forget(monkeypatch)
    assert verify("dense", pattern(), 16, 2) == first
    assert looked == ["dense"]
    for other in ((pattern(edges=700), 16, 2), (pattern(), 17, 2), (pattern(), 16, 3), (pattern(), 16, 2, "relu")):
        verify("dense", *other)
    assert len(looked) == 5
    monkeypatch.setattr(dense, "backward", silent)
    for _ in range(2):
        forget(monkeypatch)
        assert not verify("dense", pattern(), 18, 2).passed
    assert len(looked) == 7
    for file in (fresh / "kernels").iterdir():
        file.write_text(file.read_text().replace('"values"', '"another"'))
    forget(monkeypatch)
    assert not verify("dense", pattern(), 16, 2).passed


def test_a_choice_that_is_remembered_is_seen_too(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = choose_backend(pattern(), 16, 3, 2)
    for file in (fresh / "kernels").glob("deviation-*"):
        file.unlink()
    forget(monkeypatch)
    monkeypatch.setattr(load(name), "backward", silent)
    with caplog.at_level(logging.WARNING, logger="biotune_kernels"):
        assert choose_backend(pattern(), 16, 3, 2) != name
    assert f"backend {name} deviates" in caplog.text


def test_looking_changes_no_random_number_that_is_drawn_after() -> None:
    state = torch.get_rng_state()
    verify("dense", pattern(), 16, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_command_names_what_deviates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("benchmarks.kernels.SHAPES", (Shape(30, 200, 16, 3, 2),))
    arguments = ["--device", DEVICE]
    assert checks.kernels.main(arguments) == 0
    monkeypatch.setattr(dense, "backward", right_for_two_steps)
    assert checks.kernels.main(arguments) == 1
    wrong = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.endswith("DEVIATES")]
    assert wrong == [["dense", "tanh"], ["dense", "relu"]]
