"""python -m benchmarks.kernels: what it prints and writes, at shapes small enough for a test."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import kernels
from benchmarks.kernels import Problem, Shape, why_left_out
from benchmarks.peers import PEERS
from biotune_kernels import SparsePattern, available_backends
from biotune_kernels.backends import DEFINITION


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernels, "SHAPES", (Shape(30, 200, 16, 3, 1), Shape(20, 100, 8, 2, 3)))
    monkeypatch.setattr(kernels, "_SECONDS", 0.01)


def run(*arguments: str) -> None:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    tf32 = torch.backends.cudnn.allow_tf32
    try:
        kernels.main(arguments)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = tf32


def test_every_usable_backend_and_peer_is_measured_and_auto_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--threads", "1", "--precision", "high", "--json", str(tmp_path / "bench.json"))
    written = json.loads((tmp_path / "bench.json").read_text())
    assert (written["threads"], written["precision"]) == (1, "high")
    header, _, *lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    usable = {name for name, reason in available_backends("cpu").items() if reason is None}
    for row, population in zip(written["rows"], (1, 3), strict=True):
        results = row["results"]
        measured = {name for name, result in results.items() if result["median_ms"] is not None}
        assert measured >= usable | {"auto", "nn.RNN, index", "nn.RNN, mask", "dense, batched", "CSR, autograd"}
        assert ("auto, one at a time" in measured) == (population > 1)
        assert all(result["median_ms"] > 0 or result["note"] for result in results.values() if result["runs"])
        assert all(results[name]["note"] for name in results if name not in measured)
        assert results["auto"]["note"] in usable
        errors = {name: result["error"] for name, result in results.items() if result["error"] is not None}
        assert errors.keys() >= {"auto", "dense", "dense, batched", "nn.RNN, mask"}
        assert max(errors.values()) < 1e-5
        cells = dict(zip(header.split("|"), lines[population > 1].split("|"), strict=True))
        auto, best = results["auto"]["median_ms"], min(results[name]["median_ms"] for name in measured & set(PEERS))
        assert cells[" best peer / auto "].startswith(f" **{best / auto:.1f}**")
        assert cells[" networks/s of auto "].replace(",", "").strip() == f"{1e3 * population / auto:.0f}"


@pytest.fixture
def gradients(monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """What is differentiated from now on: the gradients of one call after the other."""
    found: list[list[Tensor]] = []
    differentiate = torch.autograd.grad

    def record(*arguments: Any, **options: Any) -> tuple[Tensor, ...]:
        result = differentiate(*arguments, **options)
        found.append(list(result))
        return result

    monkeypatch.setattr(torch.autograd, "grad", record)
    return found


@pytest.mark.parametrize("shape", [Shape(30, 200, 16, 3, 1), Shape(20, 100, 8, 2, 3)], ids=str)
def test_every_contestant_makes_the_same_passes(shape: Shape, gradients: list[list[Tensor]]) -> None:
    problem = Problem(shape, torch.device("cpu"))
    problem.backend(DEFINITION)()
    [expected] = gradients
    for name in ("auto", *available_backends("cpu")):
        if not why_left_out(name, problem.pattern, shape):
            gradients.clear()
            problem.backend(name)()
            assert_same(gradients, [expected])
    one_by_one = [list(network) for network in zip(*(tensor.split(1) for tensor in expected), strict=True)]
    gradients.clear()
    problem.alone()()
    assert_same(gradients, one_by_one)
    for name in PEERS:
        if name != "JAX" and not why_left_out(name, problem.pattern, shape):
            gradients.clear()
            problem.peer(name)()
            found = [list(one) for one in zip(*gradients[0], strict=True)] if PEERS[name].together else gradients
            assert_same([at_the_edges(*one) for one in zip(found, problem.patterns, strict=True)], one_by_one)


def test_jax_makes_the_same_passes() -> None:
    pytest.importorskip("jax")
    problem = Problem(Shape(20, 100, 8, 2, 3), torch.device("cpu"))
    error = problem.error(problem.peer("JAX")(), problem.exact())
    assert error is not None
    assert error < 1e-5


def test_a_contestant_that_a_shape_does_not_suit_is_left_out_with_its_reason() -> None:
    line = torch.arange(40_000)
    pattern, shape = SparsePattern(line, line.roll(1), 40_000), Shape(40_000, 40_000, 128, 21, 1)
    for name, reason in {
        "dense": "density of 0.0312",
        "reference": "product of every edge",
        "nn.RNN, mask": "its matrix alone would take 6 GiB",
        "nn.RNN, index": "its matrix alone would take 6 GiB",
        "auto, one at a time": "it is one network",
        "cuda_graph": "it needs an NVIDIA GPU",
    }.items():
        assert reason in why_left_out(name, pattern, shape)
    assert not any(why_left_out(name, pattern, shape) for name in ("auto", "CSR, autograd"))


def at_the_edges(found: list[Tensor], pattern: SparsePattern) -> list[Tensor]:
    """A peer's gradients of values, input weights and bias."""
    if len(found) == 4:  # nn.RNN: input weights, recurrent weights, two biases
        weight_ih, values, bias, _ = found
        absent = torch.ones_like(values, dtype=torch.bool)
        absent[pattern.target[0], pattern.source[0]] = False
        assert (values[absent] == 0).all()
    else:
        values, weight_ih, bias = found
    if values.dim() == 2:
        values = values.to_dense()[pattern.target[0], pattern.source[0]]
    return [values[None], weight_ih[None], bias[None]]


def assert_same(found: list[list[Tensor]], expected: list[list[Tensor]]) -> None:
    for one, other in zip(found, expected, strict=True):
        for tensor, exact in zip(one, other, strict=True):
            torch.testing.assert_close(tensor, exact, rtol=1e-4, atol=1e-4)


def test_rows_are_chosen_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    run("--shapes", "2")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in lines] == ["shape", str(kernels.SHAPES[1])]


def test_rows_that_the_time_does_not_reach_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--shapes", "2,1", "--seconds", "0.000001", "--json", str(tmp_path / "bench.json"))
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"- not begun within 1e-06 s: {kernels.SHAPES[0]}"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--shapes", rows) for rows in ("3", "0", "one", "")),
        ("--threads", "0"),
        ("--seconds", "0"),
        ("--json", "no/such/folder/bench.json"),
        pytest.param(("--device", "cuda"), marks=pytest.mark.skipif(torch.cuda.is_available(), reason="it is there")),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    printed = capsys.readouterr()
    assert arguments[0] in printed.err
    assert not printed.out
