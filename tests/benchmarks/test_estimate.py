"""python -m benchmarks.estimate: what it reads of a dry run, and what it prints and writes; no study is run."""

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import estimate
from benchmarks.estimate import STUDIES, Found, large, read_range
from biotune.study import load_study
from biotune.study.plans.plans import load_connectomes
from biotune.study.resources.estimate import Span


@pytest.mark.parametrize(
    ("span", "ends"),
    [
        (Span(41, 58), (40, 60)),
        (Span(239, 350), (240, 360)),
        (Span(299, 302), (300, 300)),
        (Span(4 * 3600, 5 * 3600), (4 * 3600, 5 * 3600)),
    ],
)
def test_the_range_that_a_dry_run_prints_is_read(span: Span, ends: tuple[float, float]) -> None:
    assert read_range(f"confirm: 4 arms; 1 to 2 minutes\nin all {span}, 2 at once on cores\n") == ends


def test_a_dry_run_without_a_range_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="gives no time"):
        read_range("confirm: 4 arms; 1 to 2 minutes\n")


def test_the_large_study_reads_its_table_of_synapses(tmp_path: Path) -> None:
    _, space = large(tmp_path, synapses=5_000)
    study = load_study(space)
    assert (tmp_path / "synapses.csv").read_text().count("\n") == 5_001
    assert load_connectomes(study)["real"].size <= 400


def test_each_study_is_printed_and_written_with_its_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def compare(arguments: list[str], output: Path, console: Console) -> Found:
        load_study(arguments[1], overrides=arguments[3::2])
        return Found(low=50.0, high=200.0, took=120.0)

    monkeypatch.setitem(STUDIES, "large", lambda folder: large(folder, synapses=100))
    monkeypatch.setattr(estimate, "compare", compare)
    monkeypatch.setattr(sys, "argv", ["estimate", "--json", str(tmp_path / "estimate.json")])
    estimate.main()
    written = json.loads((tmp_path / "estimate.json").read_text())
    assert list(written["studies"]) == list(STUDIES)
    assert written["studies"]["large"] == {"low": 50.0, "high": 200.0, "took": 120.0, "ratio": 1.2}
    printed = capsys.readouterr().out
    for name in STUDIES:
        [row] = [line for line in printed.splitlines() if f" {name} " in line]
        assert [cell.strip() for cell in row.split("│")[2:-1]] == ["50 to 200", "120", "1.20"]
