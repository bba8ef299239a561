"""The cluster files, as far as they can be checked without a cluster."""

import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted(Path("clusters").glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_parses_and_says_how_to_start_watch_and_stop(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    head = script.read_text().partition("set -euo pipefail")[0]
    assert all(f"#   {word}:" in head for word in ("start", "watch", "stop"))
