"""A reduced study as a job on a cluster that is started as docs/clusters.md says: it ends well, and can be watched."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from biotune.results import Results

pytestmark = pytest.mark.slow

RAY = Path(sys.executable).with_name("ray")


@dataclass
class Job:
    """What became of the job, and what was seen while it ran."""

    printed: str
    status: int
    results: Results
    scraped: list[str]
    arguments: str
    folder: Path
    token: str


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Iterator[Job]:
    work = tmp_path_factory.mktemp("job")
    space = work / "space.yaml"
    space.write_text(small_text)
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets lie in it, and their paths must be short
    token = secrets.token_hex(32)
    (work / "token").touch(0o600)
    (work / "token").write_text(token)
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_AUTH_TOKEN", "PYTHONPATH")}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(work / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    environment["PATH"] = f"{RAY.parent}:{environment['PATH']}"
    gcs, dashboard, agent, client, metrics = free_ports(5)
    start = [RAY, "start", "--head", "--node-ip-address=127.0.0.1", f"--port={gcs}", "--num-cpus=2", "--block"]
    start += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    start += [f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}", f"--temp-dir={folder}"]
    submit = [RAY, "job", "submit", "--address", f"http://127.0.0.1:{dashboard}", "--working-dir", ".", "--"]
    submit += ["python", "tune_main.py", "--space", space, "--address", "auto", "--output", work / "results"]
    with (work / "head.log").open("w") as log:
        head = subprocess.Popen(start, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield run(submit, environment, head, metrics, work, folder, token)
    finally:
        family = psutil.Process(head.pid).children(recursive=True)
        head.send_signal(signal.SIGTERM)
        head.wait(60)
        _, left = psutil.wait_procs(family, timeout=30)
        for process in left:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def run(submit: list[object], environment: dict[str, str], head: subprocess.Popen, metrics: int, *rest: object) -> Job:
    work, folder, token = rest
    assert isinstance(work, Path)
    deadline = time.monotonic() + 300
    scraped, arguments, printed = [], "", ""
    while True:  # the head takes some seconds until it takes jobs
        with (work / "job.log").open("w") as log:
            process = subprocess.Popen([str(part) for part in submit], env=environment, stdout=log, stderr=log)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(1)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5) as answer:
                    scraped.append(answer.read().decode())
            except OSError:
                continue  # not there yet
            arguments += " ".join(part for one in psutil.Process(head.pid).children(True) for part in command(one))
        printed = (work / "job.log").read_text()
        early = "No available agent" in printed or "Failed to connect" in printed
        if not early or time.monotonic() > deadline:
            break
    assert process.poll() is not None, printed
    outputs = list((work / "results").glob("*"))
    assert len(outputs) == 1, printed
    return Job(printed, process.returncode, Results.open(outputs[0]), scraped, arguments, folder, token)  # type: ignore[arg-type]


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


def test_the_token_is_nowhere_to_be_read(job: Job) -> None:
    assert "tune_main.py" in job.arguments
    assert job.token not in job.arguments
    assert job.token not in job.printed
    files = [file for root in (job.folder, job.results.path) for file in root.rglob("*")]
    files = [file for file in files if file.is_file() and not file.is_symlink()]
    assert len(files) > 20
    assert not [file for file in files if job.token.encode() in file.read_bytes()]
