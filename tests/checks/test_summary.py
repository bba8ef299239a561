"""The summary has forty lines, whatever was found."""

from typing import Any

import pytest

from benchmarks.kernels import SHAPES
from benchmarks.peers import PEERS
from biotune_kernels.backends import NAMES
from checks.kernel_tests import Outcome
from checks.summary import summary


def found(tests: list[Outcome], **changes: Any) -> dict[str, Any]:
    """As many results as a check of a GPU can have."""
    precisions = ("highest", "medium")
    measured = {"median_ms": 1.25, "least_ms": 1.2, "runs": 60, "peak_mib": 3.0, "note": "cuda_graph"}
    absent = measured | {"median_ms": None, "note": "no"}
    peers = dict.fromkeys(PEERS, absent) | {"nn.RNN, index": measured | {"median_ms": 2.5}}
    peers |= {"CSR, autograd": absent, "torch_sparse, autograd": absent}
    rows = [
        {"shape": vars(shape), "results": {"auto": measured, "auto, one at a time": absent, **peers}}
        for shape in SHAPES[:6]
    ]
    learned = [
        {
            "backend": name,
            "losses": [[0.4, 0.4], [0.02, 0.04]],
            "deviation": 2e-7,
            "epoch": 1,
            "seconds": 1,
            "failure": "",
        }
        for name in ("reference, float64", *NAMES)
    ]
    arms = [
        {"arm": arm, "here": 0.5, "there": 0.5, "converged": [4, 4], "wrong": []} for arm in ("a", "b", "c", "random")
    ]
    names = ["tests", "confirm", "study", *(f"{part} {one}" for part in ("learning", "bench") for one in precisions)]
    return {
        "machine": "A GPU of some name, 132 multiprocessors, 139 GiB; 16 cores",
        "device": "cuda",
        "versions": {f"package{i}": "1.2.3" for i in range(9)},
        "folder": "gpu-check",
        "stages": [
            {"name": name, "passed": True, "words": "done", "seconds": 12.3, "limit": 45.0} for name in sorted(names)
        ],
        "tests": [vars(one) for one in tests],
        "learning": {name: {"tolerance": 1e-3, "learned": learned} for name in precisions},
        "confirm": {"cuda": arms, "cuda, tune_main": arms},
        "throughput": {"GPU, 64 together": 17_345.6, "16 cores, with the C++ library": 710.0},
        "bench": {name: {"rows": rows} for name in precisions},
        "passed": not tests,
    } | changes


def failed(test: str) -> Outcome:
    return Outcome(f"tests/kernels/{test}", "failed", 1.0, 200 * "why ")


@pytest.mark.parametrize("failures", [0, 1, 5, 20, 400])
def test_forty_lines_with_failed_tests_at_the_end(failures: int) -> None:
    lines = summary(found([failed(f"test_x.py::test_{i}") for i in range(failures)])).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert any("17,346 (GPU, 64 together), 710 (16 cores" in line for line in lines)
    named = [line for line in lines if line.startswith("failed ")]
    assert len(named) >= min(failures, 5)
    assert lines[len(lines) - len(named) :] == named
    if len(named) < failures:
        assert f"and {failures - len(named)} more, see results.json" in lines


def test_cases_of_one_test_share_a_line_where_there_are_many() -> None:
    few = [failed(f"test_x.py::test[{i}]") for i in range(3)]
    assert sum(line.startswith("failed test_x.py::test[") for line in summary(found(few)).splitlines()) == 3
    many = [failed(f"test_x.py::test[{i}]") for i in range(16)] + [failed("test_y.py::other")]
    *_, one, other = summary(found(many)).splitlines()
    assert one.startswith("failed 16 of test_x.py::test: [0], [1], [2], [3], [4]")
    assert other.startswith("failed test_y.py::other: why why")


def test_the_tables_hold_what_was_found() -> None:
    lines = summary(found([])).splitlines()
    assert lines[-1] == "== all passed; everything is in gpu-check"
    assert any(line.startswith("triton") and line.count("2.0e-07, last loss 0.030000") == 2 for line in lines)
    assert any(line.startswith("random") and line.count("0.5000, 4 converged") == 3 for line in lines)
    assert any("220, 0.47, 7 steps" in line and line.count("1.25 cuda_graph, 2.0 nn.RNN, index") == 2 for line in lines)


def test_what_is_wrong_is_marked() -> None:
    off = {"backend": "triton", "losses": [[0.1]], "deviation": 0.6, "epoch": 0, "seconds": 1, "failure": ""}
    broken = off | {"backend": "dense", "losses": [], "failure": "out of memory"}
    arm = {"arm": "random", "here": 0.9, "there": 0.5, "converged": [3, 4], "wrong": ["others converge"]}
    tests = [Outcome(f"tests/kernels/test_y.py::test[{i}]", "not run") for i in range(7)]
    text = summary(
        found(
            [*tests, Outcome("tests/kernels/test_x.py::test", "hung", 60.0, "no end within 60 s")],
            learning={"highest": {"tolerance": 1e-3, "learned": [off, broken]}},
            confirm={"cuda": [arm]},
        )
    )
    for mark in ("FAILED: 6.0e-01", "FAILED: out of memory", "FAILED: 0.9000, 3 converged (others converge)"):
        assert mark in text
    *_, unrun, last = text.splitlines()
    assert unrun.startswith("7 not run: test_y.py::test[0], test_y.py::test[1], ")
    assert last == "hung test_x.py::test: no end within 60 s"
