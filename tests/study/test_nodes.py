"""Studies on several nodes: two of three are lost while one is added; and one sees another folder than the driver."""

import json
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from biotune.io.storage import place
from biotune.results import TABLES, Results
from biotune.results.journal import Event, Journal

pytestmark = pytest.mark.long

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"

CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster

cluster, nodes = Cluster(initialize_head=True, head_node_args=json.loads(sys.argv[1])), {}
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.startswith("add"):
        node = cluster.add_node(num_cpus=1, env_vars=json.loads(line.removeprefix("add")))
        [raylet] = node.all_processes["raylet"]
        nodes[raylet.process.pid] = node
        print(raylet.process.pid, flush=True)
    else:
        cluster.remove_node(nodes.pop(int(line)), allow_graceful=False)
        print("removed", flush=True)
cluster.shutdown()
"""
"""In a process of its own: Ray reads when it is imported whether there is a token."""

SLOWED = """
import time
from dataclasses import dataclass
from pathlib import Path
from biotune.tasks.seq_mem import SeqMem

@dataclass(frozen=True)
class Slowed(SeqMem):
    \"\"\"seq_mem; an epoch takes a tenth of a second longer while the file `slowly` is there.\"\"\"

    @property
    def loss(self):
        if Path(__file__).with_name("slowly").exists():
            time.sleep(0.02)  # asked for five times an epoch
        return "mse"
"""

STUDY = (
    # no trial depends on which other one ended first, so the tables are those of a run on one machine
    ("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 2, shared_settings: 2"),
    ("max_epochs: 9, grace: 1", "max_epochs: 100, grace: 100"),
    ("max_epochs: 6", "max_epochs: 20"),
)


class Cluster:
    """A cluster of several nodes on this machine, which are told by the process ids of their raylets."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address = self._answer()

    def _answer(self, asked: str = "") -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(asked)
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def add(self, **environment: str) -> int:
        """Adds a node of one core, and what its processes find in their environment."""
        return int(self._answer(f"add {json.dumps(environment)}\n"))

    def lose(self, node: int) -> None:
        """The machine is gone: its processes are killed, all at once."""
        raylet = psutil.Process(node)
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()
        assert self._answer(f"{node}\n") == "removed"

    def trains(self, node: int) -> list[str]:
        """The trials and blocks that a node trains, by the titles of its processes."""
        titles = []
        for process in psutil.Process(node).children():
            with suppress(psutil.Error):  # it has just ended
                titles.append(" ".join(process.cmdline()).strip())
        return [title.rsplit("/")[-1] for title in titles if title.startswith("ray::small/")]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head that runs no trials, as docs/clusters.md has it; it asks for a token."""
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder,  # sockets: short
        pytest.MonkeyPatch.context() as patch,
    ):
        token = Path(folder) / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        patch.delenv("RAY_AUTH_TOKEN", raising=False)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with socket.create_server(("127.0.0.1", 0)) as free:
            dashboard = {"dashboard_host": "127.0.0.1", "dashboard_port": free.getsockname()[1]}
        head = {"num_cpus": 0, "include_dashboard": True, "temp_dir": folder} | dashboard
        command = [sys.executable, "-c", CLUSTER, json.dumps(head)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            family: list[psutil.Process] = []
            try:
                yield Cluster(process)
            finally:
                family = psutil.Process(process.pid).children(recursive=True)
                process.communicate(timeout=60)
                _, left = psutil.wait_procs(family, timeout=10)
                for one in left:
                    one.kill()


def events(output: Path) -> list[Event]:
    """The journal of the study in a folder, as far as it has come."""
    return [event for file in output.glob("*/journal.jsonl") for event in Journal(file).read(mend=False)]


@dataclass
class Watched:
    """A study that runs in a process of its own: its journal, and when each event was first seen there."""

    process: subprocess.Popen[str]
    output: Path
    seen: list[tuple[float, Event]] = field(default_factory=list)

    def look(self) -> None:
        self.seen += [(time.monotonic(), event) for event in events(self.output)[len(self.seen) :]]

    def wait(self, ready: Callable[[], Any], seconds: float = 300) -> Any:
        """Looks until something is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            if found := ready():
                return found
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)
        raise AssertionError("it was never there")

    def count(self, kind: str) -> int:
        return sum(event["event"] == kind for _, event in self.seen)

    def reports(self, trial: str) -> list[tuple[float, int, int]]:
        """When a trial reported, from which epoch on, and to which."""
        return [
            (at, new["first"], new["first"] + len(new["validation"]) - 1)
            for at, event in self.seen
            if event["event"] == "progress" and event["trial"] == trial
            for new in [event["report"]["evaluations"]]
        ]


@pytest.fixture
def study(write_space: Callable[..., Path], tmp_path: Path) -> list[str | Path]:
    """What runs the study; slowly as long as there is a file `slowly`."""
    task = tmp_path / "slowed.py"
    task.write_text(SLOWED)
    space = write_space(*STUDY, ("name: seq_mem,", f"name: '{task}:Slowed',"))
    return [sys.executable, TUNE_MAIN, "--space", space, "--checkpoint-every", "2", "--output"]


def test_trials_move_from_a_lost_node_and_go_on_from_their_checkpoints(
    cluster: Cluster, study: list[str | Path], tmp_path: Path
) -> None:
    undisturbed = subprocess.run([*study, tmp_path / "undisturbed"], capture_output=True, text=True, timeout=300)
    assert undisturbed.returncode == 0, undisturbed.stderr
    slowly = tmp_path / "slowly"
    slowly.touch()
    first, second = cluster.add(), cluster.add()
    command = [*study, tmp_path / "results", "--address", cluster.address, "--concurrency", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watched = Watched(process, tmp_path / "results")
        try:
            moved, redone, pause = lose_one_in_search(cluster, first, watched)
            print(f"\n{moved} goes on {pause:.1f} s after its node is lost, {redone} of its epochs are trained again")
            confirmed = watched.wait(lambda: watched.count("confirmed"))
            watched.wait(lambda: cluster.trains(second))
            cluster.lose(second)
            lost = time.monotonic()
            watched.wait(lambda: watched.count("confirmed") > confirmed)
            slowly.unlink()
            printed, _ = process.communicate(timeout=300)
            print(f"a node is lost in confirm: the study ends {time.monotonic() - lost:.1f} s later")
        finally:
            process.kill()
    assert process.returncode == 0, printed
    same_numbers(tmp_path / "undisturbed", tmp_path / "results")
    kinds = ("proposed", "ended", "selected", "confirmed")
    once, moving = ([e["event"] for e in events(tmp_path / name)] for name in ("undisturbed", "results"))
    assert [once.count(kind) for kind in kinds] == [moving.count(kind) for kind in kinds]  # nothing lost or doubled


def lose_one_in_search(cluster: Cluster, node: int, watched: Watched) -> tuple[str, int, float]:
    """Kills a node once its trial has a checkpoint, and adds another; the trial, epochs trained twice, seconds."""
    watched.wait(lambda: cluster.trains(node))
    [moved] = cluster.trains(node)
    watched.wait(lambda: list(watched.output.glob(f"*/checkpoints/search/{moved}.pt")))
    saved = watched.wait(lambda: watched.reports(moved))[-1][2]
    watched.wait(lambda: watched.reports(moved)[-1][2] > saved + 5)  # there is something to be trained again
    cluster.lose(node)
    lost = time.monotonic()
    cluster.add()
    before = watched.reports(moved)[-1][2]
    at, _, resumed = watched.wait(lambda: [one for one in watched.reports(moved) if one[0] > lost and one[1] == 0])[0]
    assert saved - 25 < resumed <= before  # not from the start
    return moved, before - resumed, at - lost


def test_kernels_that_one_kind_of_node_gets_wrong_are_left_out_on_all(
    cluster: Cluster, planted: Path, tmp_path: Path
) -> None:
    cache = {"BIOTUNE_CACHE": str(tmp_path / "cache")}
    cluster.add(**cache)
    cluster.add(**cache, WRONG="", ATEN_CPU_CAPABILITY="default")
    command = [sys.executable, TUNE_MAIN, "--space", planted, "--output", tmp_path / "results"]
    done = subprocess.run([*command, "--address", cluster.address], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [results] = map(Results.open, (tmp_path / "results").iterdir())
    environment = results.read_json("environment")
    assert {entry["backend"] for entry in environment["kernels"]} == {"dense"}
    there = [entry["processor"].endswith("DEFAULT") for entry in environment["kernels"]]
    assert sorted(there) == [False, True]
    assert all("on " in reason and "DEFAULT by" in reason for reason in environment["kernels_left_out"])
    assert environment["kernels_left_out"]


def test_kernels_that_a_node_gets_wrong_which_joins_later_end_the_study_there(
    cluster: Cluster, planted: Path, tmp_path: Path
) -> None:
    cache = {"BIOTUNE_CACHE": str(tmp_path / "cache")}
    cluster.add(**cache)
    command = [sys.executable, TUNE_MAIN, "--space", planted, "--output", tmp_path / "results", "--kernels", "cpu"]
    command += ["--address", cluster.address, "--concurrency", "2", "--set", "search.max_epochs=9000"]
    command += ["--set", "search.grace=9000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            watched = Watched(process, tmp_path / "results")
            watched.wait(lambda: watched.count("proposed"))
            cluster.add(**cache, WRONG="", ATEN_CPU_CAPABILITY="default")
            _, error = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 2
    assert "backend cpu deviates from its definition in float64" in error
    assert "DEFAULT by" in error
    [results] = map(Results.open, (tmp_path / "results").iterdir())
    assert "failed" not in set(results.read_table("trials")["status"])


@pytest.fixture
def apart(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A folder in whose place the cluster's only node has another, as a machine of its own would."""
    folder = tmp_path / "apart"
    folder.mkdir()
    aside = ["unshare", "--map-root-user", "--mount", "sh", "-ec", 'mount -t tmpfs none "$1"; shift; exec "$@"', "sh"]
    if subprocess.run([*aside, folder, "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted apart here")
    start = [Path(sys.executable).with_name("ray"), "start", "--num-cpus=1", f"--address={cluster.address}", "--block"]
    with subprocess.Popen([*aside, folder, *start], stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        for line in node.stdout:
            if "Ray runtime started" in line:
                break
        yield folder
        for process in [*psutil.Process(node.pid).children(recursive=True), node]:
            process.kill()


def test_a_folder_that_a_node_does_not_see_is_refused_and_a_bucket_does(
    cluster: Cluster, apart: Path, small_space: Path, bucket: str
) -> None:
    command = [sys.executable, TUNE_MAIN, "--space", small_space, "--output", apart, "--address", cluster.address]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2
    assert re.search(
        r"cannot keep their checkpoints there \(on [\d.]+: what was just written there is not seen\); give as --output "
        r"or --storage a folder that all machines share, or as --storage a bucket\n$",
        refused.stderr,
    )
    assert not list(apart.iterdir())
    kept = subprocess.run([*command, "--storage", bucket], capture_output=True, text=True, timeout=300)
    assert kept.returncode == 0, kept.stderr
    [results] = apart.iterdir()
    assert Results.open(results).read_json("state")["phase"] == "finished"
    checkpoints = (place(bucket) / results.name / "checkpoints").rglob("*.pt")
    assert {file.parent.name for file in checkpoints} == {"confirm"}
    assert not (results / "checkpoints").exists()


def same_numbers(one: Path, other: Path) -> None:
    """The tables of two runs are equal, but for the time they took."""
    [one], [other] = one.iterdir(), other.iterdir()
    for name in TABLES:
        tables = [Results.open(path).read_table(name).drop(columns="seconds", errors="ignore") for path in (one, other)]
        pd.testing.assert_frame_equal(*tables)
