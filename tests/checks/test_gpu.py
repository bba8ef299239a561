"""checks.gpu on a CPU: every stage runs, failures are named last, and the folder holds everything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from checks import gpu


def check(folder: Path, *options: str) -> tuple[int, list[str], dict]:
    """Exit code, what was printed, and what was written."""
    command = [sys.executable, "-m", "checks.gpu", "--device", "cpu", "--output", str(folder), "--quick", *options]
    environment = {key: value for key, value in os.environ.items() if key != "BIOTUNE_DATA"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    written = (folder / "summary.txt").read_text().splitlines()
    assert lines[-len(written) :] == written
    assert len(written) <= 40
    assert max(map(len, written)) <= 120
    return done.returncode, written, json.loads((folder / "results.json").read_text())


@pytest.mark.slow
def test_a_test_that_fails_is_named_last_and_the_other_stages_run(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # names are relative to where it is
    planted = tmp_path / "test_planted.py"
    planted.write_text("def test_right(): pass\n\ndef test_wrong(): assert 1 == 2, 'as planted'\n")
    code, summary, found = check(tmp_path / "out", "--stages", "tests,learning", "--tests", str(planted))
    assert code == 1
    assert summary[-1] == "failed test_planted.py::test_wrong: AssertionError: as planted"
    assert summary[-2].startswith("== NOT all passed")
    stages = {stage["name"]: (stage["passed"], stage["words"]) for stage in found["stages"]}
    assert stages.pop("tests") == (False, "1 passed, 1 failed")
    assert list(stages) == ["learning highest", "learning medium"]
    assert all(passed for passed, _ in stages.values()), stages
    (table,) = [place for place, line in enumerate(summary) if line.startswith("learning  ")]
    assert [line.split()[0] for line in summary[table + 1 : -2]] == [
        "reference,",
        "reference",
        "dense",
        "torch_csr",
        "cpu",
    ]


@pytest.mark.long
def test_all_stages_with_their_tables(tmp_path: Path) -> None:
    tests = "tests/kernels/test_pattern.py"
    code, summary, found = check(tmp_path, "--minutes", "10", "--tests", tests, "--study")
    assert code == 0, summary
    names = ["tests", "learning highest", "learning medium", "confirm", "throughput"]
    names += ["bench highest", "bench medium", "study"]
    assert [stage["name"] for stage in found["stages"]] == names
    assert len(found["throughput"]) == 2  # of an engine, and of the cores
    assert min(found["throughput"].values()) > 0
    heads = ("==", "stage", "learning", "ratio of updates", "ms of auto", "== all passed")
    assert all(any(line.startswith(head) for line in summary) for head in heads)
    assert list(found["confirm"]) == ["cpu", "cpu, tune_main"]
    assert list(found["bench"]) == ["highest", "medium"]
    for file in ("log.txt", "bench-highest.json", "bench-medium.json", "confirm-cpu.npz", "confirm-device.npz"):
        assert (tmp_path / file).stat().st_size


@pytest.mark.slow
def test_what_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    code, summary, found = check(tmp_path, "--stages", "learning", "--minutes", "0.02")
    assert code == 1
    assert all("cut off after" in stage["words"] for stage in found["stages"])
    assert any("FAILED: cut off" in line for line in summary)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes", "0"], "--minutes: expected more than 0"),
        (["--stages", "tests,nothing"], "nothing is none of tests, learning, confirm, throughput, bench"),
        (["--stages", "tests", "--study"], "add confirm"),
    ],
)
def test_bad_options_are_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cpu", "--output", str(tmp_path), *options])
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--output", str(tmp_path / "out")])
    assert "no GPU: PyTorch" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
