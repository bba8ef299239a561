"""Results in which something is damaged, missing, edited or another study's: one line that says which, or a mend."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from biotune.cli import main
from biotune.digests import study_digest
from biotune.errors import UserError, run_command
from biotune.network import load_checkpoint
from biotune.results import TABLES, Results
from biotune.results.documents import Cell
from biotune.results.journal import Journal
from biotune.study.definition.load import load_study
from biotune.study.directory.directory import load_record
from biotune.study.history.events import Progress
from biotune.study.history.record import Record
from biotune.study.history.tables import all_tables
from biotune.study.search.progress import SearchProgress
from biotune.topology import Topology
from biotune.training import UNREPORTED, Evaluations, TrialReport
from biotune.training.topologies import DRAWN
from checks.integrity import differences, faults

TUNE_MAIN = Path(__file__).parents[2] / "tune_main.py"

Finished = tuple[Path, Results, str]


def tune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TUNE_MAIN, *map(str, arguments), "--concurrency", "1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture
def results(finished: Finished, tmp_path: Path) -> Results:
    """A copy of the finished study."""
    return Results(shutil.copytree(finished[1].path, tmp_path / "small-copy"))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused, and gives the one line that says why."""

    def run(*arguments: str | Path) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        [line] = capsys.readouterr().err.splitlines()
        return line.removeprefix("error: ")

    return run


def commands(results: Results, finished: Finished) -> dict[str, list[str | Path]]:
    """Every way in which results are gone on with, reported, looked at or taken up."""
    start = f"network.start_from={{results: {results.path}}}"
    return {
        "resume": ["run", "--resume", results.path],
        "report": ["report", results.path],
        "report of several": ["report", finished[1].path, results.path],
        "monitor": ["monitor", results.path, "-o", results.path / "monitor"],
        "start_from": ["run", "--space", finished[0], "--set", start, "--dry-run"],
    }


EVERY = ["resume", "report", "report of several", "monitor", "start_from"]


def edit(results: Results, old: str, new: str) -> None:
    file = results.path / "study.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def cut_back(results: Results, event: str, count: int) -> list[dict[str, Any]]:
    """The directory as a kill leaves it right after the nth event of a kind; returns the events from there on."""
    events = results.journal().read()
    after = [place for place, one in enumerate(events, 1) if one["event"] == event][count - 1]
    lines = (results.path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (results.path / "journal.jsonl").write_bytes(b"".join(lines[:after]))
    selected = any(one["event"] == "selected" for one in events[:after])
    state = {"phase": "confirm" if selected else "search", "finished": None, "journal": {"events": 0, "check": ""}}
    results.write_json("state", results.read_json("state") | state)
    return events[after:]


@pytest.mark.parametrize("how", EVERY)
def test_a_study_that_was_edited_is_refused_with_the_key_and_what_it_was(
    how: str, results: Results, finished: Finished, refused: Callable[..., str]
) -> None:
    edit(results, "max_epochs: 6", "max_epochs: 4")
    line = refused(*commands(results, finished)[how])
    assert f"{results.path}/study.yaml: has changed since the study was started" in line
    assert "(confirm.max_epochs was 6 and is 4)" in line


@pytest.mark.parametrize("how", EVERY)
@pytest.mark.parametrize("name", ["state.json", "study.yaml"])
def test_a_document_of_another_kind_is_refused(
    name: str, how: str, results: Results, finished: Finished, refused: Callable[..., str]
) -> None:
    for text in ("[1]", "null", "", "{}", "1", "{", "[" * 5000, "a: !!int b"):
        (results.path / name).write_text(text)
        line = refused(*commands(results, finished)[how])
        assert str(results.path) in line


def test_a_study_that_was_edited_before_it_was_resumed_is_refused(
    results: Results, finished: Finished, refused: Callable[..., str]
) -> None:
    cut_back(results, "confirmed", 2)
    edit(results, "max_epochs: 6", "max_epochs: 4")
    assert "(confirm.max_epochs was 6 and is 4)" in refused("run", "--resume", results.path)


def test_a_description_may_be_changed(results: Results) -> None:
    edit(results, "Is a small study run from end to end?", "Is it described otherwise?")
    assert main(["report", str(results.path)]) == 0
    assert "Is it described otherwise?" in (results.path / "report" / "index.html").read_text()


def test_results_are_not_gone_on_with_where_other_topologies_are_drawn(
    results: Results, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biotune.training import draw_topology

    def drawn_otherwise(*arguments: Any) -> Topology:
        drawn = draw_topology(*arguments)
        return Topology(drawn.size, drawn.target, drawn.source, drawn.weight[::-1].copy(), drawn.region)

    cut_back(results, "confirmed", 1)
    monkeypatch.setattr("biotune.training.topologies.draw_topology", drawn_otherwise)
    monkeypatch.setattr(DRAWN, "drawn", {})  # this process may have run the study itself
    line = refused("run", "--resume", results.path)
    assert f"{results.path}: this machine draws another topology for arm real than the one" in line


@pytest.mark.parametrize("how", ["report", "report of several"])
def test_a_table_of_another_study_is_refused(
    how: str, results: Results, finished: Finished, refused: Callable[..., str], tmp_path: Path
) -> None:
    put_another_studys(results, "curves", tmp_path)
    line = refused(*commands(results, finished)[how])
    assert f"{results.path}/curves.parquet: is not of the study in state.json (study is " in line


@pytest.mark.slow
def test_a_table_of_another_study_is_made_again_from_the_journal(results: Results, tmp_path: Path) -> None:
    rows = put_another_studys(results, "convergence", tmp_path)
    assert main(["run", "--resume", str(results.path)]) == 0
    pd.testing.assert_frame_equal(results.read_table("convergence"), rows)


def put_another_studys(results: Results, table: str, tmp_path: Path) -> pd.DataFrame:
    """The same rows, written by a study of another seed; returns them."""
    other = Results(tmp_path / "other")
    study = results.read_study() | {"seed": 4}
    other.write_state(results.read_state().model_copy(update={"study_sha256": study_digest(study)}))
    rows = results.read_table(table)
    other.write_table(table, rows)
    shutil.copy(other.path / f"{table}.parquet", results.path)
    return rows


def test_a_table_in_which_a_byte_has_changed_is_refused(results: Results, refused: Callable[..., str]) -> None:
    file = results.path / "convergence.parquet"
    content = bytearray(file.read_bytes())
    held = pq.read_metadata(file).row_group(0)
    (updates,) = (held.column(i) for i in range(held.num_columns) if held.column(i).path_in_schema == "updates")
    start = updates.dictionary_page_offset or updates.data_page_offset
    content[start + updates.total_compressed_size - 1] ^= 1  # the column's last number
    file.write_bytes(content)
    assert refused("report", results.path).startswith(f"{file}: ")


def tables_of(results: Results) -> dict[str, pd.DataFrame]:
    _, record = load_record(results)
    return dict(all_tables(record))


def damaged(content: bytes, seed: int) -> bytes:
    """One to three bytes changed, or a line lost, there twice, or in another's place."""
    draw = random.Random(seed)
    lines, kind = content.splitlines(keepends=True), draw.choice(["bytes", "bytes", "lost", "twice", "swapped"])
    place = draw.randrange(len(lines))
    if kind == "bytes":
        changed = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(content))] ^= draw.randint(1, 255)
        return bytes(changed)
    if kind == "lost":
        del lines[place]
    elif kind == "twice":
        lines.insert(place, lines[place])
    else:
        lines[place - 1], lines[place] = lines[place], lines[place - 1]
    return b"".join(lines)


def test_no_damage_of_500_journals_gives_other_tables(results: Results) -> None:
    journal = results.path / "journal.jsonl"
    content, expected = journal.read_bytes(), tables_of(results)
    refusals = 0
    for seed in range(500):
        journal.write_bytes(damaged(content, seed))
        try:
            found = tables_of(results)
        except UserError as error:
            line = str(error).removeprefix(f"{journal}:").partition(":")[0]
            refusals += line.isdecimal()
            continue
        for name in TABLES:
            pd.testing.assert_frame_equal(found[name], expected[name], check_exact=True)
    assert refusals == sum(damaged(content, seed) != content for seed in range(500))


@pytest.mark.parametrize("how", EVERY)
def test_a_damaged_journal_is_refused_with_its_line_and_the_remedy(
    how: str, results: Results, finished: Finished, refused: Callable[..., str]
) -> None:
    journal = results.path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for content, line in ((lines[:6] + lines[5:], 7), (lines[:6] + lines[7:], 7), (lines[:-1], len(lines))):
        journal.write_bytes(b"".join(content))
        said = refused(*commands(results, finished)[how])
        assert f"{journal}:{line}: the journal is damaged here" in said
        assert said.endswith(f"{run_command()} --resume {results.path} --repair")


EVALUATIONS: dict[str, Any] = {
    "first": 0,
    **{name: [[1.0, 1.0]] for name in ("training", "validation")},
    "accuracy": [],
}


def progress(trial: str = "real-0000", **changes: Any) -> dict[str, Any]:
    """The event of a report, with some of its evaluations changed."""
    report = TrialReport(Evaluations(**EVALUATIONS), replace(UNREPORTED, score=1.0, mean_updates=1.0))
    event = Progress(trial=trial, report=report).model_dump()
    event["report"]["evaluations"] |= changes
    return event


PROPOSED = {"event": "proposed", "trial": "real-0009", "arm": "real", "index": 9, "origin": "tpe", "setting": {}}


@pytest.mark.parametrize("how", ["resume", "monitor"])
@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({}, "event"),
        ({"event": 1}, "event"),
        ({"event": "nonsense"}, "nonsense"),
        ({"event": "progress"}, "progress.trial: Field required"),
        ({"event": "proposed", "trial": "real-0000"}, "proposed.arm: Field required"),
        ({"event": "ended", "trial": 7, "status": "completed", "error": ""}, "ended.trial"),
        ({"event": "ended", "trial": "real-0099", "status": "completed", "error": ""}, "no trial 'real-0099'"),
        ({"event": "ended", "trial": "real-0000", "status": "running", "error": ""}, "ended.status"),
        (progress("real-0099"), "no trial 'real-0099' has been proposed"),
        (progress(first=99), "rows from epoch 99 on"),
        (progress(validation=[[1.0, 1.0], [1.0]]), "validation is not of 2 replicates"),
        (progress(validation=[["1.0", 1.0]]), "progress.report.evaluations.validation"),
        (progress(training=[]), "not of the same epochs"),
        (progress(accuracy=[[1.0, 1.0]] * 2), "not of the same epochs"),
        (PROPOSED, "has a setting of nothing"),
        (PROPOSED | {"trial": "../../outside"}, "no trial of this study: '../../outside'"),
        ({"event": "selected", "selection": {"pair": {"rewired": {}}}}, "selected.selection.pair.rewired.index"),
        ({"event": "confirmed", "replicates": [0]}, "confirmed.cell"),
        ({"event": "spent", "phase": "search"}, "spent.seconds"),
    ],
)
def test_a_line_that_is_no_event_of_the_study_is_named(
    how: str, event: dict[str, Any], said: str, results: Results, finished: Finished, refused: Callable[..., str]
) -> None:
    journal = results.journal()
    journal.append(event)
    line = refused(*commands(results, finished)[how])
    assert line.startswith(f"{journal.file}:{journal.head.events}: ")
    assert said in line


def test_a_trial_that_nobody_proposed_is_named_by_the_search_that_goes_on(results: Results, tmp_path: Path) -> None:
    events = [event for event in results.journal().read() if event.get("trial") != "real-0000"]
    journal = Journal(tmp_path / "journal.jsonl")
    for event in events:
        journal.append(event)
    study = load_study(results.path / "study.yaml")
    with pytest.raises(UserError, match=r"journal\.jsonl:\d+: trial 'real-0001' was proposed before another"):
        SearchProgress(study, Record(2, {"primary": 3}, planned=[16]), journal, journal.read())


def test_a_journal_of_another_study_is_refused(results: Results, refused: Callable[..., str], tmp_path: Path) -> None:
    cut_back(results, "proposed", 1)
    state = results.read_json("state")
    state["connectomes"]["real"]["digest"] = "0" * 64
    results.write_json("state", state)
    line = refused("report", results.path)
    assert "journal.jsonl:1: is not of the study in state.json (connectomes.real is " in line


@pytest.mark.long
@pytest.mark.parametrize("place", [0.02, 0.3, 0.95], ids=["its first line", "search", "confirm"])
def test_a_repaired_study_ends_as_if_it_had_never_been_damaged(
    place: float, results: Results, finished: Finished
) -> None:
    journal = results.path / "journal.jsonl"
    content = bytearray(journal.read_bytes())
    content[int(place * len(content)) if place > 0.1 else 20] ^= 1
    journal.write_bytes(content)
    refused = tune("--resume", results.path)
    assert refused.returncode == 2
    assert "--repair" in refused.stderr
    mended = tune("--resume", results.path, "--repair")
    assert mended.returncode == 0, mended.stderr
    assert "NOTE: the journal is damaged from line" in mended.stdout
    assert "one is kept as journal.jsonl.damaged" in mended.stdout
    assert (results.path / "journal.jsonl.damaged").read_bytes() == content
    assert differences(finished[1], Results.open(results.path)) == []
    assert faults(Results.open(results.path)) == []
    assert "there is nothing to repair" in tune("--resume", results.path, "--repair").stdout


def block_file(results: Results, confirmed: dict[str, Any]) -> Path:
    """The checkpoint of the replicates that an event confirmed."""
    name = Cell(**confirmed["cell"]).checkpoint(confirmed["replicates"][0])
    return results.path / "checkpoints" / "confirm" / f"{name}.pt"


@pytest.mark.long
@pytest.mark.parametrize("phase", ["search", "confirm"])
def test_a_checkpoint_that_cannot_be_read_is_set_aside_and_its_networks_trained_again(
    phase: str, results: Results, finished: Finished
) -> None:
    if phase == "search":
        cut_back(results, "proposed", 4)
        file = results.path / "checkpoints" / "search" / "rewired-0001.pt"
        file.parent.mkdir()
        file.write_bytes(bytes(10_000))
    else:
        following = cut_back(results, "confirmed", 1)
        block = next(event for event in following if event["event"] == "confirmed")
        file = block_file(results, block)
        file.write_bytes(file.read_bytes()[:1000])
    before = file.read_bytes()
    resumed = tune("--resume", results.path)
    assert resumed.returncode == 0, resumed.stderr
    told = " ".join(resumed.stdout.split())
    assert f"NOTE: {file}: not a checkpoint as it was written; it is damaged. It is kept as {file.name}.damaged" in told
    assert list(results.read_json("state")["set_aside"]) == [f"{phase}/{file.name}"]
    page = " ".join((results.path / "report" / "index.html").read_text().split())
    assert f"1 checkpoint could not be read and was set aside ({phase}/{file.name})" in page
    if phase == "confirm":
        assert file.with_name(f"{file.name}.damaged").read_bytes() == before
        assert load_checkpoint(file)["plan"]["phase"] == "confirm"
    numbers = [one for one in differences(finished[1], Results.open(results.path)) if "limits" not in one]
    assert numbers == []  # but for what the page says of it
    assert "failed" not in json.dumps(results.read_table("trials")["status"].tolist())


@pytest.mark.long
def test_a_checkpoint_of_another_plan_ends_the_study_with_what_differs(results: Results) -> None:
    following = cut_back(results, "confirmed", 1)
    [first, second] = [event for event in following if event["event"] == "confirmed"][:2]

    file, other = block_file(results, first), block_file(results, second)
    shutil.copy(other, file)
    refused = tune("--resume", results.path)
    assert refused.returncode == 2
    assert f"{file}: was trained by another plan: " in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert file.read_bytes() == other.read_bytes()  # left as it is
