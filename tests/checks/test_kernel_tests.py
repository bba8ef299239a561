"""The watched tests: those that hang, crash or are cut off are named, and all others still run."""

import io
import re
from pathlib import Path

import pytest

from checks import kernel_tests
from checks.kernel_tests import counts, run

PLANTED = """
import os, time
import pytest

def test_passes(): pass

@pytest.mark.parametrize("one", [1, 2])
def test_fails(one): assert one == 2, "is one"

def test_hangs(): time.sleep(600)

def test_crashes(): os._exit(3)

@pytest.mark.skip(reason="no such thing here")
def test_is_skipped(): pass

@pytest.fixture
def broken(): raise OSError("no fixture")

def test_has_no_fixture(broken): pass

def test_comes_last(): pass
"""


def test_every_test_has_its_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_tests, "PATIENCE", 2.0)
    monkeypatch.setattr("os.cpu_count", lambda: 4)  # two processes, two shares
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # names are relative to where it is
    (tmp_path / "test_planted.py").write_text(PLANTED)
    (tmp_path / "test_unreadable.py").write_text("import no_such_module")
    log = io.StringIO()
    outcomes = run([str(tmp_path)], 120, log)
    found = {one.test.rpartition("::")[2]: (one.outcome, one.message) for one in outcomes}
    assert found == {
        "test_passes": ("passed", ""),
        "test_fails[1]": ("failed", "AssertionError: is one"),
        "test_fails[2]": ("passed", ""),
        "test_hangs": ("hung", "no end within 2 s"),
        "test_crashes": ("crashed", "its process ended: 3"),
        "test_is_skipped": ("skipped", ""),
        "test_has_no_fixture": ("failed", "OSError: no fixture"),
        "test_comes_last": ("passed", ""),
        "test_unreadable.py": ("failed", "ModuleNotFoundError: No module named 'no_such_module'"),
    }
    assert counts(outcomes) == "3 passed, 1 skipped, 3 failed, 1 hung, 1 crashed"
    assert {one.test.rpartition("::")[2] for one in outcomes if "is one" in one.detail} == {"test_fails[1]"}
    assert re.search(r"line \d+ in test_hangs", log.getvalue()), "where it hung"


@pytest.mark.slow
def test_what_the_time_does_not_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    begun = tmp_path / "begun"
    (tmp_path / "test_long.py").write_text(
        f"import pathlib, time\n\ndef test_first(): pathlib.Path({str(begun)!r}).touch()\n\n"
        "def test_long(): time.sleep(600)\n\ndef test_last(): pass\n"
    )
    outcomes = run([str(tmp_path)], 30, io.StringIO())  # of which pytest takes many to begin on a busy machine
    assert begun.exists()
    assert [one.outcome for one in outcomes] == ["passed", "not run", "not run"]


def test_a_pytest_that_cannot_begin_is_a_failure(tmp_path: Path) -> None:
    outcomes = run([str(tmp_path / "no_such_file.py")], 60, io.StringIO())
    assert {one.outcome for one in outcomes} == {"crashed"}
    assert "no_such_file.py" in outcomes[0].test


def test_the_most_telling_files_come_first() -> None:
    names = [Path(file).stem for file in kernel_tests._kernels_tests()]
    assert set(names[: len(kernel_tests.TELLING)]) == set(kernel_tests.TELLING)
    assert len(names) == len(list(Path("tests/kernels").glob("test_*.py"))) + len(kernel_tests.ELSEWHERE)
