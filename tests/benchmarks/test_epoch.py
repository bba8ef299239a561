import json
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_prints_each_ways_ratio_to_the_peer(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.epoch", "--rounds", "1", "--json", str(tmp_path / "bench.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "masked nn.RNN" in done.stdout
    taken = json.loads((tmp_path / "bench.json").read_text())["an epoch of one replicate, ms, 1 thread"]
    assert {"masked nn.RNN", "dense", "torch_csr", "auto"} <= set(taken)
    assert min(taken.values()) > 0
