"""A bucket on this machine, served by moto as Amazon would serve it.

What serves it is imported late: tests/kernels run where nothing is installed but torch, pytest and hypothesis.
"""

import logging
import os
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
