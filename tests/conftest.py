"""What tests of several folders need: a small study that was run, and a bucket on this machine.

The bucket is served by moto as Amazon would serve it.

What serves it is imported late: tests/kernels run where nothing is installed but torch, pytest and hypothesis.
"""

import fcntl
import logging
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from biotune.results import Results

settings.register_profile("any machine", deadline=None)  # a busy one is slow, which is no failure
settings.load_profile("any machine")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the cores are shared: of two threads one would wait, busily, for the other to get one


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Where the server listens; what is started from here has credentials for it in its environment."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
        server.stop()


@pytest.fixture
def bucket(s3: str) -> str:
    """The URI of a prefix in a bucket that nothing is in yet."""
    from pyarrow.fs import FileSystem

    name, query = f"bucket-{uuid.uuid4().hex}", f"?scheme=http&endpoint_override={s3}"
    filesystem, _ = FileSystem.from_uri(f"s3://{name}{query}&allow_bucket_creation=true")
    filesystem.create_dir(name)
    return f"s3://{name}/some/studies{query}"


@pytest.fixture(scope="session")
def begin_results() -> Callable[..., "Results"]:
    """Writes study.yaml and state.json of a study in which nothing has happened, but for what is given of the state."""
    from biotune.digests import study_digest
    from biotune.results import SCHEMA, Results
    from biotune.results.documents import Criterion, State, Streams, UsedCondition
    from biotune.results.journal import Head

    level = Criterion(null_loss=0.1, level=0.01)
    primary = UsedCondition(criterion=level, updates_per_epoch=3, budget=300, replicates=2)

    def begin(directory: Path, study: Mapping[str, Any], **given: Any) -> Results:
        begun: dict[str, Any] = {
            "schema_version": SCHEMA,
            "study": str(study["name"]),
            "phase": "search",
            "started": "2026-01-01T12:00:00+00:00",
            "finished": None,
            "seconds": {},
            "backend": {},
            "device": "cpu",
            "matmul_precision": "highest",
            "concurrency": 1,
            "connectomes": {},
            "conditions": {"primary": primary},
            "study_sha256": study_digest(study),
            "task_sha256": None,
            "topologies": {},
            "streams": Streams(sha256="", numpy=""),
            "selection": None,
            "set_aside": {},
            "journal": Head(),
            "storage": None,
        }
        results = Results(directory)
        results.write_study(study)
        results.write_state(State(**begun | given))
        return results

    return begin


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
    """A small study, as YAML."""
    return SMALL


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], Any]], Any]:
    """Makes something that many tests look at: the first of the processes that tests are divided among makes it, in a
    folder that it is given, and the others wait for it."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    shared = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent

    def make(name: str, of: Callable[[Path], Any]) -> Any:
        folder, made = shared / name, shared / f"{name}.pickle"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                folder.mkdir(exist_ok=True)
                made.write_bytes(pickle.dumps(of(folder)))
        return pickle.loads(made.read_bytes())

    return make


@pytest.fixture(scope="session")
def finished(once: Callable[..., Any], small_text: str) -> "tuple[Path, Results, str]":
    """The small study, run one trial at a time: its YAML, its results, and what it printed. Tests change a copy."""
    from biotune.results import Results

    def run(folder: Path) -> tuple[Path, Path, str]:
        space, output = folder / "space.yaml", folder / "results"
        space.write_text(small_text)
        tune_main = Path(__file__).parents[1] / "tune_main.py"
        command = [sys.executable, tune_main, "--space", space, "--output", output, "--concurrency", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        [directory] = output.iterdir()
        return space, directory, done.stdout

    space, directory, printed = once("finished", run)
    return space, Results.open(directory), printed
