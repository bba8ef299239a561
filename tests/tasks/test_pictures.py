"""Pictures and their encoder: parts that don't overlap, files that are checked, a cache that many may ask at once."""

import gzip
import hashlib
import multiprocessing
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from biotune.errors import UserError
from biotune.io.published import DataFile
from biotune.tasks import encoder, make_task, pictures


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine that has nothing and reaches no one; its cache."""
    monkeypatch.delenv("BIOTUNE_DATA", raising=False)
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    forget()
    yield tmp_path / "cache"
    forget()


def forget() -> None:
    for remembered in (pictures.trial_pictures, encoder.trained_encoder, encoder.latents):
        remembered.cache_clear()


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes())


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[np.ndarray]:
    """A local server that gives out twenty pictures in the place of MNIST's files; the trials' pixels."""
    draw = np.random.default_rng(1)
    folder = tmp_path / "mirror" / "somewhere"
    folder.mkdir(parents=True)
    pixels = draw.integers(256, size=(20, 28, 28))
    files = []
    for name, array in (("pixels.gz", pixels), ("labels.gz", np.arange(20) % 10)):
        (folder / name).write_bytes(idx(array))
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        files.append(DataFile(f"mnist/{name}", digest, f"https://host.invalid/somewhere/{name}"))
    monkeypatch.setitem(pictures.MNIST, "trials", (files[0], files[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path / "mirror"))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", f"http://127.0.0.1:{server.server_port}")
        yield pixels
        server.shutdown()


def test_no_trial_shows_a_picture_that_the_encoder_has_learnt_from() -> None:
    digits = pictures.PICTURES["digits"]
    trials, learnt = digits.read("trials"), digits.read("encoder")
    assert len(trials.classes) + len(learnt.classes) == 1797
    assert not {one.tobytes() for one in trials.pixels} & {one.tobytes() for one in learnt.pixels}
    assert set(trials.classes) == set(learnt.classes) == set(range(10))
    assert (trials.pixels.min(), trials.pixels.max()) == (0, 1)


def test_mnist_is_downloaded_checked_and_kept(
    mirror: np.ndarray, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("pic_mem", pictures="mnist", match="image")
    assert task.prepare() == "Trials show 20 pictures: mnist"
    assert task.input_size == 785
    assert np.array_equal(pictures.trial_pictures("mnist").pixels, (mirror / 255).astype(np.float32))
    assert task.trials(6, np.random.default_rng(1)).inputs.shape == (6, 7, 785)
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")
    pictures.trial_pictures.cache_clear()
    assert len(pictures.trial_pictures("mnist").classes) == 20
    (machine / "mnist" / "labels.gz").write_bytes(b"something else")
    pictures.trial_pictures.cache_clear()
    with pytest.raises(UserError, match=r"labels\.gz: its SHA-256 is"):
        pictures.trial_pictures("mnist")


def test_pictures_that_cannot_be_had_are_named() -> None:
    with pytest.raises(UserError, match=r"mnist/t10k-images.*is not available: .*download of .*failed"):
        make_task("pic_mem", pictures="mnist").prepare()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\1\0\0\0\1a", "not an IDX file"),
        (b"\0\0\x08\2\0\0", "not an IDX file"),
        (b"\0\0\x08\1\0\0\0\3ab", "holds 2 bytes of data, its header says 3"),
    ],
)
def test_a_file_that_is_not_idx_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pictures.read_idx(content, "pixels")


@pytest.fixture
def none_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a set of pictures whose encoder does not come with biotune."""
    monkeypatch.setattr(encoder, "SHIPPED", tmp_path / "none")


def test_the_encoder_of_the_digits_is_the_same_on_every_machine(machine: Path) -> None:
    trained = encoder.trained_encoder("digits")
    assert trained.file.parent == encoder.SHIPPED
    assert not (machine / "encoders").exists()
    assert encoder.weights_digest("digits").startswith("f32e76c4f83a0bfb")
    digest = make_task("pic_latent_mem").digest()
    assert digest != make_task("pic_mem").digest()


def test_another_encoder_is_another_task(none_shipped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    task, digests = make_task("pic_latent_mem"), set()
    for updates in (2, 3):
        monkeypatch.setattr(encoder, "UPDATES", updates)
        forget()
        digests.add(task.digest())
    assert len(digests) == 2


def test_the_encoder_is_trained_once_reads_digits_and_says_how_well(machine: Path, none_shipped: None) -> None:
    note = make_task("pic_latent_mem").prepare()
    (file,) = (machine / "encoders").iterdir()
    assert note is not None
    trained = encoder.trained_encoder("digits")
    assert f"{trained.accuracy:.1%}" in note
    shown = pictures.trial_pictures("digits")
    with torch.no_grad():
        named = trained.encoder(torch.from_numpy(shown.pixels))[1].argmax(1).numpy()
    assert trained.accuracy == np.mean(named == shown.classes) > 0.95
    first, written = encoder.latents("digits"), file.stat().st_mtime_ns
    forget()
    assert np.array_equal(encoder.latents("digits"), first)
    assert file.stat().st_mtime_ns == written


def ask(_: int) -> bytes:
    encoder.SHIPPED = Path("none")  # this process is another one
    return encoder.latents("digits").tobytes()


@pytest.mark.long
def test_processes_that_ask_at_once_get_the_same_encoder(machine: Path, none_shipped: None) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        answers = pool.map(ask, range(3), chunksize=1)
    assert len(set(answers)) == 1
    assert len(list((machine / "encoders").iterdir())) == 1
    (file,) = (machine / "encoders").iterdir()
    file.unlink()
    assert ask(0) == answers[0]  # the same weights, trained again


def test_a_damaged_or_unwritable_cache_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "UPDATES", 2)
    file = encoder.trained_encoder("digits").file
    file.write_bytes(file.read_bytes()[:1000])
    encoder.trained_encoder.cache_clear()
    with pytest.raises(UserError, match=r"not readable as an encoder .* remove it to train it again"):
        encoder.trained_encoder("digits")
    monkeypatch.setenv("BIOTUNE_CACHE", str(file))
    with pytest.raises(UserError, match=r"cannot be written .* set BIOTUNE_CACHE to another folder"):
        encoder.trained_encoder("digits")
