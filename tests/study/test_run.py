"""A study end to end through Ray, as a user runs it: in a process of its own."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from biotune.results import Results

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"


def tune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TUNE_MAIN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def only_results(output: Path) -> Results:
    [directory] = output.iterdir()
    return Results.open(directory)


def same_numbers(one: Results, other: Results) -> None:
    """The tables of two runs are equal, but for the time they took."""
    for name in ("trials", "curves", "topologies", "convergence", "matrices"):
        tables = [results.read_table(name).drop(columns="seconds", errors="ignore") for results in (one, other)]
        pd.testing.assert_frame_equal(*tables)


def complete(results: Results, trials: int, confirmed: int) -> None:
    """No trial is lost or doubled, no evaluation is missing or twice there."""
    table, curves = results.read_table("trials"), results.read_table("curves")
    assert len(table) == trials
    assert table["trial"].is_unique
    assert set(table["status"]) <= {"completed", "stopped"}
    keys = ["phase", "trial", "replicate"]
    assert not curves.duplicated([*keys, "epoch"]).any()
    epochs = curves.groupby(keys)["epoch"].agg(["min", "max", "size"])
    assert (epochs["min"] == 0).all()
    assert (epochs["size"] == epochs["max"] + 1).all()
    reached = curves[curves["phase"] == "search"].groupby("trial")["epoch"].max()
    assert reached.to_dict() == table.set_index("trial")["epochs"].to_dict()
    assert len(results.read_table("convergence")) == confirmed
    assert results.read_json("state")["phase"] == "finished"


def test_a_study_runs_from_its_yaml_to_its_report(finished: tuple[Path, Results, str]) -> None:
    _, results, printed = finished
    complete(results, trials=10, confirmed=12)
    convergence = results.read_table("convergence")
    assert set(convergence["phase"]) == {"pair", "own_best"}
    assert convergence["updates"].between(0, convergence["budget"]).all()
    topologies = results.read_table("topologies")
    assert topologies.groupby("arm")["edges"].nunique().tolist() == [1, 1]
    drawn = results.read_table("matrices").groupby("arm")["edges"].sum()
    assert drawn.to_dict() == topologies[topologies["replicate"] == 0].set_index("arm")["edges"].to_dict()
    assert (results.path / "report" / "index.html").stat().st_size > 10_000
    assert "rewired" in json.dumps(results.read_json("summary"))
    assert "reference" in printed
    assert len(printed.splitlines()) < 60  # none of Ray's own noise
    [seen] = results.read_json("environment")["kernels"]
    assert max(seen["deviation"].values()) <= seen["tolerance"]
    assert f"Kernels: {seen['backend']} (states and gradients within" in printed


def test_pairs_share_their_setting_and_the_search_its_first_settings(finished: tuple[Path, Results, str]) -> None:
    _, results, _ = finished
    convergence = results.read_table("convergence")
    pair = convergence[convergence["phase"] == "pair"]
    assert len(set(pair["tune.learning_rate"])) == 1
    assert set(zip(pair["arm"], pair["against"], strict=True)) == {("real", "rewired"), ("rewired", "")}
    trials = results.read_table("trials")
    assert trials[trials["origin"] == "shared"].groupby("index")["tune.learning_rate"].nunique().tolist() == [1, 1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_tables(finished: tuple[Path, Results, str], tmp_path: Path) -> None:
    space, results, _ = finished
    assert tune("--space", space, "--output", tmp_path, "--concurrency", "1").returncode == 0
    same_numbers(results, only_results(tmp_path))


def interrupt_when(process: subprocess.Popen[str], output: Path, ready: Callable[[str], bool], how: int) -> Path:
    """Sends a signal once the journal satisfies `ready`; returns the results directory."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for journal in output.glob("*/journal.jsonl"):
            if ready(journal.read_text()):
                process.send_signal(how)
                process.wait(60)
                return journal.parent
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.02)
    raise AssertionError("it was never ready to be interrupted")


@pytest.mark.parametrize(  # kills are in test_faults.py
    "how",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.long),
    ],
)
def test_a_study_that_was_interrupted_and_resumed_ends_as_if_undisturbed(
    finished: tuple[Path, Results, str], tmp_path: Path, how: int
) -> None:
    space, undisturbed, _ = finished
    command = [sys.executable, TUNE_MAIN, "--space", space, "--output", tmp_path, "--concurrency", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        directory = interrupt_when(process, tmp_path, lambda text: text.count('"proposed"') >= 4, how)
        assert process.returncode == 130
        assert process.stdout is not None
        assert f"--resume {directory}" in process.stdout.read()
    assert Results.open(directory).read_json("state")["phase"] != "finished"
    resumed = tune("--resume", directory, "--concurrency", "1")
    assert resumed.returncode == 0, resumed.stderr
    complete(Results.open(directory), trials=10, confirmed=12)
    same_numbers(undisturbed, Results.open(directory))
    assert len(Results.open(directory).read_json("environment")["kernels"]) == 1  # seen again, where it was seen
    assert "only the tables and the report are made again" in tune("--resume", directory).stdout


@pytest.mark.long
def test_more_at_once_changes_only_what_the_sampler_proposes(
    finished: tuple[Path, Results, str], tmp_path: Path
) -> None:
    space, results, _ = finished
    assert tune("--space", space, "--output", tmp_path, "--concurrency", "2").returncode == 0
    at_once = only_results(tmp_path)
    one, other = (r.read_table("trials").set_index("trial") for r in (results, at_once))
    shared = one["origin"] == "shared"
    pd.testing.assert_series_equal(one.loc[shared, "tune.learning_rate"], other.loc[shared, "tune.learning_rate"])
    complete(at_once, trials=10, confirmed=12)


@pytest.mark.long
def test_trials_that_fail_or_diverge_never_end_the_study(small_space: Path, tmp_path: Path) -> None:
    # a learning rate that no network survives, for most of the range; the clip must let it through
    changes = ["tune.learning_rate={loguniform: [1.0e-3, 1.0e+30]}", "network.gradient_clip=1e30", "search.grace=9"]
    arguments = [part for change in changes for part in ("--set", change)]
    arguments += ["--set", "tune.nonlinearity={choice: [relu]}"]
    done = tune("--space", small_space, "--output", tmp_path / "results", *arguments)
    assert done.returncode == 0, done.stderr
    trials = only_results(tmp_path / "results").read_table("trials")
    assert len(trials) == 10
    assert (trials["status"] == "diverged").any()
    assert (trials["status"] == "completed").any()


DYING = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from biotune.tasks.seq_mem import SeqMem

@dataclass(frozen=True)
class Dying(SeqMem):
    \"\"\"seq_mem; the process in which trials are drawn for the nth time is killed.\"\"\"

    def trials(self, count, generator):
        left = Path(__file__).with_name("left")
        number = int(left.read_text())
        left.write_text(str(number - 1))
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().trials(count, generator)
"""


@pytest.mark.long
@pytest.mark.parametrize("after", [13, 45], ids=["in search", "in confirm"])
def test_a_trial_whose_worker_is_killed_is_taken_up_again(
    finished: tuple[Path, Results, str], tmp_path: Path, after: int
) -> None:
    space, undisturbed, _ = finished
    task, left = tmp_path / "dying.py", tmp_path / "left"
    task.write_text(DYING)
    left.write_text(str(after))
    name = f"task.name={task}:Dying"
    done = tune("--space", space, "--output", tmp_path / "results", "--concurrency", "1", "--set", name)
    assert done.returncode == 0, done.stderr
    assert int(left.read_text()) < 0
    complete(only_results(tmp_path / "results"), trials=10, confirmed=12)
    same_numbers(undisturbed, only_results(tmp_path / "results"))


FAILING = """
from dataclasses import dataclass
from pathlib import Path
from biotune.errors import UserError
from biotune.tasks.seq_mem import SeqMem

@dataclass(frozen=True)
class Failing(SeqMem):
    \"\"\"seq_mem; once there is a confirmed block, drawing trials fails as long as the file `broken` is there.\"\"\"

    def trials(self, count, generator):
        folder = Path(__file__).parent
        confirmed = any('"confirmed"' in file.read_text() for file in folder.glob("results/*/journal.jsonl"))
        if confirmed and (folder / "broken").exists():
            raise UserError("the trials cannot be drawn")
        return super().trials(count, generator)
"""


@pytest.mark.long
def test_what_cannot_be_confirmed_is_reported_on_and_tried_again_on_resume(
    finished: tuple[Path, Results, str], tmp_path: Path
) -> None:
    space, undisturbed, _ = finished
    task, broken = tmp_path / "failing.py", tmp_path / "broken"
    task.write_text(FAILING)
    broken.touch()
    name = f"task.name={task}:Failing"
    failed = tune("--space", space, "--output", tmp_path / "results", "--concurrency", "1", "--set", name)
    assert failed.returncode == 2
    assert "the trials cannot be drawn); resume the study to try again" in failed.stderr
    assert "Traceback" not in failed.stderr
    results = only_results(tmp_path / "results")
    assert (results.path / "report" / "index.html").is_file()
    assert len(results.read_table("convergence")) == 2
    broken.unlink()
    resumed = tune("--resume", results.path, "--concurrency", "1")
    assert resumed.returncode == 0, resumed.stderr
    same_numbers(undisturbed, results)


@pytest.mark.long
def test_a_study_in_which_nothing_trains_is_reported_on(small_space: Path, tmp_path: Path) -> None:
    changes = ["tune={learning_rate: {choice: [1.0e+30]}}", "network.gradient_clip=1e30", "network.nonlinearity=relu"]
    arguments = [part for change in changes for part in ("--set", change)]
    done = tune("--space", small_space, "--output", tmp_path / "results", *arguments)
    assert done.returncode == 2
    assert "every trial ended as diverged, so no setting can be confirmed" in done.stderr
    assert "Report: " in done.stdout


@pytest.mark.long
def test_a_study_is_resumed_only_on_the_device_it_was_started_on(
    finished: tuple[Path, Results, str], tmp_path: Path
) -> None:
    _, undisturbed, _ = finished
    copy = Path(shutil.copytree(undisturbed.path, tmp_path / "copy"))
    results = Results.open(copy)
    results.write_json("state", results.read_json("state") | {"device": "cuda", "phase": "confirm"})
    refused = tune("--resume", copy)
    assert refused.returncode == 2
    assert "was started on cuda, and its trials would now run on cpu" in refused.stderr


@pytest.mark.long
def test_a_study_starts_from_the_networks_that_another_trained(
    finished: tuple[Path, Results, str], tmp_path: Path
) -> None:
    space, source, _ = finished
    start = f"network.start_from={{results: {source.path}}}"
    fewer = ["search.replicates=1", "confirm.replicates=2", "task.pattern_length=3"]
    changes = [part for change in [start, *fewer] for part in ("--set", change)]
    done = tune("--space", space, "--output", tmp_path / "results", *changes)
    assert done.returncode == 0, done.stderr
    complete(only_results(tmp_path / "results"), trials=10, confirmed=8)
    refused = tune("--space", space, "--output", tmp_path / "refused", "--set", start)
    assert refused.returncode == 2
    assert "it has 3 trained networks per arm; this study's search and confirm phases need 5" in refused.stderr
