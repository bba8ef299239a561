"""`biotune extend`, by its command: what it refuses, and that a study goes on to its next look, also after a kill."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biotune.cli import main
from biotune.errors import UserError
from biotune.results import Results
from biotune.results.documents import Extension
from biotune.study import load_study
from biotune.study.directory.directory import load_record
from biotune.study.directory.resume import load_extended
from biotune.study.history.events import Extended, append

ROOT = Path(__file__).parents[2]
RUN = "from biotune.cli import main; raise SystemExit(main())"
Finished = tuple[Path, Results, str]


def biotune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


def content(results: Results) -> dict[str, str]:
    """Every file of a results directory, as its digest."""
    files = [file for file in results.path.rglob("*") if file.is_file() and file.name != ".lock"]
    return {str(file.relative_to(results.path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Results:
    """A copy of the finished study, which has one look of 3 pairs."""
    return Results(shutil.copytree(finished[1].path, tmp_path / "small-copy"))


@pytest.fixture
def refused(results: Results, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs an extension that must be refused, and gives the one line that says why; nothing may have changed."""

    def run(*arguments: str | Path) -> str:
        before = content(results)
        assert main(["extend", str(results.path), *map(str, arguments)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert content(results) == before
        return line.removeprefix("error: ")

    return run


def test_a_study_whose_looks_were_taken_has_no_next_one(refused: Callable[..., str]) -> None:
    assert "the one look that was planned, at 3 pairs, was taken; --replicates N adds pairs past the plan" in refused()
    assert "--to 32: is no planned look; the study planned 3 pairs" in refused("--to", "32")
    assert "--replicates 6: the plan has pairs up to 3" in refused("--replicates", "6")


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("max_epochs: 6", "max_epochs: 4", "confirm.max_epochs is 6 there and 4 here"),
        ("seed: 3", "seed: 4", "seed is 3 there and 4 here"),
        ("confirm: {replicates: 3", "confirm: {looks: [4, 8]", "confirm.replicates is 3 there and 4 here"),
        ("  rewired: {", "  other: {", "arms.rewired"),
    ],
)
def test_another_study_is_refused_with_the_difference(
    refused: Callable[..., str], small_text: str, tmp_path: Path, old: str, new: str, differs: str
) -> None:
    (tmp_path / "other.yaml").write_text(small_text.replace(old, new))
    line = refused("--space", tmp_path / "other.yaml")
    assert differs in line
    assert "an extension may add conditions and change the description, and nothing else" in line


def test_a_first_look_is_extended_by_a_copy_of_what_was_run(
    begin_results: Callable[..., Results], small_text: str, tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(small_text)
    results = begin_results(tmp_path / "results", load_study(space, quick=True).resolved())
    with pytest.raises(UserError, match=r"run with --quick: add the conditions to a copy of .*/results/study\.yaml"):
        load_extended(results.path, space)


def test_a_yaml_without_another_condition_is_refused(
    refused: Callable[..., str], small_text: str, tmp_path: Path
) -> None:
    (tmp_path / "same.yaml").write_text(small_text.replace("# Is a", "# Surely, is a"))
    assert "has no condition that" in refused("--space", tmp_path / "same.yaml")


def test_a_study_whose_topologies_cannot_be_had_again_is_refused(refused: Callable[..., str], results: Results) -> None:
    state = results.read_json("state")
    changed = {"topologies": state["topologies"] | {"rewired": "0" * 64}}
    results.write_json("state", state | changed)
    (results.path / "journal.jsonl").unlink()
    for table in results.path.glob("*.parquet"):
        table.unlink()
    results.write_json("state", state | changed | {"journal": {"events": 0, "check": ""}})
    line = refused("--replicates", "8")
    assert "this machine draws another topology for arm rewired" in line


def test_a_condition_that_was_added_before_is_refused_as_another(
    results: Results, small_text: str, tmp_path: Path
) -> None:
    added = Extension(asked="now", conditions={"fast": {"network": {"weight_decay": 0.1}}})
    append(results.journal(), Extended(extension=added, selection=None))
    space = tmp_path / "more.yaml"

    def ask(decay: float) -> dict[str, Any]:
        fast, other = f"fast: {{network: {{weight_decay: {decay}}}}}", "other: {network: {weight_decay: 0.3}}"
        space.write_text(small_text.replace("tune:", f"conditions:\n  primary: {{}}\n  {fast}\n  {other}\ntune:"))
        return load_extended(results.path, space)[1]

    assert list(ask(0.1)) == ["other"]
    with pytest.raises(UserError, match="condition fast was added before, as another"):
        ask(0.2)


@pytest.mark.slow
def test_a_replication_and_a_condition_are_added_to_a_finished_study(
    results: Results, small_text: str, tmp_path: Path
) -> None:
    more = "conditions:\n  primary: {}\n  fast: {network: {learning_rate: 0.05}}\ntune:"
    (tmp_path / "more.yaml").write_text(small_text.replace("tune:", more))
    before = results.read_table("convergence")
    done = biotune("extend", results.path, "--replicates", "7", "--space", tmp_path / "more.yaml")
    assert done.returncode == 0, done.stderr
    state, after = results.read_state(), results.read_table("convergence")
    assert state.phase == "finished"
    assert list(state.conditions) == ["primary", "fast"]
    assert list(state.added_conditions) == ["fast"]
    assert set(after["look"]) == {3, 7}
    within = after[(after["look"] == 3) & (after["condition"] == "primary")].reset_index(drop=True)
    assert within.equals(before)
    assert sorted(set(after.loc[after["look"] == 7, "replicate"])) == [3, 4, 5, 6]
    summary = results.read_json("summary")
    assert [found["pairs"] for found in summary["replications"]] == [4]
    assert {s["condition"]: s["added"] for s in summary["conditions"]["specifications"]} == {
        "primary": False,
        "fast": True,
    }
    assert "added later" in (results.path / "report" / "index.html").read_text()
    assert biotune("run", "--resume", results.path).returncode == 0  # there is nothing left to do
    assert biotune("extend", results.path, "--replicates", "7").returncode == 2


@pytest.mark.long
def test_an_extension_that_was_killed_goes_on(write_space: Callable[..., Path], tmp_path: Path) -> None:
    plan = "confirm: {looks: [4, 8, 16], max_epochs: 6, population: 2}"
    space = write_space(("confirm: {replicates: 3, max_epochs: 6, population: 2}", plan))
    done = biotune("run", "--space", space, "--output", tmp_path / "results", "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    [directory] = (tmp_path / "results").iterdir()
    results = Results.open(directory)
    [first] = results.read_state().looks
    assert first.pairs == 4
    if not first.going:
        pytest.skip("the first look has decided the arm")
    command = [sys.executable, "-c", RUN, "extend", str(directory), "--concurrency", "1", "--checkpoint-every", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and process.poll() is None:
            events = [json.loads(line)["event"] for line in (directory / "journal.jsonl").read_text().splitlines()]
            if "extended" in events and "confirmed" in events[events.index("extended") :]:
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert results.read_state().phase == "confirm"
    assert main(["report", str(directory)]) == 0
    assert results.read_json("summary")["pairs"] == 4  # the last look that was taken
    done = biotune("extend", directory, "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    state = results.read_state()
    assert [look.pairs for look in state.looks] == [4, 8]
    assert len(state.extensions) == 1
    table = results.read_table("convergence")
    own = table[(table["phase"] == "own_best") & (table["arm"] == "real")]
    assert own["replicate"].tolist() == list(range(8))
    assert own["look"].tolist() == [4] * 4 + [8] * 4
    _, record = load_record(results)
    assert len(record.looks) == 2
