"""What goes wrong while a study runs: kills, trials that fail in every way, memory and disks that are full."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from biotune.cli import main
from biotune.results import Results
from biotune.results.journal import Journal
from biotune.study import load_study
from biotune.study.directory.directory import new_record
from biotune.study.search.progress import SearchProgress
from checks import faults
from checks.integrity import events_of

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"


def tune(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TUNE_MAIN, *map(str, arguments), "--concurrency", "1"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, **(environment or {})}
    )


def only_results(output: Path) -> Results:
    [directory] = output.iterdir()
    return Results.open(directory)


@pytest.mark.slow
def test_a_study_killed_in_search_confirm_and_report_ends_as_if_left_alone(small_space: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    assert faults.main(["--space", str(small_space), "--kills", "3", "--json", str(found)]) == 0
    kills = json.loads(found.read_text())["kills"]
    assert {kill["kind"] for kill in kills} == {"driver", "worker", "tree"}
    assert [kill["phase"] for kill in kills] == ["search", "confirm", "report"]


FAULTY = '''
import json, os, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from biotune.tasks import Trials
from biotune.tasks.seq_mem import SeqMem

@dataclass(frozen=True)
class Faulty(SeqMem):
    """seq_mem; script.json has what happens as a network's data are drawn for the nth time, its last entry for ever."""

    def trials(self, count, generator):
        drawn = super().trials(count, generator)
        if count < 60:  # those that are tested on at the end
            return drawn
        script = Path(__file__).with_name("script.json")
        fault, *left = json.loads(script.read_text())
        script.write_text(json.dumps(left or [fault]))
        match fault:
            case "raise":
                raise ValueError("the data cannot be drawn")
            case "nan" | "inf":
                return Trials(drawn.inputs, np.full_like(drawn.targets, float(fault)))
            case "sys.exit":
                sys.exit()
            case "sys.exit 3":
                sys.exit(3)
            case "os._exit":
                os._exit(1)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "memory":
                raise MemoryError
            case "hog":
                hogged = []
                while True:
                    hogged.append(np.ones(2**24))
                    time.sleep(0.02)
        return drawn
'''


def faulty(folder: Path, script: list[str]) -> list[str]:
    """The options that run a study with a task to which this happens."""
    (folder / "faulty.py").write_text(FAULTY)
    (folder / "script.json").write_text(json.dumps(script))
    return ["--set", f"task.name={folder / 'faulty.py'}:Faulty"]


@pytest.mark.long
def test_trials_that_fail_in_every_way_end_as_failed_or_diverged_and_the_study_goes_on(
    small_space: Path, tmp_path: Path
) -> None:
    trained = ["", ""]  # a trial has two networks
    happens = {
        "real-0000": ["raise"] * 3,
        "rewired-0000": ["raise", *trained],
        "real-0001": ["nan", "nan"],
        "rewired-0001": ["", "inf"],
        "real-0002": ["sys.exit", *trained],  # ends without a report, as Ray sees it
        "rewired-0002": ["sys.exit 3"] * 3,
        "real-0003": ["os._exit", *trained],
        "rewired-0003": ["memory"] * 3,
        "real-0004": ["kill", "kill", *trained],
        "rewired-0004": trained,
    }
    choosing = [""] * 8  # the kernels are chosen with the networks of each arm, in search and in confirm
    script = choosing + [fault for trial in happens.values() for fault in trial] + ["raise", "sys.exit", "os._exit", ""]
    retried_block = ["--set", "confirm.replicates=2"]
    done = tune("--space", small_space, "--output", tmp_path / "results", *faulty(tmp_path, script), *retried_block)
    assert done.returncode == 2  # the first block failed three times in a row, each time otherwise
    assert re.search(r"real-[0-9a-f]{12}-0000: ", done.stderr)
    assert "Traceback" not in done.stderr
    results = only_results(tmp_path / "results")
    table = results.read_table("trials").set_index("trial")
    ended = table["status"].replace({"completed": "trained", "stopped": "trained"}).to_dict()
    assert ended == {
        "real-0000": "failed",
        "rewired-0000": "trained",
        "real-0001": "diverged",
        "rewired-0001": "diverged",
        "real-0002": "trained",
        "rewired-0002": "failed",
        "real-0003": "trained",
        "rewired-0003": "failed",
        "real-0004": "trained",
        "rewired-0004": "trained",
    }
    assert table.loc["real-0000", "error"] == "ValueError: the data cannot be drawn"
    assert table.loc["rewired-0002", "error"] == "RuntimeError: the task's code called sys.exit(3)"
    assert "MemoryError" in table.loc["rewired-0003", "error"]
    told = search_of(results)
    states = {arm: [trial.state.name for trial in sampler.study.trials] for arm, sampler in told.samplers.items()}
    assert states["real"] == ["FAIL", "PRUNED", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert states["rewired"] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "COMPLETE"]
    assert told.rungs["real"].known == {"real-0002", "real-0003", "real-0004"}
    assert told.rungs["rewired"].known == {"rewired-0000", "rewired-0004"}
    assert tune("--resume", results.path).returncode == 0
    assert faults_of_confirmed(results) == []


def search_of(results: Results) -> SearchProgress:
    """The search as it stands, from the journal."""
    study = load_study(results.path / "study.yaml")
    return SearchProgress(study, new_record(study), Journal(Path("unused")), events_of(results))


def faults_of_confirmed(results: Results) -> list[str]:
    return [fault for fault in faults.faults(results) if "trial" not in fault]


@pytest.mark.long
def test_a_trial_that_takes_all_memory_is_retried_and_a_block_that_never_fits_ends_in_an_error(
    small_space: Path, tmp_path: Path
) -> None:
    memory = psutil.virtual_memory()
    kill_above = {
        "RAY_memory_usage_threshold": f"{1 - memory.available / memory.total + 0.1:.3f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    choosing, trained = [""] * 4, [""] * 2
    options = faulty(tmp_path, [*choosing, "hog", *trained, *trained, "hog"])
    for change in ("search.trials_per_arm=2", "confirm.replicates=2"):
        options += ["--set", change]
    output = tmp_path / "results"
    done = tune("--space", small_space, "--output", output, "--arms", "real", *options, environment=kill_above)
    assert done.returncode == 2
    assert re.search(r"confirming failed, 3 times in a row \(real-[0-9a-f]{12}-0000: ", done.stderr)
    assert "memory" in done.stderr
    results = only_results(output)
    assert set(results.read_table("trials")["status"]) <= {"completed", "stopped"}
    assert [event["event"] for event in events_of(results)].count("confirmed") == 0


@pytest.mark.long
@pytest.mark.parametrize("phase", ["search", "confirm"])
def test_a_study_whose_head_dies_says_so_and_can_be_resumed(phase: str, small_text: str, tmp_path: Path) -> None:
    endless = {"search": "search.max_epochs=100000", "confirm": "confirm.max_epochs=100000"}[phase]
    (tmp_path / "space.yaml").write_text(small_text)
    command = [sys.executable, TUNE_MAIN, "--space", tmp_path / "space.yaml", "--set", endless]
    command += ["--output", tmp_path / "results", "--concurrency", "1"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list((tmp_path / "results").glob(f"*/checkpoints/{phase}/*.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    [head] = [one for one in psutil.Process(process.pid).children() if one.name() == "gcs_server"]
    head.kill()
    _, errors = process.communicate(timeout=120)
    [directory] = (tmp_path / "results").iterdir()
    assert process.returncode == 2, errors
    [line] = errors.splitlines()
    assert "does not answer any more" in line
    assert line.endswith(f"--resume {directory}")
    assert main(["report", str(directory)]) == 0  # its files agree with each other
    assert not list(directory.rglob("*.tmp"))
