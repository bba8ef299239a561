"""Places that files are kept in: folders, and buckets on servers of this machine."""

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from moto.server import ThreadedMotoServer

from biotune.cli import tune_main
from biotune.errors import StorageError, UserError
from biotune.io.files import replacing
from biotune.io.storage import Place, clear, patient, place, spelled
from biotune.network import load_checkpoint, save_checkpoint

SPACE = "search_spaces/seq_mem.yaml"
FAKE_GCS = shutil.which("fake-gcs-server")


@pytest.fixture(scope="session")
def gcs() -> Iterator[str]:
    """The URI of a bucket, served as Google would by github.com/fsouza/fake-gcs-server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    command = [str(FAKE_GCS), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-public-host", host]
    command += ["-port", host.rpartition(":")[2], "-external-url", f"http://{host}"]
    make = urllib.request.Request(f"http://{host}/storage/v1/b", json.dumps({"name": "bucket"}).encode())
    make.add_header("Content-Type", "application/json")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        for _ in range(100):
            try:
                urllib.request.urlopen(make).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"gs://anonymous@bucket/some/studies?scheme=http&endpoint_override={host}"
        server.kill()


no_gcs = pytest.mark.skipif(FAKE_GCS is None, reason="fake-gcs-server is not on the PATH")


@pytest.fixture(params=["folder", "s3", pytest.param("gs", marks=no_gcs)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    if request.param == "folder":
        return place(str(tmp_path / "kept"))
    where = place(request.getfixturevalue("bucket" if request.param == "s3" else "gcs"))
    clear(where)
    return where


def put(file: Place, content: bytes) -> None:
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def test_what_was_written_is_there_until_it_is_removed(kept: Place) -> None:
    file = kept / "a" / "b.pt"
    assert not file.exists()
    put(file, b"one")
    put(file, b"more")
    assert file.is_file()
    assert (file.name, file.stem, file.parent / "b.pt") == ("b.pt", "b", file)
    assert file.read_bytes() == b"more"
    assert file.stat().st_size == 4
    assert abs(file.stat().st_mtime_ns / 1e9 - time.time()) < 60
    file.unlink()
    assert not file.exists()
    file.unlink(missing_ok=True)
    for missing in (file.stat, file.read_bytes, file.unlink):
        with pytest.raises(FileNotFoundError):
            missing()


def test_files_are_found_by_their_names(kept: Place) -> None:
    for name in ("x.pt", "y.json", "deep/z.pt"):
        target = kept
        for part in name.split("/"):
            target = target / part
        put(target, b"content")
    assert sorted(file.name for file in kept.rglob("*.pt")) == ["x.pt", "z.pt"]
    assert {file.read_bytes() for file in kept.rglob("*.pt")} == {b"content"}
    assert list((kept / "empty").rglob("*")) == []
    clear(kept)
    assert list(kept.rglob("*.pt")) == []
    clear(kept)


def test_a_place_is_what_its_spelling_says_and_goes_to_other_processes(kept: Place) -> None:
    put(kept / "x", b"content")
    for same in (place(spelled(kept)), pickle.loads(pickle.dumps(kept)), patient(kept, 1)):
        assert (same / "x").read_bytes() == b"content"


def test_what_fails_as_it_is_written_leaves_the_old_file(kept: Place) -> None:
    put(kept / "x", b"old")
    with pytest.raises(RuntimeError, match="no further"), replacing(kept / "x") as temporary:  # noqa: PT012
        temporary.write_bytes(b"ne")
        raise RuntimeError("no further")
    assert (kept / "x").read_bytes() == b"old"


def test_a_checkpoint_comes_back_and_runs_no_code(kept: Place) -> None:
    save_checkpoint(kept / "trial.pt", {"epoch": 3, "values": torch.arange(4.0)})
    read = load_checkpoint(kept / "trial.pt")
    torch.testing.assert_close(read, {"epoch": 3, "values": torch.arange(4.0)})
    put(kept / "bomb.pt", pickle.dumps(Path("/nothing")))
    with pytest.raises(UserError, match=r"bomb\.pt: not a checkpoint"):
        load_checkpoint(kept / "bomb.pt")


WRITE = """
import itertools, sys
from biotune.io.files import replacing
from biotune.io.storage import place

for byte in itertools.cycle(b"ab"):
    with replacing(place(sys.argv[1]) / "x") as temporary:
        temporary.write_bytes(bytes([byte]) * 20_000_000)
"""


def test_a_kill_leaves_the_old_file_or_the_new_one(kept: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITE, spelled(kept)]) as process:
        for _ in range(300):
            if (kept / "x").exists():
                break
            time.sleep(0.1)
        time.sleep(0.35)
        os.kill(process.pid, signal.SIGKILL)
    content = (kept / "x").read_bytes()
    assert len(content) == 20_000_000
    assert len({*content}) == 1


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://", "has no bucket"),
        ("s3:///studies", "has no bucket"),
        ("s3://bucket/../other", "is empty, or is . or .."),
        ("s3://bucket//studies", "is empty, or is . or .."),
        ("s3://bucket/studies?regoin=x", "Unexpected query parameter in S3 URI: 'regoin'"),
        ("hdfs://host/studies", "hdfs://…: files cannot be kept there; give a folder, s3://BUCKET/PREFIX"),
        ("file://host/studies", "a folder on another machine"),
    ],
)
def test_what_is_no_place_is_refused_in_a_line(uri: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--storage", "--resume"):
        assert tune_main(["--space", SPACE, option, uri]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("scheme", ["s3", "gs"])
@pytest.mark.parametrize(
    "rest",
    [
        "AKIAKEY:hush@bucket/studies",
        "AKIAKEY:hu/hush@bucket/studies",  # such a secret may have a slash
        "hush@bucket/studies",
        "bucket/studies?endpoint_override=AKIAKEY:hush@host",
        "bucket/studies?secret_key=hush",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_shown(
    scheme: str, rest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--space", SPACE, "--storage", f"{scheme}://{rest}", "--output", str(tmp_path / "results")]
    assert tune_main(arguments) == 2
    printed = capsys.readouterr()
    assert "credentials do not belong in a URI" in printed.err or "Unexpected query parameter" in printed.err
    assert "hush" not in printed.out + printed.err
    assert not (tmp_path / "results").exists()


def test_a_bucket_that_is_not_there_or_not_open_is_said(bucket: str, s3: str) -> None:
    with pytest.raises(StorageError, match=r"NO_SUCH_BUCKET.*does not exist.*\); make sure that the bucket is there"):
        put(place(bucket.replace("s3://bucket", "s3://other")) / "x", b"")

    def answers(count: str) -> None:
        """After so many requests, moto looks who it is that asks."""
        request = urllib.request.Request(f"http://{s3}/moto-api/reset-auth", count.encode())
        request.add_header("Content-Type", "text/plain")
        urllib.request.urlopen(request).close()

    answers("0")
    try:
        with pytest.raises(StorageError, match=r"INVALID_ACCESS_KEY_ID.*AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
            put(place(bucket) / "x", b"")
        with pytest.raises(StorageError, match="ACCESS_DENIED"):
            (place(bucket) / "x").exists()
    finally:
        answers("1000000000")


@pytest.mark.long
def test_a_bucket_that_is_away_for_a_while_is_waited_for(bucket: str, s3: str) -> None:
    put(place(bucket) / "x", b"content")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = place(bucket.replace(s3, f"127.0.0.1:{port}"))
    with pytest.raises(StorageError, match=r"cannot be read \(AWS Error NETWORK_CONNECTION"):
        (away / "x").read_bytes()
    back = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)  # serves the same buckets
    timer = threading.Timer(10, back.start)
    timer.start()
    assert (patient(away, 60) / "x").read_bytes() == b"content"
    timer.join()
    back.stop()
