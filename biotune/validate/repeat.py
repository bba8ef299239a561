"""Runs a study again from other seeds, each time whole, and counts what it found: how often a verdict is luck.

    biotune validate repeat --space search_spaces/aa.yaml --seeds 1-10
    biotune validate repeat --space search_spaces/seq_mem.yaml --seeds 1,7 --set confirm.replicates=8

One study has one verdict, and can't say how often such a study is wrong. Run from many seeds, search and selection
included, an A/A study shows how often it finds a difference although there is none, and any other one how often it
finds what it found. Each run is the command of a study, and leaves a results directory.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIRMATIONS = {"comparisons": "at the shared setting", "own_best": "each arm at its own best"}
"""Key of summary.json -> the confirmation that it comes from."""

_RUN = "from biotune.cli import tune_main; raise SystemExit(tune_main())"


def run_seed(space: Path, seed: int, output: Path, overrides: Sequence[str]) -> Path:
    """Runs a study by its command, and returns its results directory.

    Raises:
        SystemExit: it did not end well; with its exit code.
    """
    # a folder of its own: another run at the same time must not be mistaken for this one
    output = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=_made(output)))
    changes = [part for change in overrides for part in ("--set", change)]
    arguments = ["--space", str(space), "--seed", str(seed), "--output", str(output), *changes]
    done = subprocess.run([sys.executable, "-c", _RUN, *arguments])
    if done.returncode:
        raise SystemExit(done.returncode)
    [directory] = output.iterdir()
    return directory


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def verdicts(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """A row (phase, arm, verdict, ratio, low, high) per comparison of both confirmations, from summary.json."""
    return [
        {
            "phase": phase,
            "arm": comparison["arm"],
            "verdict": comparison["verdict"]["name"],
            **{key: (comparison["ratio"] or {}).get(name) for key, name in _NUMBERS.items()},
        }
        for phase in CONFIRMATIONS
        for comparison in summary[phase]
    ]


_NUMBERS = {"ratio": "estimate", "low": "low", "high": "high"}
