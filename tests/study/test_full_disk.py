"""A disk that is full: one clear line, nothing lost, no trial blamed, and the study goes on when there is room."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from biotune.errors import StorageError
from biotune.io.files import replacing
from biotune.network import save_checkpoint
from biotune.results import Results
from biotune.results.journal import Journal
from checks.integrity import differences, faults

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"


@dataclass
class Disk:
    """A file system of its own, seen only by what runs inside.

    Attributes:
        mount: where it is for what runs inside. holder: a process that keeps it.
    """

    mount: Path
    holder: int

    @property
    def seen(self) -> Path:
        """Where it is for the test."""
        return Path(f"/proc/{self.holder}/root{self.mount}")

    def inside(self, *command: str | Path) -> list[str]:
        """A command that sees it."""
        enter = ["nsenter", "--target", self.holder, "--user", "--mount", "--preserve-credentials"]
        return [*map(str, [*enter, "--", *command])]

    def fill(self) -> None:
        """Leaves no byte of room."""
        with (self.seen / "filler").open("wb", buffering=0) as filler:
            for size in (2**20, 2**12, 1):
                try:
                    while filler.write(b"0" * size):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.seen / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Of 16 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("no unshare and nsenter here to mount a small file system with")
    command = f"mount -t tmpfs -o size=16m tmpfs {mount} && echo mounted && exec sleep 3600"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", command]
    with subprocess.Popen(unshare, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip("this user may not mount a file system of their own here")
        yield Disk(mount, holder.pid)
        holder.kill()


def lines(count: int) -> list[dict[str, object]]:
    return [{"event": "spent", "phase": "search", "seconds": float(number)} for number in range(count)]


def test_a_line_that_finds_no_room_is_taken_back_whole(disk: Disk) -> None:
    journal = Journal(disk.seen / "journal.jsonl")
    first, second = lines(2)
    journal.append(first)
    disk.fill()
    with pytest.raises(
        StorageError, match=r"journal.jsonl: cannot be written: no room is left on the file system at /"
    ):
        journal.append(second | {"why": "x" * 10_000})  # the rest of the last block takes a part of it
    assert journal.read(mend=False) == [first]
    assert journal.file.read_bytes().endswith(b"\n")
    disk.make_room()
    journal.append(second)
    assert journal.read(mend=False) == [first, second]


def test_a_file_that_finds_no_room_leaves_the_one_that_was_there(disk: Disk) -> None:
    table, checkpoint = disk.seen / "trials.parquet", disk.seen / "trial.pt"
    with replacing(table) as temporary:
        temporary.write_text("before")
    save_checkpoint(checkpoint, {"loop": [1.0]})
    before = checkpoint.read_bytes()
    disk.fill()
    with pytest.raises(StorageError, match=r"trials.parquet: cannot be written: no room is left"):  # noqa: SIM117
        with replacing(table) as temporary:
            temporary.write_text("x" * 10_000)
    with pytest.raises(StorageError, match=r"trial.pt: cannot be written: no room is left"):
        save_checkpoint(checkpoint, {"loop": [1.0] * 10_000})
    assert table.read_text() == "before"
    assert checkpoint.read_bytes() == before
    assert {file.name for file in disk.seen.iterdir()} == {"trials.parquet", "trial.pt", "filler"}


def test_a_file_that_may_not_grow_is_said_in_its_own_words(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    first, second = lines(2)
    journal.append(first)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.file.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot be written \(File too large\); make it writable"):
            journal.append(second)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert journal.read(mend=False) == [first]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Results:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "space.yaml").write_text(small_text)
    command = ["--space", folder / "space.yaml", "--output", folder / "results", "--concurrency", "1"]
    subprocess.run([sys.executable, TUNE_MAIN, *command], check=True, stdout=subprocess.DEVNULL, timeout=600)
    [directory] = (folder / "results").iterdir()
    return Results.open(directory)


def when(output: Path, process: subprocess.Popen[str], ready: Callable[[str], bool]) -> None:
    """Waits until the journal is as asked."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before"
        if any(ready(journal.read_text()) for journal in output.glob("*/journal.jsonl")):
            return
        time.sleep(0.02)
    raise AssertionError("the moment never came")


@pytest.mark.long
@pytest.mark.parametrize(
    ("every", "ready"),
    [
        ("10", lambda text: text.count('"ended"') >= 3),
        ("0", lambda text: text.count('"proposed"') >= 6),
        ("10", lambda text: text.count('"confirmed"') >= 1),
    ],
    ids=["the driver in search", "a worker in search", "a worker in confirm"],
)
def test_a_study_whose_disk_fills_up_goes_on_when_there_is_room(
    disk: Disk, undisturbed: Results, small_space: Path, every: str, ready: Callable[[str], bool]
) -> None:
    tune = [sys.executable, TUNE_MAIN, "--concurrency", "1", "--checkpoint-every", every]
    start = disk.inside(*tune, "--space", small_space, "--output", disk.mount / "results")
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        when(disk.seen / "results", process, ready)
        disk.fill()
        _, said = process.communicate(timeout=600)
    assert process.returncode == 2, said
    [directory] = (disk.seen / "results").iterdir()
    place = disk.mount / "results" / directory.name
    [line] = said.splitlines()
    assert line.startswith(f"error: {place}/")
    assert line.endswith(
        f": cannot be written: no room is left on the file system at {disk.mount}; make room there, then go on: "
        f"python tune_main.py --resume {place} (everything so far is kept)"
    )
    assert "failed" not in (directory / "journal.jsonl").read_text()
    disk.make_room()
    subprocess.run(disk.inside(*tune, "--resume", place), check=True, stdout=subprocess.DEVNULL, timeout=600)
    kept = Path(shutil.copytree(directory, small_space.parent / "kept"))
    assert faults(Results.open(kept)) == []
    assert differences(undisturbed, Results.open(kept)) == []


@pytest.mark.long
def test_a_study_that_finds_no_room_to_begin_leaves_nothing(disk: Disk, small_space: Path) -> None:
    (disk.seen / "results").mkdir()
    disk.fill()
    start = disk.inside(sys.executable, TUNE_MAIN, "--space", small_space, "--output", disk.mount / "results")
    done = subprocess.run(start, capture_output=True, text=True, timeout=600)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "no room is left" in line or os.strerror(28) in line
    assert list((disk.seen / "results").iterdir()) == []
