"""Runs a whole study with many seeds and counts its verdicts: how often is a verdict due to chance?

    biotune validate repeat --space search_spaces/aa.yaml --seeds 1-10
    biotune validate repeat --space search_spaces/seq_mem.yaml --seeds 1,7 --set confirm.looks=[8,16]

One study has one verdict, and can't say how often such a study is wrong. Run with many seeds, including search and
selection, an A/A study shows how often it finds a difference although there is none; any other study shows how often it
finds the same again. Each run is an ordinary study and leaves a results directory.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIRMATIONS = {"comparisons": "at the setting of the pair", "own_best": "each arm at its own best"}
"""Key of summary.json -> how its comparisons were made."""

SHOWN = {"claims": "claimed"} | CONFIRMATIONS

_RUN = "from biotune.cli import tune_main; raise SystemExit(tune_main())"


def run_seed(space: Path, seed: int, output: Path, overrides: Sequence[str]) -> Path:
    """Runs a study by its command, and returns its results directory.

    Raises:
        SystemExit: the command failed; with its exit code.
    """
    # a folder of its own, so that no other run's results are taken for this one's
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
    """One row per claim and per comparison of either way (phase, arm, verdict, ratio, low, high), of a summary.json."""
    claims = [
        {"phase": "claims", "arm": arm, "verdict": claim["name"], **dict.fromkeys(_NUMBERS)}
        for arm, claim in summary["claims"].items()
        if claim
    ]
    return claims + [
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
