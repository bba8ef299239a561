"""A Ray cluster of one machine for checks and tests: started as docs/clusters.md says, ended by its own process ids."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE_SECONDS = 60.0
"""How long a head may take to accept drivers, and to end."""


@dataclass(frozen=True)
class Head:
    """A head with its own ports and its own token.

    Attributes:
        process: `ray start`.
        ray: the command.
        environment: for `ray` and `biotune` commands that connect to it.
        address, dashboard: HOST:PORT.
        folder: Ray's own files.
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
        """What Prometheus would read; nothing before Ray listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""


@contextmanager
def ray_head(cores: int, environment: Mapping[str, str] = os.environ) -> Iterator[Head]:
    """Starts a head that asks for a token, and ends it.

    Args:
        cores: logical cores that Ray is told of, however many the machine has.
        environment: which the environment of the head and of commands to it is made from.

    Raises:
        RuntimeError: Ray did not start; with what it printed.
    """
    # two folders: one for Ray's files, with a short path for its sockets; one for the token, which Ray does not log to
    folder, work = (Path(tempfile.mkdtemp(prefix="r", dir="/tmp")) for _ in range(2))
    token, log = secrets.token_hex(32), work / "head.log"
    (work / "token").touch(0o600)
    (work / "token").write_text(token)
    ray = Path(sys.executable).with_name("ray")
    full = {name: value for name, value in environment.items() if name != "RAY_AUTH_TOKEN"}
    full |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(work / "token"), "RAY_USAGE_STATS_ENABLED": "0"}
    full["PATH"] = f"{ray.parent}:{full['PATH']}"
    gcs, dashboard, agent, client, metrics = _free_ports(5)
    command = [str(ray), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--num-cpus={cores}"]
    command += [f"--port={gcs}", f"--ray-client-server-port={client}", f"--temp-dir={folder}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    command += [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"]
    with log.open("w") as stream:
        started = subprocess.Popen(command, env=full, stdout=stream, stderr=stream, start_new_session=True)
    process = psutil.Process(started.pid)
    addresses = f"127.0.0.1:{gcs}", f"127.0.0.1:{dashboard}"
    head = Head(process, str(ray), full, *addresses, metrics, folder, token)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not head.metrics():  # its agent, the last part to start, answers
            if started.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Ray did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield head
    finally:
        family = process.children(recursive=True) if started.poll() is None else []
        started.send_signal(signal.SIGTERM)
        started.wait(PATIENCE_SECONDS)
        _, left = psutil.wait_procs(family, timeout=PATIENCE_SECONDS / 2)
        for one in left:
            one.kill()
        for made in (folder, work):
            shutil.rmtree(made, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
