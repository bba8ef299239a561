"""The Triton backend against the reference: on a GPU if there is one, otherwise in Triton's interpreter.

The interpreter must be asked for before Triton loads. So without a GPU these tests run in a process of their own, which
`test_in_the_interpreter` starts. On a GPU machine, `python -m pytest -rP tests/kernels/test_triton.py` prints every
error that it measured.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import biotune_kernels.backends.triton
from biotune_kernels import SparsePattern, available_backends, choose_backend, sparse_rnn
from biotune_kernels.backends import DEFINITION, load
from biotune_kernels.passes import inward, outward

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
WHY_NOT = available_backends(DEVICE)["triton"]
INSTALLED = WHY_NOT is None or "isn't installed" not in WHY_NOT
NAMES = ("hidden", "inputs", "values", "weight_ih", "bias", "hidden_0")
TOLERANCE = {torch.float32: 5e-5, torch.float64: 1e-12}  # of the norm; a single TF32 product would be off by 3e-4

usable = pytest.mark.skipif(WHY_NOT is not None, reason=f"triton: {WHY_NOT}")
on_gpu = pytest.mark.skipif(not GPU, reason="needs a GPU")

AXES = ("size", "density", "batch", "time", "population", "input_size")
SHAPES = [
    (1, 1.0, 1, 1, 1, 1),
    (1, 0.0, 5, 2, 3, 2),
    (15, 1.0, 5, 7, 3, 2),
    (63, 0.2, 5, 7, 3, 2),
    (63, 0.0, 5, 2, 1, 2),
    (64, 0.01, 65, 2, 1, 17),  # most rows empty
    (220, 0.475, 70, 3, 1, 2),
    (65, 0.1, 5, 21, 1, 2),
    (256, 0.1, 1, 2, 2, 50),
]
LARGE_SHAPES = [
    (220, 0.475, 128, 7, 64, 2),
    (228, 0.16, 128, 11, 8, 2),
    (256, 1.0, 128, 21, 3, 784),
    (257, 0.1, 128, 21, 3, 2),
    (300, 0.0, 5, 7, 3, 2),
    (300, 1.0, 5, 7, 3, 2),
    (1100, 0.1, 128, 21, 1, 2),
    (2952, 0.013, 128, 21, 1, 2),
]


def random_case(
    size: int, density: float, batch: int, time: int, population: int, input_size: int, dtype: torch.dtype
) -> tuple[SparsePattern, dict[str, Tensor]]:
    """Edges in random order, and arguments in float64 that `dtype` can hold."""
    generator = torch.Generator().manual_seed(size + 1000 * batch + time)
    nnz = round(density * size**2)
    edges = torch.stack([torch.randperm(size**2, generator=generator)[:nnz] for _ in range(population)])

    def random(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype).double()

    arguments = {
        "inputs": random(population, batch, time, input_size),
        "values": random(population, nnz, scale=max(density * size, 1) ** -0.5),
        "weight_ih": random(population, size, input_size, scale=0.5 * max(input_size, 1) ** -0.5),
        "bias": random(population, size, scale=0.1),
        "hidden_0": random(population, batch, size, scale=0.3),
        "towards": random(population, batch, time, size),
    }
    return SparsePattern(edges // size, edges % size, size), arguments


def run(
    backend: str,
    pattern: SparsePattern,
    arguments: dict[str, Tensor],
    nonlinearity: str,
    dtype: torch.dtype,
    device: str,
    started: bool = True,
) -> dict[str, Tensor]:
    """The hidden states, and the gradients of their product with `towards`."""
    leaves = {name: value.to(device, dtype).requires_grad_() for name, value in arguments.items() if name != "towards"}
    if not started:
        del leaves["hidden_0"]
    hidden = sparse_rnn(pattern=pattern.to(device), nonlinearity=nonlinearity, backend=backend, **leaves)
    gradients = torch.autograd.grad(hidden, list(leaves.values()), arguments["towards"].to(device, dtype))
    return {"hidden": hidden.detach(), **dict(zip(leaves, gradients, strict=True))}


def by_definition(
    pattern: SparsePattern,
    arguments: dict[str, Tensor],
    nonlinearity: str,
    started: bool = True,
    reached: Tensor | None = None,
) -> dict[str, Tensor]:
    """What the definition computes in float64, one network after the other, since it keeps every product.

    reached: the hidden states at which the gradients are taken, by default the exact ones. At others than a backend
    reached, a preactivation within rounding of 0 may lie on the other side of relu's kink.
    """
    definition = load(DEFINITION)
    networks = []
    for p in range(pattern.population):
        alone = SparsePattern(pattern.target[p], pattern.source[p], pattern.size).to(DEVICE)
        its = {name: value[p : p + 1].to(DEVICE) for name, value in arguments.items()}
        inputs, hidden_0 = inward(its["inputs"]), its["hidden_0"].mT if started else None
        given = inputs, its["values"], its["weight_ih"]
        hidden = definition.forward(*given, its["bias"], hidden_0, alone, nonlinearity)
        at = hidden if reached is None else inward(reached[p : p + 1].to(DEVICE).double())
        of = definition.backward(
            inward(its["towards"]), at, *given, hidden_0, alone, nonlinearity, frozenset(NAMES) - {"hidden"}
        )
        assert of.inputs is not None
        assert of.hidden_0 is not None
        found = of._asdict() | {"hidden": outward(hidden), "inputs": outward(of.inputs), "hidden_0": of.hidden_0.mT}
        networks.append({name: found[name].cpu() for name in NAMES if started or name != "hidden_0"})
    return {name: torch.cat([network[name] for network in networks]) for name in networks[0]}


def errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """The norm of each difference, relative to the norm of what was expected."""
    norms = {}
    for name, value in expected.items():
        difference = torch.linalg.norm(found[name].cpu().double() - value)
        norms[name] = float(difference / torch.linalg.norm(value).clamp_min(1e-30)) if value.numel() else 0.0
    return norms


def check(shape: tuple, nonlinearity: str, dtype: torch.dtype, started: bool) -> None:
    pattern, arguments = random_case(*shape, dtype)
    found = run("triton", pattern, arguments, nonlinearity, dtype, DEVICE, started)
    expected = by_definition(pattern, arguments, nonlinearity, started, found["hidden"])
    measured = errors(found, expected)
    print(shape, nonlinearity, dtype, "errors:", {name: f"{error:.1e}" for name, error in measured.items()})
    assert max(measured.values()) < TOLERANCE[dtype], measured
    if GPU:
        again = run("triton", pattern, arguments, nonlinearity, dtype, DEVICE, started)
        assert all(torch.equal(found[name], again[name]) for name in found)


@pytest.mark.slow
@pytest.mark.skipif(WHY_NOT is None, reason="the tests below run here")
@pytest.mark.skipif(not INSTALLED, reason="triton isn't installed")
@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(WHY_NOT is None, reason="it is usable")
def test_says_why_it_is_not_usable_and_what_would_do() -> None:
    pattern, arguments = random_case(5, 0.5, 2, 2, 1, 2, torch.float32)
    with pytest.raises(ValueError, match=r"backend: triton can't be used here: .*(device cuda|pip install triton)"):
        run("triton", pattern, arguments, "tanh", torch.float32, "cpu")


@pytest.mark.skipif(not INSTALLED, reason="triton isn't installed")
@pytest.mark.parametrize("function", ["forward", "preactivation_gradient"])
def test_a_shape_that_is_too_large_is_a_runtime_error(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.errors import OutOfResources

    def fail(*_: object) -> None:
        raise OutOfResources(300_000, 200_000, "shared memory")

    kernels = SimpleNamespace(**{function: fail})
    monkeypatch.setattr(biotune_kernels.backends.triton, "_kernels", lambda *_: kernels)
    pattern, arguments = random_case(5, 0.5, 2, 2, 1, 2, torch.float32)
    values, weight_ih, bias = (arguments[name].float() for name in ("values", "weight_ih", "bias"))
    inputs, hidden = torch.ones(2, 1, 2, 2), torch.ones(2, 1, 5, 2)
    triton = biotune_kernels.backends.triton
    run_it = {
        "forward": lambda: triton.forward(inputs, values, weight_ih, bias, None, pattern, "tanh"),
        "preactivation_gradient": lambda: triton.backward(
            hidden, hidden, inputs, values, weight_ih, None, pattern, "tanh", frozenset()
        ),
    }[function]
    with pytest.raises(RuntimeError, match=r"OutOfResources: out of resource: shared memory"):
        run_it()


@usable
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference(shape: tuple) -> None:
    check(shape, "relu" if shape[0] % 2 else "tanh", torch.float32, started=shape[3] % 2 == 1)


@usable
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("started", [True, False], ids=["hidden_0", "zeros"])
@pytest.mark.parametrize("shape", SHAPES + LARGE_SHAPES if GPU else [], ids=str)
def test_equals_the_reference_at_full_size(shape: tuple, nonlinearity: str, started: bool) -> None:
    check(shape, nonlinearity, torch.float32, started)


@on_gpu
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize(("size", "batch"), [(20, 64), (100, 64), (220, 64), (220, 128), (256, 100)])
def test_a_network_has_the_same_bits_among_any_others(size: int, batch: int, nonlinearity: str) -> None:
    pattern, arguments = random_case(size, 0.4, batch, 5, 150, 2, torch.float32)
    together = run("triton", pattern, arguments, nonlinearity, torch.float32, DEVICE, started=False)
    for first, count in ((0, 1), (149, 1), (60, 7), (20, 40)):
        places = slice(first, first + count)
        some = SparsePattern(pattern.target[places], pattern.source[places], size)
        its = {name: value[places] for name, value in arguments.items()}
        found = run("triton", some, its, nonlinearity, torch.float32, DEVICE, started=False)
        for name in ("hidden", "values", "weight_ih", "bias"):
            assert torch.equal(found[name], together[name][places]), (name, first, count)


@usable
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 18),
    density=st.floats(0, 1),
    batch=st.integers(1, 18),
    time=st.integers(1, 3),
    population=st.integers(1, 2),
    input_size=st.integers(0, 20),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
    started=st.booleans(),
    tile_size=st.sampled_from([0, 256]),
)
def test_equals_the_reference_at_any_shape(nonlinearity: str, started: bool, tile_size: int, **shape: int) -> None:
    """As tiles, and as gathered rows, which otherwise only larger networks are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(biotune_kernels.backends.triton, "_TILE_SIZE", tile_size)
        check(tuple(shape[axis] for axis in AXES), nonlinearity, torch.float32, started)


@usable
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_float64(nonlinearity: str) -> None:
    check((13, 0.3, 5, 3, 2, 2), nonlinearity, torch.float64, started=True)


@usable
@pytest.mark.parametrize("tile_size", [0, 256])
def test_a_gradient_without_a_layout_of_its_own(tile_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of a sum is one number with strides of 0."""
    monkeypatch.setattr(biotune_kernels.backends.triton, "_TILE_SIZE", tile_size)
    pattern, arguments = random_case(20, 0.05, 2, 2, 1, 2, torch.float32)
    del arguments["towards"]
    bias = {}
    for backend, device in (("reference", "cpu"), ("triton", DEVICE)):
        leaves = {name: value.to(device, torch.float32) for name, value in arguments.items()}
        leaves["bias"].requires_grad_()
        sparse_rnn(pattern=pattern.to(device), backend=backend, **leaves).sum().backward()
        bias[backend] = leaves["bias"].grad.cpu()
    torch.testing.assert_close(bias["triton"], bias["reference"], rtol=1e-4, atol=1e-5)


@usable
@pytest.mark.parametrize("tile_size", [0, 256])
def test_the_gradient_of_the_last_steps_alone(tile_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biotune_kernels.backends.triton, "_TILE_SIZE", tile_size)
    pattern, arguments = random_case(20, 0.3, 2, 3, 2, 2, torch.float32)
    del arguments["towards"]
    found = {}
    for backend, device in (("reference", "cpu"), ("triton", DEVICE)):
        leaves = {name: value.to(device, torch.float32) for name, value in arguments.items()}
        values = leaves["values"].requires_grad_()
        hidden = sparse_rnn(pattern=pattern.to(device), backend=backend, first=2, **leaves)
        hidden.square().sum().backward()
        assert values.grad is not None
        found[backend] = hidden.detach().cpu(), values.grad.cpu()
    torch.testing.assert_close(found["triton"], found["reference"], rtol=1e-4, atol=1e-5)


@usable
def test_tanh_is_exact_to_a_few_units_in_the_last_place() -> None:
    x = torch.cat([torch.linspace(-12, 12, 701), torch.logspace(-30, 0, 323)])
    networks, size = 4, 256
    none = torch.zeros(networks, 0, dtype=torch.int64)
    bias = x.view(networks, size).to(DEVICE)  # the bias is added as it is; inputs would go through products
    zeros = torch.zeros(networks, 1, 1, 1, device=DEVICE), torch.zeros(networks, size, 1, device=DEVICE)
    found = sparse_rnn(
        zeros[0], bias[:, :0], SparsePattern(none, none, size).to(DEVICE), zeros[1], bias, backend="triton"
    )
    torch.testing.assert_close(found.flatten().cpu().double(), x.double().tanh(), rtol=1e-6, atol=0)


@usable
@pytest.mark.skipif(GPU, reason="on a GPU it may be the fastest")
def test_auto_leaves_the_interpreter_alone() -> None:
    pattern, _ = random_case(20, 0.5, 2, 2, 1, 2, torch.float32)
    assert choose_backend(pattern, batch=2, time=2, input_size=2) != "triton"


@usable
def test_nan_and_inf_flow_and_stay_in_their_network() -> None:
    pattern, arguments = random_case(20, 1.0, 3, 3, 3, 2, torch.float32)
    before = run("triton", pattern, arguments, "tanh", torch.float32, DEVICE)
    arguments["inputs"][1, 0, 1, 0] = torch.nan
    arguments["inputs"][2, 2, 0, 1] = torch.inf
    for nonlinearity in ("tanh", "relu"):
        expected = run("reference", pattern, arguments, nonlinearity, torch.float32, "cpu")["hidden"]
        found = run("triton", pattern, arguments, nonlinearity, torch.float32, DEVICE)
        assert torch.equal(found["hidden"].cpu().isnan(), expected.isnan())
        assert found["hidden"][1, 0, 1:].isnan().all()
    found = run("triton", pattern, arguments, "tanh", torch.float32, DEVICE)
    assert found["hidden"][2, 2, 0].abs().eq(1).all()
    for name in NAMES:
        assert torch.equal(found[name][0], before[name][0])


@usable
@on_gpu
@pytest.mark.parametrize(("precision", "least", "most"), [("high", 2e-5, 3e-3), ("medium", 1e-4, 3e-2)])
def test_less_precision_on_request(precision: str, least: float, most: float, full_precision_after: None) -> None:
    pattern, arguments = random_case(220, 0.475, 128, 7, 2, 2, torch.float32)
    expected = by_definition(pattern, arguments, "tanh")
    torch.set_float32_matmul_precision(precision)
    measured = errors(run("triton", pattern, arguments, "tanh", torch.float32, DEVICE), expected)
    print(precision, measured)
    assert least < measured["hidden"] < most
    assert max(measured.values()) < most


@pytest.fixture
def full_precision_after() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.long
@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.parametrize(("capability", "shared_memory"), [(80, 166912), (89, 101376), (90, 232448)])
def test_every_tiling_fits_the_gpu(
    capability: int,
    shared_memory: int,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    full_precision_after: None,
    compiled: Callable[..., Any],
) -> None:
    """Tiles compiled for GPUs, which this machine need not have, fit into their shared memory."""
    import triton.language as tl

    from biotune_kernels.backends.triton import gradients, tile, tiling
    from biotune_kernels.backends.triton.pairs import precision_asked

    torch.set_float32_matmul_precision(precision)
    monkeypatch.setattr(tiling, "machine_of", lambda device: tiling.Machine(132, shared_memory, capability >= 90))
    products, multiply = precision_asked()
    gpu = torch.device("cuda")
    for size, population in itertools.product((64, 128, 256), (1, 100)):
        tiles, blocks = tiling.tiling_of(gpu, population, size, batch=128), tiling.blocks_of(gpu, population, size)
        constants = {
            "STARTED": False,
            "OFFSET": tl.int32,
            "NONLINEARITY": "tanh",
            "PRODUCTS": products,
            "PRECISION": multiply,
            "RESIDENT": tiles.resident,
            "INPUTS": 2,
            "BLOCK_N": tiles.block_n,
            "BLOCK_B": tiles.block_b,
            "BLOCK_I": tile.INPUTS_AT_ONCE,
            "BLOCK_K": tiles.block_k,
        }
        of_gradients = {"BLOCK_R": blocks.block_r, "BLOCK_C": blocks.block_c, "BLOCK_K": blocks.block_k}
        for kernel, its, how in (
            (tile._forward, constants, tiles),
            (tile._backward, constants, tiles),
            (gradients._gradients, constants | of_gradients, blocks),
        ):
            options = {"num_warps": how.num_warps, "num_stages": how.num_stages}
            used = compiled(kernel, its, capability, **options).metadata.shared
            print(capability, precision, how, kernel.__name__, used, "bytes")
            assert used <= shared_memory, how
