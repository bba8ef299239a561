"""Studies from Python: read, estimated, run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import biotune as bt

RUN = """
import biotune as bt

if __name__ == "__main__":
    study = bt.Study.read({space!r}, {{"search.trials_per_arm": 2, "confirm.replicates": 2}})
    results = study.run({output!r}, concurrency=1, log=["tensorboard", "mlflow:sqlite:///{database}"])
    print(results.verdicts["claim"]["rewired"], results.path.parent.name)
    again = bt.Study.resume(results.path)
    assert again.table("trials").equals(results.table("trials"))
    print(results.network("real", 1))
"""


def test_is_read_with_changes(tmp_path: Path, small_text: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(small_text)
    study = bt.Study.read(
        space, {"confirm.replicates": 8, "task.pattern_length": 3, "tune.learning_rate": {"choice": [0.1]}}
    )
    assert (study.name, study.arms, study.reference) == ("small", ["real", "rewired"], "real")
    content = study.to_dict()
    assert content["confirm"]["replicates"] == 8
    assert content["tune"]["learning_rate"] == {"choice": [0.1]}
    assert bt.Study.read(space, seed=9).to_dict()["seed"] == 9
    assert bt.Study.read(space, quick=True).notes[-1].startswith("--quick: a first look")
    assert "pattern_length: 3" in study._repr_html_()


def test_the_examples_are_those_of_the_folder() -> None:
    for file in Path("search_spaces").glob("*.yaml"):
        assert bt.Study.example(file.stem).to_dict()["name"]
    with pytest.raises(bt.UserError, match=r"'seq_men'.*did you mean 'seq_mem'"):
        bt.Study.example("seq_men")


def test_every_mistake_is_named(tmp_path: Path, small_text: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(small_text)
    with pytest.raises(bt.UserError, match=r"(?s)search.sampler: .*confirm.replicats: "):
        bt.Study.read(space, {"confirm.replicats": 8, "search.sampler": "tpee"})
    with pytest.raises(bt.UserError, match=r"unknown option of a run 'cores'.*cpus"):
        bt.Study.read(space).run(tmp_path, cores=2)


@pytest.mark.slow
def test_an_estimate_says_how_long_how_much_memory_and_what_it_can_show(tmp_path: Path, small_text: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(small_text.replace("replicates: 3", "replicates: 8"))
    estimate = bt.Study.read(space).estimate(concurrency=1)
    assert 0 < estimate.time.low < estimate.time.high < 600
    assert re.search(r"memory: about [\d.]+ [KM]iB for the trials that run at once, and up to", str(estimate))
    assert "8 pairs show, with a power of 80 %, a true ratio of" in str(estimate)


@pytest.mark.slow
def test_is_run_and_resumed(tmp_path: Path, small_text: str) -> None:
    space, script = tmp_path / "space.yaml", tmp_path / "script.py"
    space.write_text(small_text)
    script.write_text(RUN.format(space=str(space), output=str(tmp_path / "out"), database=tmp_path / "mlflow.db"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "undecided out" in done.stdout or "not comparable out" in done.stdout
    assert "<Network: " in done.stdout.splitlines()[-1]
    [directory] = (tmp_path / "out").iterdir()
    assert (directory / "report" / "index.html").is_file()
    sent = json.loads((directory / "tracking.json").read_text())["trackers"]
    assert len(sent) == 2
    for runs in sent.values():
        assert all(run["ended"] for run in runs.values())
        assert {"real-0000", "real-0001", "rewired-0000", "rewired-0001"} < set(runs)  # and blocks that were confirmed
    assert {folder.name for folder in (directory / "tensorboard").iterdir()} == set(sent["tensorboard"])
