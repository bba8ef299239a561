"""The soak and the overhead check with few trials: what is left behind, what grows, what is printed."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.soak import Soak
from checks.watching import MARK, GrowingJournal, Terminal, marked

pytestmark = pytest.mark.long


def run(module: str, file: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], str]:
    """Runs a command with a mark of its own; also returns what it wrote to `file`."""
    mark = secrets.token_hex(8)
    command = [sys.executable, "-m", f"checks.{module}", *arguments, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, MARK: mark})
    assert file.exists(), done.stdout + done.stderr
    return done, json.loads(file.read_text()), mark


def test_a_short_soak_leaves_nothing_behind_and_opens_no_more_files(tmp_path: Path) -> None:
    done, content, _ = run("soak", tmp_path / "soak.json", "--trials", "240")
    content.pop("machine")
    samples = content.pop("samples")
    found = Soak(**content)
    assert (found.trials, found.status) == (240, 0)
    assert found.left_behind == []
    assert found.left_after_interrupt == []
    assert found.redraws >= 2
    files = [sample["files"] for sample in samples if sample["trials"] >= 10]
    assert max(files) < files[0] + 20  # not one a trial
    assert {"journal.jsonl", "trials.parquet", "ray", "Ray's session"} <= set(found.disk)
    assert found.curves_per_trial > 0
    assert done.returncode == (1 if found.broken else 0)
    assert all(f"broken: {text}" in done.stdout for text in found.broken)


def test_overhead_is_told_for_each_number_of_workers_and_every_head_ends(tmp_path: Path) -> None:
    done, content, mark = run("overhead", tmp_path / "overhead.json", "--trials", "12", "--workers", "1,2")
    assert done.returncode == 0, done.stderr
    costs = content["costs"]
    assert [(cost["workers"], cost["trials"]) for cost in costs] == [(1, 12), (2, 12)]
    for cost in costs:
        assert cost["trials_per_second"] * cost["wall_s"] == pytest.approx(1)
        assert cost["overhead_s"] == pytest.approx(cost["workers"] * cost["wall_s"] - cost["trial_s"])
        assert 0 < cost["first_s"] < cost["search_s"]
    assert marked(mark) == []


def test_what_a_command_leaves_behind_is_found_however_it_left(tmp_path: Path) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True); print('\\x1b[2Kdone')"
    with Terminal([sys.executable, "-c", script], {}) as terminal:
        while terminal.watch(0.1):
            pass
        assert terminal.status == 0
        assert len(terminal.drawn) == 1
        [left] = terminal.left_behind(patience=0.5)
        assert "sleep 60" in left
        for process in marked(terminal.mark):
            process.kill()


def test_a_journal_is_followed_across_lines_that_are_half_written(tmp_path: Path) -> None:
    followed = GrowingJournal(tmp_path)
    assert followed.look().events == []
    (tmp_path / "study").mkdir()
    with (tmp_path / "study" / "journal.jsonl").open("a") as journal:
        journal.write('{"event":"proposed","trial":"a-0000"}\n{"event":"ended","tr')
        journal.flush()
        assert len(followed.look().events) == 1
        journal.write('ial":"a-0000","status":"stopped"}\n')
        journal.flush()
        assert list(followed.look().ended) == ["a-0000"]
    assert len(followed.events) == 2
