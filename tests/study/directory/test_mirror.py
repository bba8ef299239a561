"""The copy of a study's results in a storage, and a study that goes on from it elsewhere."""

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from biotune.errors import StorageError, UserError
from biotune.io.files import replacing, set_aside
from biotune.io.storage import BucketPath, Place, place, spelled
from biotune.network import load_checkpoint, save_checkpoint
from biotune.results import TABLES, Results
from biotune.results.documents import Selection
from biotune.study import load_study
from biotune.study.directory.mirror import Mirror, checkpoints_of, drop_ahead, fetch
from biotune.study.history.events import Ended, Progress, Proposed, Selected
from biotune.study.history.record import Record
from biotune.study.plans.plans import Plans
from biotune.study.worker.train import train
from biotune.training import UNREPORTED, Evaluations, TrialReport

TUNE_MAIN = Path(__file__).parents[3] / "tune_main.py"


@pytest.fixture
def results(tmp_path: Path, begin_results: Callable[..., Results]) -> Results:
    """A directory like a study's."""
    results = begin_results(tmp_path / "here" / "study-1", {"name": "study"})
    results.journal().append({"event": "spent", "phase": "search", "seconds": 1.0})
    for own in ("checkpoints/search/real-0000.pt", "ray/search/params.pkl", "report/index.html", ".lock"):
        (results.path / own).parent.mkdir(parents=True, exist_ok=True)
        (results.path / own).touch()
    return results


def names(copy: Place) -> list[str]:
    return sorted(str(file).removeprefix(f"{copy}/") for file in copy.rglob("*") if file.is_file())


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return tmp_path / "storage" if request.param == "folder" else place(request.getfixturevalue("bucket"))


def test_a_copy_holds_the_results_and_takes_up_what_changes(results: Results, storage: Place) -> None:
    copy = storage / "study-1"
    mirror = Mirror(results.path, copy)
    mirror.copy()
    assert names(copy) == ["journal.jsonl", "report/index.html", "state.json", "study.yaml"]
    assert mirror.due > time.monotonic() + 5
    (copy / "study.yaml").unlink()
    results.write_state(results.read_state().model_copy(update={"phase": "confirm"}))
    mirror.copy()
    assert (copy / "state.json").read_bytes() == (results.path / "state.json").read_bytes()
    assert not (copy / "study.yaml").exists()  # had not changed


def test_a_copy_that_broke_off_does_not_say_what_it_has_not_got(results: Results, tmp_path: Path) -> None:
    copy = tmp_path / "storage" / "study-1"
    mirror = Mirror(results.path, copy)
    mirror.copy()
    (copy / "trials.parquet").mkdir()  # cannot be replaced by a file
    (results.path / "trials.parquet").touch()
    before = results.read_json("state")
    results.write_json("state", before | {"phase": "finished"})
    with pytest.raises(StorageError):
        mirror.copy()
    assert Results(copy).read_json("state") == before


def test_what_is_removed_while_it_is_copied_is_passed_over(
    results: Results, storage: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(file: Place) -> AbstractContextManager[Path]:
        shutil.rmtree(results.path / "report", ignore_errors=True)  # as one does that makes it anew
        return replacing(file)

    monkeypatch.setattr("biotune.study.directory.mirror.replacing", replaced)
    Mirror(results.path, storage / "study-1").copy()
    assert names(storage / "study-1") == ["journal.jsonl", "state.json", "study.yaml"]


def test_what_a_killed_process_left_half_copied_is_removed(results: Results, tmp_path: Path) -> None:
    copy = tmp_path / "storage" / "study-1"
    copying = """import os, sys
from pathlib import Path
from biotune.study.directory import mirror
mirror.shutil.copyfileobj = lambda source, copy: os.kill(os.getpid(), 9)
mirror.Mirror(Path(sys.argv[1]), Path(sys.argv[2])).copy()"""
    killed = subprocess.run([sys.executable, "-c", copying, results.path, copy], cwd=TUNE_MAIN.parent)
    assert killed.returncode == -9
    assert names(copy)
    Mirror(results.path, copy).copy()
    assert names(copy) == ["journal.jsonl", "report/index.html", "state.json", "study.yaml"]


def test_a_copy_is_fetched_as_it_was(results: Results, bucket: str, tmp_path: Path) -> None:
    copy = place(bucket) / "study-1"
    assert isinstance(copy, BucketPath)
    with pytest.raises(UserError, match="is not the copy of a study"):
        fetch(copy, tmp_path / "there")
    Mirror(results.path, copy).copy()
    save_checkpoint(copy / "checkpoints" / "search" / "real-0000.pt", {})
    fetched = fetch(copy, tmp_path / "there")
    assert fetched == tmp_path / "there" / "study-1"
    assert names(fetched) == ["journal.jsonl", "report/index.html", "state.json", "study.yaml"]
    assert (fetched / "journal.jsonl").read_bytes() == (results.path / "journal.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"study-1 exists already; go on with that \(--resume .*study-1\)"):
        fetch(copy, tmp_path / "there")


def test_no_object_of_a_crafted_copy_is_written_outside_of_the_results(
    results: Results, bucket: str, s3: str, tmp_path: Path
) -> None:
    copy = place(bucket) / "study-1"
    assert isinstance(copy, BucketPath)
    Mirror(results.path, copy).copy()
    name = f"{copy}".removeprefix("s3://") + "/report/..%2F..%2F..%2Foutside"
    urllib.request.urlopen(urllib.request.Request(f"http://{s3}/{name}", b"outside", method="PUT")).close()
    with pytest.raises(UserError, match="points out of the results"):
        fetch(copy, tmp_path / "a" / "b" / "there")
    assert not list(tmp_path.rglob("outside"))


def test_checkpoints_are_where_the_state_says(results: Results, bucket: str) -> None:
    assert checkpoints_of(results) == results.path / "checkpoints"
    results.write_state(results.read_state().model_copy(update={"storage": bucket}))
    assert str(checkpoints_of(results)) == f"{place(bucket)}/study-1/checkpoints"


@pytest.mark.parametrize(("reported", "saved", "kept"), [(0, 3, True), (2, 8, False), (3, 9, True), (9, 20, True)])
def test_a_checkpoint_past_a_rung_that_the_journal_does_not_know_is_dropped(
    reported: int, saved: int, kept: bool, storage: Place
) -> None:
    record = Record(search_replicates=1, updates_per_epoch={"primary": 1}, planned=[16])
    for index in range(2):
        record.apply(Proposed(trial=f"real-000{index}", arm="real", index=index, origin="tpe", setting={}))
    rows: list[list[float | None]] = [[1.0]] * (reported + 1)
    report = TrialReport(Evaluations(0, rows, rows, accuracy=[]), replace(UNREPORTED, score=1.0))
    record.apply(Progress(trial="real-0000", report=report))
    record.apply(Ended(trial="real-0001", status="stopped", error=""))
    for name in ("search/real-0000", "search/real-0001", "search/real-0002", "confirm/real-0123456789ab-0000"):
        folder, _, stem = name.partition("/")
        save_checkpoint(storage / folder / f"{stem}.pt", {"loop": {"epoch": saved}})
    drop_ahead(storage, record, rungs=[3, 9, 27])
    assert names(storage) == (["search/real-0000.pt"] if kept else [])
    save_checkpoint(storage / "confirm" / "real-0123456789ab-0000.pt", {})
    record.apply(Selected(selection=Selection(pair={}, own_best={}, cells=[])))
    drop_ahead(storage, record, rungs=[3, 9, 27])
    assert "confirm/real-0123456789ab-0000.pt" in names(storage)


def test_a_checkpoint_that_cannot_be_read_is_left_to_the_worker_that_meets_it(storage: Place) -> None:
    record = Record(search_replicates=1, updates_per_epoch={"primary": 1}, planned=[16])
    record.apply(Proposed(trial="real-0000", arm="real", index=0, origin="tpe", setting={}))
    file = storage / "search" / "real-0000.pt"
    save_checkpoint(file, {"loop": {"epoch": 1}})
    file.write_bytes(bytes(100))
    drop_ahead(storage, record, rungs=[3])
    assert names(storage) == ["search/real-0000.pt"]


def test_a_damaged_file_is_set_aside_under_a_name_that_is_free(storage: Place) -> None:
    for number in (1, 2):
        save_checkpoint(storage / "search" / "real-0000.pt", {"number": number})
        set_aside(storage / "search" / "real-0000.pt")
    assert names(storage) == ["search/real-0000.pt.damaged", "search/real-0000.pt.damaged2"]
    assert [load_checkpoint(storage / name)["number"] for name in names(storage)] == [1, 2]


def tune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TUNE_MAIN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def same_numbers(one: Path, other: Path) -> None:
    """The tables of two runs are equal, but for the time they took."""
    for name in TABLES:
        tables = [Results.open(path).read_table(name).drop(columns="seconds", errors="ignore") for path in (one, other)]
        pd.testing.assert_frame_equal(*tables)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> tuple[Path, Path]:
    """The small study, and its results without a storage, one trial at a time."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "space.yaml").write_text(small_text)
    done = tune("--space", folder / "space.yaml", "--output", folder / "results", "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    return folder / "space.yaml", next((folder / "results").iterdir())


@pytest.mark.long
@pytest.mark.parametrize("event", ["ended", "confirmed"])
def test_a_study_whose_machine_is_lost_goes_on_from_its_copy(
    event: str, undisturbed: tuple[Path, Path], bucket: str, tmp_path: Path
) -> None:
    space, expected = undisturbed
    command = [sys.executable, TUNE_MAIN, "--space", space, "--output", tmp_path / "lost", "--concurrency", "1"]
    command += ["--storage", bucket, "--checkpoint-every", "0"]
    storage = place(bucket)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not any(f'"{event}"'.encode() in journal.read_bytes() for journal in storage.rglob("journal.jsonl")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    [lost] = (tmp_path / "lost").iterdir()
    shutil.rmtree(lost)
    resumed = tune("--resume", spelled(storage / lost.name), "--output", tmp_path / "found", "--concurrency", "1")
    assert resumed.returncode == 0, resumed.stderr
    found = tmp_path / "found" / lost.name
    same_numbers(expected, found)
    assert not (found / "checkpoints").exists()
    copied = names(storage / lost.name)
    assert "report/index.html" in copied
    assert {name.split("/")[1] for name in copied if name.startswith("checkpoints/")} == {"confirm"}


@pytest.mark.long
def test_a_study_whose_machine_is_lost_before_its_journal_was_copied_begins_anew(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    space, expected = undisturbed
    copy = Results(tmp_path / "storage" / expected.name)
    copy.path.mkdir(parents=True)
    for name in ("study.yaml", "environment.json"):
        shutil.copy(expected / name, copy.path)
    state = Results.open(expected).read_json("state")
    begun = {"phase": "search", "selection": None, "journal": {"events": 0, "check": ""}}
    copy.write_json("state", state | begun | {"storage": str(tmp_path / "storage")})
    trials = Results.open(expected).read_table("trials").set_index("trial")
    stopped = trials[trials["status"] == "stopped"].iloc[0]
    setting = {key: stopped[f"tune.{key}"] for key in ("learning_rate", "nonlinearity")}
    plans = replace(Plans.load(load_study(space)), backends=state["backend"])
    folder = copy.path / "checkpoints" / "search"
    folder.mkdir(parents=True)
    for _ in train(plans.search(stopped["arm"], setting), folder / f"{stopped.name}.pt", every=0.0):
        pass  # far beyond the rung that it is to be measured at
    done = tune("--resume", copy.path, "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    same_numbers(expected, copy.path)


@pytest.mark.long
def test_networks_in_a_storage_are_started_from(small_space: Path, bucket: str, tmp_path: Path) -> None:
    done = tune("--space", small_space, "--output", tmp_path / "source", "--storage", bucket)
    assert done.returncode == 0, done.stderr
    [source] = (tmp_path / "source").iterdir()
    assert Results.open(source).read_json("state")["storage"] == bucket
    changes = [f"network.start_from={{results: {source}}}", "search.replicates=1", "confirm.replicates=2"]
    arguments = [part for change in [*changes, "task.pattern_length=3"] for part in ("--set", change)]
    done = tune("--space", small_space, "--output", tmp_path / "results", *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_a_storage_that_cannot_be_reached_is_refused_before_the_first_trial(
    small_space: Path, bucket: str, tmp_path: Path
) -> None:
    missing = bucket.replace("s3://bucket", "s3://missing")
    refused = tune("--space", small_space, "--output", tmp_path / "results", "--storage", missing)
    assert refused.returncode == 2
    assert "NO_SUCH_BUCKET" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not list((tmp_path / "results").iterdir())
