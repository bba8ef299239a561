"""The journal: what was written is read, and nothing else is taken for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.results.journal import DamagedJournal, Head, Journal

Event = dict[str, Any]

IN_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"event": st.sampled_from(["progress", "ended"])}, optional={"text": st.text(), "loss": st.floats()}
    ),
    min_size=2,
    max_size=6,
)


def written(file: Path, events: list[Event]) -> tuple[bytes, Head, list[Event]]:
    """The file's content, how far it has come, and the events as they are read."""
    file.unlink(missing_ok=True)
    journal = Journal(file)
    held = [journal.append(event) for event in events]
    return file.read_bytes(), journal.head, held


@IN_A_FOLDER
@given(EVENTS)
def test_what_was_appended_is_read_by_whoever_goes_on(tmp_path: Path, events: list[Event]) -> None:
    file = tmp_path / "journal.jsonl"
    content, head, held = written(file, events[:1])
    for event in events[1:]:
        held.append(Journal(file, head).append(event))  # as a study that was killed after every event
    assert Journal(file, head).read() == held
    assert written(file, events)[0] == file.read_bytes()
    assert file.read_bytes().startswith(content)
    assert Journal(file).first() == held[0]


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """What happens to a file: bytes change, or a line is lost, there twice, or out of its place."""
    kind = draw(st.sampled_from(["bytes", "lost", "twice", "swapped"]))
    places, values = (
        draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3)),
        draw(st.binary(min_size=3, max_size=3)),
    )

    def damage(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        place = int(places[0] * len(lines))
        match kind:
            case "bytes":
                changed = bytearray(content)
                for share, value in zip(places, values, strict=False):
                    changed[int(share * len(content))] = value
                return bytes(changed)
            case "lost":
                del lines[place]
            case "twice":
                lines.insert(place, lines[place])
            case "swapped":
                lines[place - 1], lines[place] = lines[place], lines[place - 1]
        return b"".join(lines)

    return damage


@pytest.mark.slow
@settings(IN_A_FOLDER, max_examples=500)
@given(EVENTS, damages())
def test_damage_is_named_by_its_line_and_nothing_is_taken_from_what_has_any(
    tmp_path: Path, events: list[Event], damage: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "journal.jsonl"
    content, head, held = written(file, events)
    file.write_bytes(damage(content))
    if file.read_bytes() == content:
        assert Journal(file, head).read(mend=False) == held
        return
    with pytest.raises(DamagedJournal) as refused:
        Journal(file, head).read(mend=False)
    said = str(refused.value)
    line = int(said.removeprefix(f"{file}:").partition(":")[0])
    assert file.read_bytes().startswith(b"".join(content.splitlines(keepends=True)[: line - 1]))
    assert "--repair" in said
    assert "\n" not in said
    with pytest.raises(DamagedJournal):
        Journal(file, head).append(events[0])


@IN_A_FOLDER
@given(EVENTS, st.data())
def test_a_last_line_that_was_cut_short_is_left_out_and_written_again(
    tmp_path: Path, events: list[Event], data: st.DataObject
) -> None:
    file = tmp_path / "journal.jsonl"
    content, head, held = written(file, events)
    known = Journal(file)
    file.write_bytes(b"".join(content.splitlines(keepends=True)[:-1]))
    head = known.head  # as state.json has it, from before the last event
    before = file.stat().st_size
    file.write_bytes(content[: data.draw(st.integers(before, len(content) - 1))])
    cut = file.read_bytes()
    assert Journal(file, head).read(mend=False) == held[:-1]
    assert file.read_bytes() == cut  # of another process
    assert Journal(file, head).append(events[-1]) == held[-1]
    assert file.read_bytes() == content


def test_lines_that_are_missing_at_the_end_are_known_from_the_state(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    content, head, _ = written(file, [{"event": "spent", "seconds": float(number)} for number in range(3)])
    lines = content.splitlines(keepends=True)
    for left in (b"".join(lines[:2]), b"".join(lines)[:-1]):
        file.write_bytes(left)
        with pytest.raises(DamagedJournal, match=r"journal\.jsonl:3: .*missing; state\.json knows of 3 lines"):
            Journal(file, head).read()
        assert file.read_bytes() == left
    file.unlink()
    with pytest.raises(DamagedJournal, match=r"journal\.jsonl:1: .*missing"):
        Journal(file, head).read()
    written(file, [{"event": "spent", "seconds": 0.5}] * 4)
    with pytest.raises(DamagedJournal, match=r"journal\.jsonl:3: .*of another journal than state\.json"):
        Journal(file, head).read()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]", "it is no line of a journal"),
        ("{}", "it is no line of a journal"),
        ('{"event":"spent"}', "it is no line of a journal"),
        ('{"event":"spent","n":2,"check":"0123456789abcdef"}', "its check does not fit"),
        ('{"event":"spent","n":3,"check":"0123456789abcdef"}', "line 3 stands in its place"),
        ("", "it is no line of a journal"),
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "journal.jsonl"
    content, _, _ = written(file, [{"event": "spent"}])
    file.write_bytes(content + line.encode() + b"\n")
    with pytest.raises(DamagedJournal, match=rf"journal\.jsonl:2: the journal is damaged here \({reason}\)"):
        Journal(file).read()


def test_a_repaired_journal_goes_on_from_what_stands_before_the_damage(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    content, head, held = written(file, [{"event": "spent", "seconds": float(number)} for number in range(5)])
    damaged = content.replace(b"3.0", b"3.5")
    file.write_bytes(damaged)
    journal = Journal(file, head)
    assert journal.sound() == (held[:3], Head(3, journal.sound()[1].check))
    kept = journal.repair()
    assert kept is not None
    assert kept.read_bytes() == damaged
    assert journal.read() == held[:3]
    for event in held[3:]:
        journal.append(event)
    assert file.read_bytes() == content
    assert Journal(tmp_path / "none.jsonl", head).repair() is None


def test_an_end_of_line_that_is_damaged_is_no_line_that_was_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    content, _, _ = written(file, [{"event": "spent"}] * 2)
    file.write_bytes(content[:-1] + b"\x0b")
    with pytest.raises(UserError, match=r"journal\.jsonl:2: .*its end is damaged"):
        Journal(file).read()
