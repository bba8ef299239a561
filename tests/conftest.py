"""A bucket on this machine, served by moto as Amazon would serve it.

What serves it is imported late: tests/kernels run where nothing is installed but torch, pytest and hypothesis.
"""

import logging
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is slow, which is no failure
settings.load_profile("any machine")


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
