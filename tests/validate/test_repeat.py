"""A study from many seeds: what it found, counted; and an A/A study, which must find nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from biotune.validate.repeat import verdicts

ROOT = Path(__file__).parents[2]
REDUCED = [
    "connectome={name: 'distance_rule:mouse_gamanut'}",
    "task.pattern_length=2",
    "topology.neurons_per_region=2",
    "search={trials_per_arm: 3, shared_settings: 2, replicates: 2, max_epochs: 9, grace: 3}",
    "tune.learning_rate={loguniform: [3.0e-3, 1.0e-2]}",
    "confirm={replicates: 6, max_epochs: 60}",
]


def run(*options: str | Path, overrides: list[str]) -> subprocess.CompletedProcess[str]:
    changes = [part for change in overrides for part in ("--set", change)]
    script = "from biotune.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", script, "validate", "repeat", *map(str, options), *changes]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_a_verdict_of_each_comparison_is_read() -> None:
    ratio = {"estimate": 1.1, "low": 0.9, "high": 1.3, "pairs": 6}
    compared = {"arm": "two", "verdict": {"name": "undecided"}, "ratio": ratio}
    lost = {"arm": "two", "verdict": {"name": "not comparable"}, "ratio": None}
    claims = {"degrees": {"name": "undecided"}, "random": None}
    assert verdicts({"claims": claims, "comparisons": [compared], "own_best": [lost]}) == [
        {"phase": "claims", "arm": "degrees", "verdict": "undecided", "ratio": None, "low": None, "high": None},
        {"phase": "comparisons", "arm": "two", "verdict": "undecided", "ratio": 1.1, "low": 0.9, "high": 1.3},
        {"phase": "own_best", "arm": "two", "verdict": "not comparable", "ratio": None, "low": None, "high": None},
    ]


@pytest.mark.parametrize("seeds", ["", "a", "3-1", "1,-2"])
def test_seeds_are_a_range_or_a_list(seeds: str) -> None:
    done = run("--space", ROOT / "search_spaces" / "aa.yaml", f"--seeds={seeds}", overrides=[])
    assert done.returncode == 2
    assert "neither a range of seeds" in done.stderr


@pytest.mark.slow
def test_a_study_that_does_not_end_well_ends_it(tmp_path: Path) -> None:
    done = run("--space", tmp_path / "none.yaml", "--seeds", "1-3", overrides=[])
    assert done.returncode == 2
    assert done.stderr.count("none.yaml") == 1


@pytest.mark.long
def test_an_aa_study_finds_no_difference_from_any_seed(tmp_path: Path) -> None:
    space, file = ROOT / "search_spaces" / "aa.yaml", tmp_path / "verdicts.json"
    done = run("--space", space, "--seeds", "1,2", "--output", tmp_path / "r", "--json", file, overrides=REDUCED)
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["verdicts"]
    assert [(row["seed"], row["phase"]) for row in rows] == [
        (seed, phase) for seed in (1, 2) for phase in ("claims", "comparisons", "own_best")
    ]
    pairs = [row for row in rows if row["phase"] == "comparisons"]
    assert not {row["verdict"] for row in pairs} & {"faster", "slower"}  # with an open size, one in twenty may be
    assert len({row["ratio"] for row in pairs}) == 2  # other seeds, other networks
    assert "How often" in done.stdout
