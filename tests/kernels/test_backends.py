"""Every backend that is usable here against the reference: hidden states and each gradient, at odd sizes.

On a GPU if there is one, otherwise on the CPU.
"""

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import biotune_kernels.backends.cuda_graph
import biotune_kernels.backends.torch_csr
from biotune_kernels import SparsePattern, available_backends, select, sparse_rnn
from biotune_kernels.backends import load
from biotune_kernels.backends.cpu.library import library

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
REASONS = available_backends(DEVICE)
BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(reason is not None, reason=f"{name}: {reason}"))
    for name, reason in REASONS.items()
    if name not in ("reference", "triton")  # which has a file of its own
]
ARGUMENTS = ("inputs", "values", "weight_ih", "bias", "hidden_0")


class Case(NamedTuple):
    """A problem's sizes; `density` 0 is an empty matrix, 1 a full one."""

    size: int
    density: float
    batch: int
    time: int
    population: int
    input_size: int
    initial: bool = False

    def __str__(self) -> str:
        return f"n{self.size}-d{self.density}-b{self.batch}-t{self.time}-p{self.population}-i{self.input_size}"


CASES = [
    Case(1, 1.0, 1, 1, 1, 1),
    Case(1, 0.0, 5, 7, 3, 2, initial=True),
    Case(63, 0.2, 5, 7, 3, 2),
    Case(63, 1.0, 1, 21, 1, 1, initial=True),
    Case(63, 0.0, 128, 1, 1, 0),
    Case(63, 0.01, 33, 3, 2, 5, initial=True),  # most rows and columns empty
    Case(220, 0.475, 128, 7, 1, 2),
    Case(220, 0.1, 100, 3, 3, 3, initial=True),  # batch columns that do not fill a vector
    Case(257, 0.05, 17, 7, 1, 50),
    Case(3001, 0.01, 40, 3, 1, 2, initial=True),  # states in several blocks, the last one shorter
]


def problem(case: Case, dtype: torch.dtype, seed: int = 0) -> tuple[SparsePattern, dict[str, Tensor]]:
    """A shuffled random pattern and arguments of unit scale."""
    generator = torch.Generator().manual_seed(seed)
    nnz = round(case.density * case.size**2)
    places = [torch.randperm(case.size**2, generator=generator)[:nnz] for _ in range(case.population)]
    place = torch.stack(places)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)

    arguments = {
        "inputs": random(case.population, case.batch, case.time, case.input_size),
        "values": random(case.population, nnz) / (1 + nnz / case.size) ** 0.5,
        "weight_ih": random(case.population, case.size, case.input_size),
        "bias": random(case.population, case.size),
    }
    if case.initial:
        arguments["hidden_0"] = random(case.population, case.batch, case.size)
    return SparsePattern(place // case.size, place % case.size, case.size).to(DEVICE), arguments


def run(
    backend: str, pattern: SparsePattern, arguments: dict[str, Tensor], nonlinearity: str, grad: Tensor, first: int = 0
) -> dict[str, Tensor]:
    """Hidden states and every gradient."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in arguments.items()}
    hidden = sparse_rnn(pattern=pattern, nonlinearity=nonlinearity, backend=backend, first=first, **leaves)
    found = torch.autograd.grad(hidden, list(leaves.values()), grad, allow_unused=True)
    gradients = {
        name: torch.zeros_like(t) if g is None else g for (name, t), g in zip(leaves.items(), found, strict=True)
    }
    return {"hidden": hidden.detach(), **gradients}


def gradient_like_hidden(case: Case, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (case.population, case.batch, case.time, case.size)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    for name, tensor in expected.items():
        assert found[name].shape == tensor.shape
        scale = tensor.abs().max().item() + 1 if tensor.numel() else 1
        torch.testing.assert_close(
            found[name], tensor, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_equals_the_reference_in_double_precision(backend: str, case: Case, nonlinearity: str) -> None:
    pattern, arguments = problem(case, torch.float64)
    grad = gradient_like_hidden(case, torch.float64)
    expected = run("reference", pattern, arguments, nonlinearity, grad)
    assert_close(run(backend, pattern, arguments, nonlinearity, grad), expected, 1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_as_near_in_single_precision_as_rounding_allows(backend: str, case: Case) -> None:
    pattern, arguments = problem(case, torch.float32)
    grad = gradient_like_hidden(case, torch.float32)
    exact = run("reference", pattern, {k: v.double() for k, v in arguments.items()}, "tanh", grad.double())
    found = run(backend, pattern, arguments, "tanh", grad)
    assert_close({k: v.double() for k, v in found.items()}, exact, 2e-5)


@settings(max_examples=30, deadline=None)
@given(
    case=st.builds(
        Case,
        size=st.integers(1, 40),
        density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        batch=st.integers(1, 70),
        time=st.integers(1, 4),
        population=st.integers(1, 3),
        input_size=st.integers(0, 6),
        initial=st.booleans(),
    ),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_reference_at_any_small_size(backend: str, case: Case, nonlinearity: str) -> None:
    pattern, arguments = problem(case, torch.float64)
    grad = gradient_like_hidden(case, torch.float64)
    expected = run("reference", pattern, arguments, nonlinearity, grad)
    assert_close(run(backend, pattern, arguments, nonlinearity, grad), expected, 1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
def test_repeats_bit_for_bit(backend: str) -> None:
    case = Case(220, 0.3, 128, 5, 2, 2, initial=True)
    pattern, arguments = problem(case, torch.float32)
    grad = gradient_like_hidden(case, torch.float32)
    if "do not repeat" in (why := load(backend).unsuitable(pattern, case.batch, case.time) or ""):
        pytest.skip(why)
    first, second = (run(backend, pattern, arguments, "tanh", grad) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["transposed", "expanded", "scored steps only"])
def test_takes_gradients_of_any_strides(backend: str, layout: str) -> None:
    case = Case(37, 0.3, 19, 4, 2, 2)
    pattern, arguments = problem(case, torch.float64)
    grad = gradient_like_hidden(case, torch.float64)
    if layout == "transposed":
        grad = grad.transpose(1, 3).contiguous().transpose(1, 3)
    elif layout == "expanded":
        grad = torch.ones((), dtype=torch.float64, device=DEVICE).expand(grad.shape)
    else:
        grad = torch.cat((torch.zeros_like(grad[:, :, :2]), grad[:, :, 2:]), dim=2)
    expected = run("reference", pattern, arguments, "tanh", grad)
    assert_close(run(backend, pattern, arguments, "tanh", grad), expected, 1e-12)


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("initial", [False, True])
def test_the_last_steps_alone_are_those_of_all_steps_to_the_bit(backend: str, first: int, initial: bool) -> None:
    case = Case(37, 0.3, 19, 4, 2, 2, initial)
    pattern, arguments = problem(case, torch.float64)
    grad = gradient_like_hidden(case, torch.float64)
    grad[:, :, :first] = 0
    whole = run(backend, pattern, arguments, "tanh", grad)
    last = run(backend, pattern, arguments, "tanh", grad[:, :, first:], first=first)
    whole["hidden"] = whole["hidden"][:, :, first:]
    any_order = backend == "reference" and DEVICE == "cuda"  # in which autograd's scatters add there
    for name, tensor in whole.items():
        torch.testing.assert_close(last[name], tensor, rtol=0, atol=1e-12 if any_order else 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_takes_arguments_that_are_views(backend: str) -> None:
    pattern, arguments = problem(Case(20, 0.3, 6, 3, 2, 3), torch.float64)
    views = {name: t.transpose(0, -1).contiguous().transpose(0, -1) for name, t in arguments.items()}
    expected = sparse_rnn(pattern=pattern, backend="reference", **arguments)
    torch.testing.assert_close(sparse_rnn(pattern=pattern, backend=backend, **views), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gives_only_the_gradients_that_are_asked_for(backend: str) -> None:
    case = Case(30, 0.3, 9, 4, 2, 2, initial=True)
    pattern, arguments = problem(case, torch.float64)
    grad = gradient_like_hidden(case, torch.float64)
    everything = run("reference", pattern, arguments, "tanh", grad)
    for wanted in ARGUMENTS:
        leaf = arguments[wanted].clone().requires_grad_()
        hidden = sparse_rnn(pattern=pattern, backend=backend, **{**arguments, wanted: leaf})
        (found,) = torch.autograd.grad(hidden, leaf, grad)
        torch.testing.assert_close(found, everything[wanted])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_populations_networks_do_not_touch_each_other(backend: str) -> None:
    case = Case(30, 0.3, 9, 4, 3, 2)
    pattern, arguments = problem(case, torch.float64)
    grad = gradient_like_hidden(case, torch.float64)
    together = run(backend, pattern, arguments, "relu", grad)
    spoilt = {name: t.clone() for name, t in arguments.items()}
    spoilt["values"][1, 0], spoilt["bias"][1, 0] = float("nan"), float("inf")
    beside = run(backend, pattern, spoilt, "relu", grad)
    for p in (0, 2):
        alone = SparsePattern(pattern.target[p], pattern.source[p], pattern.size)
        single = run(backend, alone, {name: t[p : p + 1] for name, t in arguments.items()}, "relu", grad[p : p + 1])
        for name in together:
            torch.testing.assert_close(together[name][p], single[name][0])
            assert torch.equal(together[name][p], beside[name][p])


@pytest.mark.parametrize(
    "backend", [b for b in BACKENDS if b.values[0] not in ("dense", "cuda_graph")]
)  # 0 * inf is NaN there, see dense.py and triton/tile.py
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf_flow_as_in_the_reference(backend: str, nonlinearity: str, value: float) -> None:
    case = Case(30, 0.2, 9, 4, 1, 2)
    pattern, arguments = problem(case, torch.float32)
    arguments["inputs"][0, 3, 1, 0] = value
    grad = gradient_like_hidden(case, torch.float32)
    expected = run("reference", pattern, arguments, nonlinearity, grad)
    found = run(backend, pattern, arguments, nonlinearity, grad)
    for name in ("hidden", "values", "bias"):
        torch.testing.assert_close(found[name], expected[name], equal_nan=True, rtol=1e-4, atol=1e-4)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without a GPU, a graph is replaced by what it does: the same steps again, at the same addresses."""
    if DEVICE == "cuda":
        yield
        return

    def record(
        steps: Callable[..., Sequence[Tensor | None]], arguments: Sequence[Tensor | None]
    ) -> tuple[Callable[[], None], Sequence[Tensor | None]]:
        results = steps(*arguments)

        def replay() -> None:
            for result, again in zip(results, steps(*arguments), strict=True):
                if result is not None and again is not None:
                    result.copy_(again)

        return replay, results

    monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "unusable", lambda *_: None)
    monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "triton", biotune_kernels.backends.torch_csr)
    monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "_stream", lambda: 0)
    monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "_record", record)
    select._why_not.cache_clear()
    yield
    select._why_not.cache_clear()


@pytest.mark.usefixtures("graphs")
class TestCudaGraph:
    """Recorded passes: they work at fixed addresses, which a caller must not notice."""

    @pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
    @pytest.mark.parametrize("case", [CASES[1], CASES[4], CASES[5], CASES[8]], ids=str)
    def test_every_pass_is_that_of_its_own_arguments(self, case: Case, nonlinearity: str) -> None:
        pattern, arguments = problem(case, torch.float64)
        grad = gradient_like_hidden(case, torch.float64)
        found, expected = [], []
        for scale in (1.0, 0.5, -2.0):
            scaled = {name: scale * tensor for name, tensor in arguments.items()}
            found.append(run("cuda_graph", pattern, scaled, nonlinearity, scale * grad))
            expected.append(run("reference", pattern, scaled, nonlinearity, scale * grad))
        for one, other in zip(found, expected, strict=True):  # after all, as a later pass might have written into one
            assert_close(one, other, 1e-12)

    def test_other_shapes_and_steps_do_not_meet(self) -> None:
        case = Case(30, 0.3, 9, 4, 2, 2, initial=True)
        pattern, arguments = problem(case, torch.float64)
        grad = gradient_like_hidden(case, torch.float64)
        for _ in range(2):
            for batch, first in ((9, 0), (5, 0), (9, 2), (5, 3), (4, 0), (3, 0)):
                few = {name: t[:, :batch] if name in ("inputs", "hidden_0") else t for name, t in arguments.items()}
                given = few, "tanh", grad[:, :batch, first:], first
                assert_close(run("cuda_graph", pattern, *given), run("reference", pattern, *given), 1e-12)
        assert len(pattern.memo["cuda_graph"]) == biotune_kernels.backends.cuda_graph._MOST

    def test_other_gradients_and_nonlinearities_do_not_meet(self) -> None:
        case = Case(30, 0.3, 9, 4, 2, 2, initial=True)
        pattern, arguments = problem(case, torch.float64)
        grad = gradient_like_hidden(case, torch.float64)
        for nonlinearity in ("tanh", "relu"):
            expected = run("reference", pattern, arguments, nonlinearity, grad)
            for wanted in ARGUMENTS:
                leaf = arguments[wanted].clone().requires_grad_()
                given = {**arguments, wanted: leaf}
                hidden = sparse_rnn(pattern=pattern, backend="cuda_graph", nonlinearity=nonlinearity, **given)
                (found,) = torch.autograd.grad(hidden, leaf, grad)
                torch.testing.assert_close(found, expected[wanted])

    def test_a_pass_is_recorded_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        record, recorded = biotune_kernels.backends.cuda_graph._record, []

        def count(
            steps: Callable[..., Sequence[Tensor | None]], arguments: Sequence[Tensor | None]
        ) -> tuple[Callable[[], None], Sequence[Tensor | None]]:
            recorded.append(len(arguments))
            return record(steps, arguments)

        monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "_record", count)
        pattern, arguments = problem(CASES[2], torch.float64)
        for _ in range(3):
            run("cuda_graph", pattern, arguments, "tanh", gradient_like_hidden(CASES[2], torch.float64))
        assert recorded == [6, 7]  # forward, backward

    def test_inference_and_training_take_turns(self) -> None:
        pattern, arguments = problem(CASES[2], torch.float64)
        expected = sparse_rnn(pattern=pattern, backend="reference", **arguments)
        for scope in (torch.inference_mode, torch.enable_grad, torch.no_grad, torch.inference_mode):
            with scope():
                torch.testing.assert_close(sparse_rnn(pattern=pattern, backend="cuda_graph", **arguments), expected)

    def test_a_caller_that_records_a_graph_gets_the_steps_themselves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(biotune_kernels.backends.cuda_graph, "_stream", lambda: None)
        pattern, arguments = problem(CASES[2], torch.float64)
        steps = biotune_kernels.backends.cuda_graph.triton.__name__.rpartition(".")[2]
        expected = sparse_rnn(pattern=pattern, backend=steps, **arguments)
        assert torch.equal(sparse_rnn(pattern=pattern, backend="cuda_graph", **arguments), expected)
        assert "cuda_graph" not in pattern.memo

    def test_what_is_recorded_is_not_kept_beyond_its_pattern(self) -> None:
        pattern, arguments = problem(CASES[2], torch.float64)
        sparse_rnn(pattern=pattern, backend="cuda_graph", **arguments)
        (recorded,) = pattern.memo["cuda_graph"].values()
        argument = weakref.ref(recorded.arguments[0])
        del recorded, pattern
        gc.collect()
        assert argument() is None


@pytest.mark.skipif(REASONS["cpu"] is not None, reason=f"cpu: {REASONS['cpu']}")
class TestCpu:
    """What only the C++ backend promises."""

    @pytest.mark.parametrize("case", [CASES[6], CASES[7], CASES[9], Case(90, 0.3, 128, 3, 1, 2)], ids=str)
    def test_any_number_of_threads_gives_the_same_bits(self, case: Case) -> None:
        pattern, arguments = problem(case, torch.float32)
        grad = gradient_like_hidden(case, torch.float32)
        threads = torch.get_num_threads()
        results = []
        try:
            for count in (1, 2, 3, 8):
                torch.set_num_threads(count)
                results.append(run("cpu", pattern, arguments, "tanh", grad))
        finally:
            torch.set_num_threads(threads)
        for result in results[1:]:
            assert all(torch.equal(result[name], results[0][name]) for name in result)

    @pytest.mark.parametrize("instructions", [0, 1, 2], ids=["baseline", "avx2", "avx512"])
    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_every_instruction_set_equals_the_reference(self, instructions: int, case: Case) -> None:
        found = library()
        assert found is not None
        try:
            if found.sparse_rnn_instructions(instructions) != instructions:
                pytest.skip("this processor has no such instructions")
            for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
                pattern, arguments = problem(case, dtype)
                grad = gradient_like_hidden(case, dtype)
                expected = run("reference", pattern, arguments, "tanh", grad)
                assert_close(run("cpu", pattern, arguments, "tanh", grad), expected, tolerance)
        finally:
            found.sparse_rnn_instructions(2)

    @pytest.mark.parametrize(("dtype", "ulps"), [(torch.float32, 4), (torch.float64, 4)])
    def test_tanh_is_accurate_to_a_few_units_in_the_last_place(self, dtype: torch.dtype, ulps: int) -> None:
        x = torch.cat((torch.linspace(-25, 25, 200_001, dtype=torch.float64), torch.logspace(-30, 1, 50_000).double()))
        x = x.to(dtype)
        pattern = SparsePattern(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, 0, dtype=torch.int64), 1)
        one, zero = torch.ones(1, 1, 1, dtype=dtype), torch.zeros(1, 1, dtype=dtype)
        found = sparse_rnn(x.view(1, -1, 1, 1), zero[:, :0], pattern, one, zero, backend="cpu").flatten()
        exact = torch.tanh(x.double())
        unit = torch.finfo(dtype).eps * exact.abs().clamp_min(torch.finfo(dtype).tiny)
        assert ((found.double() - exact).abs() / unit).max() <= ulps
        assert (found.abs() <= 1).all()

    def test_memory_does_not_grow_with_the_square_of_the_size(self) -> None:
        size, nnz = 60_000, 120_000  # squared, 13 GiB
        generator = torch.Generator().manual_seed(0)
        target = torch.arange(size).repeat(2)
        source = (target + torch.tensor([1, 2]).repeat_interleave(size)) % size
        pattern = SparsePattern(target, source, size)
        values = torch.randn(1, nnz, generator=generator).requires_grad_()
        inputs = torch.randn(1, 4, 2, 1, generator=generator)
        backend = load("cpu")
        assert backend.unusable(inputs.device, inputs.dtype) is None
        hidden = sparse_rnn(inputs, values, pattern, torch.ones(1, size, 1), torch.zeros(1, size), backend="cpu")
        (found,) = torch.autograd.grad(hidden.sum(), values)
        state = torch.tanh(inputs[0, :, 0])
        expected = ((1 - hidden[0, :, 1].detach() ** 2) * state).sum(0)
        torch.testing.assert_close(found[0], expected[target], rtol=1e-4, atol=1e-5)
