"""Small studies, written as YAML the way a user writes them."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import biotune.study  # noqa: F401  # before a test's own import of Ray
from biotune.results import Results

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"

SMALL = """# Is a small study run from end to end?
name: small
seed: 3
task: {name: seq_mem, pattern_length: 2, trials: 60, batch: 16}
connectome: {name: "distance_rule:mouse_gamanut"}
topology: {neurons_per_region: 2}
arms:
  real: {}
  rewired: {null: {name: degree_preserving, level: neuron}}
reference_arm: real
tune:
  learning_rate: {loguniform: [1.0e-3, 1.0e-1]}
  nonlinearity: {choice: [tanh, relu]}
search: {trials_per_arm: 5, shared_settings: 2, replicates: 2, max_epochs: 9, grace: 1, reduction: 3}
confirm: {replicates: 3, max_epochs: 6, population: 2}
"""


@pytest.fixture(scope="session")
def small_text() -> str:
    return SMALL


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> tuple[Path, Results, str]:
    """The small study, run one trial at a time: its YAML, its results, and what it printed. Tests change a copy."""
    folder = tmp_path_factory.mktemp("finished")
    space, output = folder / "space.yaml", folder / "results"
    space.write_text(small_text)
    command = [sys.executable, TUNE_MAIN, "--space", space, "--output", output, "--concurrency", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [directory] = output.iterdir()
    return space, Results.open(directory), done.stdout


@pytest.fixture
def write_space(tmp_path: Path) -> Callable[..., Path]:
    def write(*changes: tuple[str, str], text: str = SMALL) -> Path:
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file = tmp_path / "space.yaml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def small_space(write_space: Callable[..., Path]) -> Path:
    return write_space()


PLANTED = """
import os
from dataclasses import dataclass
import biotune_kernels.backends.cpu, biotune_kernels.backends.torch_csr
from biotune.tasks.seq_mem import SeqMem

def plant(module):
    right = module.backward
    def backward(grad, *others):
        found = right(grad, *others)
        return found if found.values is None else found._replace(values=1.01 * found.values)
    module.backward = backward

if "WRONG" in os.environ:
    plant(biotune_kernels.backends.cpu)
    plant(biotune_kernels.backends.torch_csr)

@dataclass(frozen=True)
class Planted(SeqMem):
    \"\"\"seq_mem; where its file is read with WRONG in the environment, the gradients of two backends are wrong.\"\"\"
"""


@pytest.fixture
def planted(write_space: Callable[..., Path], tmp_path: Path) -> Path:
    """A small study whose workers have wrong kernels where WRONG is in their environment."""
    task = tmp_path / "planted.py"
    task.write_text(PLANTED)
    return write_space(
        ("name: seq_mem,", f"name: '{task}:Planted',"),
        ("trials_per_arm: 5", "trials_per_arm: 3"),
        ("replicates: 3", "replicates: 2"),
    )


@dataclass
class Head:
    """A cluster of one machine, started as docs/clusters.md says, but on ports and with a token of its own.

    Attributes:
        process: `ray start`. ray: the command. environment: of `ray` and `biotune` commands that are to reach it.
        address, dashboard: HOST:PORT. folder: Ray's own files.
    """

    process: psutil.Process
    ray: str
    environment: dict[str, str]
    address: str
    dashboard: str
    metrics_port: int
    folder: Path
    token: str

    def metrics(self) -> str:
        """What Prometheus would be told; nothing before Ray listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    work = tmp_path_factory.mktemp("head")
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
    ray = Path(sys.executable).with_name("ray")
    environment["PATH"] = f"{ray.parent}:{environment['PATH']}"
    gcs, dashboard, agent, client, metrics = _free_ports(5)
    start = [ray, "start", "--head", "--node-ip-address=127.0.0.1", f"--port={gcs}", "--num-cpus=2", "--block"]
    start += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    start += [f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}", f"--temp-dir={folder}"]
    with (work / "head.log").open("w") as log:
        started = subprocess.Popen(start, env=environment, stdout=log, stderr=log, start_new_session=True)
    process = psutil.Process(started.pid)
    try:
        addresses = f"127.0.0.1:{gcs}", f"127.0.0.1:{dashboard}"
        head = Head(process, str(ray), environment, *addresses, metrics, folder, token)
        while not head.metrics():  # its agent, the last part to start, answers
            assert started.poll() is None, (work / "head.log").read_text()
            time.sleep(0.5)
        yield head
    finally:
        family = process.children(recursive=True)
        started.terminate()
        started.wait(60)
        _, left = psutil.wait_procs(family, timeout=30)
        for one in left:
            one.kill()
        shutil.rmtree(folder, ignore_errors=True)
