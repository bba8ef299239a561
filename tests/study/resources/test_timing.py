"""What a dry run starts to measure with ends with it, however it ends."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

TUNE_MAIN = Path(__file__).parents[3] / "tune_main.py"


def wait_for(ready, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := ready()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_a_killed_dry_run_leaves_no_process_behind(small_space: Path) -> None:
    command = [sys.executable, TUNE_MAIN, "--space", small_space, "--dry-run"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        dry_run = psutil.Process(process.pid)
        measuring = wait_for(
            lambda: [one for one in dry_run.children(recursive=True) if "spawn_main" in " ".join(one.cmdline())]
        )
        assert measuring
        process.kill()
    gone, alive = psutil.wait_procs(measuring, timeout=30)
    assert len(gone) == len(measuring)
    assert not alive
