"""Where a connectome is found: in which order, what a wrong file does, and what happens where there is none."""

import hashlib
import io
import pickle
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from biotune.connectome import CATALOGUE, Entry, load_connectome
from biotune.errors import UserError
from biotune.io import published
from biotune.io.published import DataFile

MATRIX = np.array([[0.0, 0.1, 0.0], [0.2, 0.0, 0.3], [0.0, 0.4, 0.0]])
NAMES = ["V1", "V2", "V4"]
REFUSED = "http://127.0.0.1:1"


def content_of(matrix: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, matrix)
    return file.getvalue()


def data_file(name: str, content: bytes) -> DataFile:
    return DataFile(f"bio2art/{name}", hashlib.sha256(content).hexdigest(), f"someone/repository/commit/{name}")


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A published connectome of three regions, stored [target, source], that is in the catalogue for this test."""
    entry = Entry(
        "three_regions",
        "macaque",
        3,
        4,
        data_file("C_Three.npy", content_of(MATRIX.T)),
        data_file("Names_Three.lst", pickle.dumps(NAMES)),
        transposed=True,
        evidence="as made",
        citation="nobody",
    )
    monkeypatch.setitem(CATALOGUE, entry.name, entry)
    return entry


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has nothing and reaches no one; its cache."""
    monkeypatch.delenv("BIOTUNE_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "bio2art", None)
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", REFUSED)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder that a local server gives out in place of GitHub."""
    folder = tmp_path / "mirror" / "someone" / "repository" / "commit"
    folder.mkdir(parents=True)
    handler = partial(QuietHandler, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def publish(folder: Path, *, names: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "C_Three.npy").write_bytes(content_of(MATRIX.T))
    if names:
        (folder / "Names_Three.lst").write_bytes(pickle.dumps(NAMES))


def test_a_data_folder_comes_first(entry, machine, mirror, monkeypatch, tmp_path):
    for folder in (tmp_path / "data" / "bio2art", machine / "bio2art", mirror):
        publish(folder)
    monkeypatch.setenv("BIOTUNE_DATA", str(tmp_path / "data"))
    made = load_connectome("three_regions", otherwise="distance_rule")
    assert np.array_equal(made.matrix(), MATRIX.T)
    assert made.labels == tuple(NAMES)
    assert made.provenance.kind == "BIOTUNE_DATA"
    assert made.provenance.path == str(tmp_path / "data" / "bio2art" / "C_Three.npy")


def test_an_installed_bio2art_is_used_and_none_of_its_code_run(entry, monkeypatch, tmp_path):
    publish(tmp_path / "site" / "bio2art" / "connectomes")
    (tmp_path / "site" / "bio2art" / "__init__.py").write_text("raise SystemExit('bio2art was imported')")
    monkeypatch.delitem(sys.modules, "bio2art")
    monkeypatch.syspath_prepend(tmp_path / "site")
    made = load_connectome("three_regions")
    assert made.provenance.kind == "bio2art"
    assert made.labels == tuple(NAMES)


def test_a_download_is_kept_in_the_cache(entry, machine, mirror, monkeypatch):
    publish(mirror)
    first = load_connectome("three_regions")
    assert first.provenance.kind == "download"
    assert first.provenance.url is not None
    assert first.provenance.url.endswith("/someone/repository/commit/C_Three.npy")
    assert sorted(file.name for file in (machine / "bio2art").iterdir()) == ["C_Three.npy", "Names_Three.lst"]

    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", REFUSED)
    again = load_connectome("three_regions")
    assert again.provenance.kind == "cache"
    assert again.labels == first.labels == tuple(NAMES)
    assert np.array_equal(again.matrix(), MATRIX.T)


def test_names_that_cannot_be_had_are_left_out(entry, mirror):
    publish(mirror, names=False)
    made = load_connectome("three_regions")
    assert made.labels is None
    assert np.array_equal(made.matrix(), MATRIX.T)


@pytest.mark.parametrize("place", ["data", "cache"])
def test_a_file_with_another_content_is_an_error_and_never_passed_over(
    entry, machine, mirror, monkeypatch, tmp_path, place
):
    publish(mirror)
    folder = {"data": tmp_path / "data", "cache": machine}[place] / "bio2art"
    folder.mkdir(parents=True)
    (folder / "C_Three.npy").write_bytes(content_of(MATRIX))
    monkeypatch.setenv("BIOTUNE_DATA", str(tmp_path / "data"))
    with pytest.raises(UserError, match=r"C_Three\.npy: its SHA-256 is"):
        load_connectome("three_regions", otherwise="distance_rule")
    assert (folder / "C_Three.npy").read_bytes() == content_of(MATRIX)


def test_a_download_with_another_content_is_an_error_and_not_kept(entry, machine, mirror):
    publish(mirror)
    (mirror / "C_Three.npy").write_bytes(content_of(MATRIX))
    with pytest.raises(UserError, match="SHA-256 is not that of the published file"):
        load_connectome("three_regions", otherwise="distance_rule")
    assert not (machine / "bio2art" / "C_Three.npy").exists()


@pytest.mark.parametrize(
    ("base", "reason"),
    [(REFUSED, "ConnectionError"), ("http://nowhere.invalid", "nowhere.invalid"), ("ftp://127.0.0.1", "InvalidSchema")],
)
def test_without_any_of_them_every_place_is_named(entry, machine, monkeypatch, tmp_path, base, reason):
    monkeypatch.setenv("BIOTUNE_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", base)
    with pytest.raises(UserError) as error:
        load_connectome("three_regions")
    message = str(error.value)
    assert "\n" not in message
    for part in ("BIOTUNE_DATA has no", "bio2art package is not installed", f"cache has no {machine}", base, reason):
        assert part in message


def test_a_file_that_the_server_does_not_have(entry, mirror):
    with pytest.raises(UserError, match="HTTP 404"):
        load_connectome("three_regions")


def test_a_cache_that_cannot_be_written(entry, mirror, machine):
    publish(mirror)
    machine.write_text("not a folder")
    with pytest.raises(UserError, match=r"download of .* failed"):
        load_connectome("three_regions")


def test_a_name_server_that_never_answers_is_waited_for_briefly(entry, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
    monkeypatch.setattr(published, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(published, "getproxies", dict)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"no answer .* within 0.1 s"):
        load_connectome("three_regions")
    assert time.monotonic() - start < 2


def test_otherwise_takes_its_place_and_says_so(entry):
    made = load_connectome("three_regions", otherwise="distance_rule", seed=1)
    assert (made.size, made.edges, made.name) == (3, 4, "distance_rule:three_regions")
    assert made.provenance.kind == "generated"
    assert made.provenance.substitutes == "three_regions"
    assert made.provenance.reason is not None
    assert "BIOTUNE_DATA is not set" in made.provenance.reason
    assert "ConnectionError" in made.provenance.reason


def test_otherwise_does_nothing_where_the_file_is_there(entry, mirror):
    publish(mirror)
    assert load_connectome("three_regions", otherwise="distance_rule").provenance.substitutes is None


@pytest.mark.parametrize(
    ("name", "otherwise", "message"),
    [
        ("marmosett", None, "unknown connectome 'marmosett'; did you mean 'marmoset'"),
        ("distance_rule", None, "did you mean 'distance_rule:"),
        ("distance_rul:marmoset", None, "unknown generator 'distance_rul'; did you mean 'distance_rule'"),
        ("marmoset", "distance_rul", "unknown generator 'distance_rul'"),
        ("xyz", None, "unknown connectome 'xyz'; known: macaque"),
    ],
)
def test_unknown_names(name, otherwise, message):
    with pytest.raises(UserError, match=message):
        load_connectome(name, otherwise=otherwise)
