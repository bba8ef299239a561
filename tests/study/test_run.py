"""A study end to end through Ray, as a user runs it: in a process of its own."""

import json
import os
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> tuple[Path, Results, str]:
    """The small study, run one trial at a time: its YAML, its results, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    space = folder / "space.yaml"
    space.write_text(small_text)
    done = tune("--space", space, "--output", folder / "results", "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    return space, only_results(folder / "results"), done.stdout


def test_a_study_runs_from_its_yaml_to_its_report(finished: tuple[Path, Results, str]) -> None:
    _, results, printed = finished
    complete(results, trials=10, confirmed=12)
    convergence = results.read_table("convergence")
    assert set(convergence["phase"]) == {"shared", "own_best"}
    assert convergence["updates"].between(0, convergence["budget"]).all()
    topologies = results.read_table("topologies")
    assert topologies.groupby("arm")["edges"].nunique().tolist() == [1, 1]
    drawn = results.read_table("matrices").groupby("arm")["edges"].sum()
    assert drawn.to_dict() == topologies[topologies["replicate"] == 0].set_index("arm")["edges"].to_dict()
    assert (results.path / "report" / "index.html").stat().st_size > 10_000
    assert "rewired" in json.dumps(results.read_json("summary"))
    assert "reference" in printed
    assert len(printed.splitlines()) < 60  # none of Ray's own noise


def test_pairs_share_their_setting_and_the_search_its_first_settings(finished: tuple[Path, Results, str]) -> None:
    _, results, _ = finished
    convergence = results.read_table("convergence")
    shared = convergence[convergence["phase"] == "shared"]
    assert len(set(shared["tune.learning_rate"])) == 1
    trials = results.read_table("trials")
    assert trials[trials["origin"] == "shared"].groupby("index")["tune.learning_rate"].nunique().tolist() == [1, 1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_tables(finished: tuple[Path, Results, str], tmp_path: Path) -> None:
    space, results, _ = finished
    assert tune("--space", space, "--output", tmp_path, "--concurrency", "1").returncode == 0
    same_numbers(results, only_results(tmp_path))


def kill_when(process: subprocess.Popen[str], output: Path, ready: Callable[[str], bool], how: int) -> Path:
    """Sends `how` to the driver once its journal satisfies `ready`; returns the results directory."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for journal in output.glob("*/journal.jsonl"):
            if ready(journal.read_text()):
                os.kill(process.pid, how)
                process.wait(60)
                return journal.parent
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    raise AssertionError("it was never ready to be killed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "ready"),
    [
        (signal.SIGKILL, lambda text: text.count('"ended"') >= 3),
        (signal.SIGKILL, lambda text: text.count('"confirmed"') >= 2),
        (signal.SIGINT, lambda text: text.count('"proposed"') >= 4),
    ],
    ids=["killed in search", "killed in confirm", "Ctrl-C in search"],
)
def test_a_resumed_study_ends_as_if_undisturbed(
    finished: tuple[Path, Results, str], tmp_path: Path, how: int, ready: Callable[[str], bool]
) -> None:
    space, undisturbed, _ = finished
    command = [sys.executable, TUNE_MAIN, "--space", space, "--output", tmp_path, "--concurrency", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        directory = kill_when(process, tmp_path, ready, how)
        if how == signal.SIGINT:
            assert process.returncode == 130
            assert process.stdout is not None
            assert f"--resume {directory}" in process.stdout.read()
    assert Results.open(directory).read_json("state")["phase"] != "finished"
    resumed = tune("--resume", directory, "--concurrency", "1")
    assert resumed.returncode == 0, resumed.stderr
    complete(Results.open(directory), trials=10, confirmed=12)
    same_numbers(undisturbed, Results.open(directory))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "it has 3 trained networks an arm; this study's search and confirm phases need 5" in refused.stderr
