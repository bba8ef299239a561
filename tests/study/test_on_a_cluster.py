"""A reduced study as a job on a cluster that is started as docs/clusters.md says: it ends well, and can be watched."""

import re
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from biotune.results import Results

pytestmark = pytest.mark.slow


@dataclass
class Job:
    """What became of the job, and what was seen while it ran."""

    printed: str
    status: int
    results: Results
    scraped: list[str]
    arguments: str


@pytest.fixture(scope="module")
def job(head: Any, tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Job:
    work = tmp_path_factory.mktemp("job")
    (work / "space.yaml").write_text(small_text)
    submit = [head.ray, "job", "submit", "--address", f"http://{head.dashboard}", "--working-dir", ".", "--"]
    submit += ["python", "tune_main.py", "--space", work / "space.yaml", "--address", "auto"]
    submit += ["--output", work / "results"]
    deadline = time.monotonic() + 300
    scraped, arguments, printed = [], "", ""
    while True:  # the head takes some seconds until it takes jobs
        with (work / "job.log").open("w") as log:
            process = subprocess.Popen(submit, env=head.environment, stdout=log, stderr=log)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(1)
            scraped.append(head.metrics())
            arguments += " ".join(part for one in head.process.children(True) for part in command(one))
        printed = (work / "job.log").read_text()
        early = "No available agent" in printed or "Failed to connect" in printed
        if not early or time.monotonic() > deadline:
            break
    assert process.poll() is not None, printed
    outputs = list((work / "results").glob("*"))
    assert len(outputs) == 1, printed
    return Job(printed, process.returncode, Results.open(outputs[0]), scraped, arguments)


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended
        return []


def test_the_job_reports_success(job: Job) -> None:
    assert job.status == 0, job.printed
    assert "succeeded" in job.printed
    assert job.results.read_json("state")["phase"] == "finished"
    assert len(job.results.read_table("trials")) == 10


def test_metrics_are_scraped_by_study_arm_and_phase(job: Job) -> None:
    seen = {line for text in job.scraped for line in text.splitlines() if line.startswith("ray_biotune_")}
    names = {re.split(r"[{ ]", line)[0].removeprefix("ray_biotune_") for line in seen}
    assert names == {
        "trials",
        "best_validation_loss",
        "replicates",
        "replicates_converged",
        "replicates_diverged",
        "epochs_per_second",
        "updates_per_second",
    }
    for arm in ("real", "rewired"):
        assert any(all(f'{k}="{v}"' in line for k, v in (("study", "small"), ("arm", arm))) for line in seen)
    assert all('phase="' in line for line in seen)
    assert not any("-0000" in line for line in seen)  # no series a trial, which would outlive it


def test_no_series_outlives_its_study(job: Job, head: Any) -> None:
    assert any("ray_biotune_" in text for text in job.scraped)
    deadline = time.monotonic() + 60
    while "ray_biotune_" in head.metrics():
        assert time.monotonic() < deadline
        time.sleep(1)
    assert "ray_node_cpu_utilization" in head.metrics()


def test_the_token_is_nowhere_to_be_read(job: Job, head: Any) -> None:
    assert "tune_main.py" in job.arguments
    assert head.token not in job.arguments
    assert head.token not in job.printed
    files = [file for root in (head.folder, job.results.path) for file in root.rglob("*")]
    files = [file for file in files if file.is_file() and not file.is_symlink()]
    assert len(files) > 20
    assert not [file for file in files if head.token.encode() in file.read_bytes()]
