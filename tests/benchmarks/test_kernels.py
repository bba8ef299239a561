"""python -m benchmarks.kernels: what it prints and writes, at shapes small enough for a test."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import kernels
from benchmarks.kernels import Shape
from benchmarks.peers import PEERS
from biotune_kernels import available_backends


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
        assert measured >= usable | {"auto", "nn.RNN, index", "nn.RNN, mask", "CSR, autograd"}
        assert ("auto, one at a time" in measured) == (population > 1)
        assert all(result["median_ms"] > 0 or result["note"] for result in results.values() if result["runs"])
        assert all(results[name]["note"] for name in results if name not in measured)
        assert results["auto"]["note"] in usable
        cells = dict(zip(header.split("|"), lines[population > 1].split("|"), strict=True))
        auto, best = results["auto"]["median_ms"], min(results[name]["median_ms"] for name in measured & set(PEERS))
        assert cells[" best peer / auto "].startswith(f" **{best / auto:.1f}**")
        assert cells[" networks/s of auto "].replace(",", "").strip() == f"{1e3 * population / auto:.0f}"


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
