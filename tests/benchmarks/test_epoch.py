"""python -m benchmarks.epoch: what it prints and writes, and that every way trains as many epochs as are timed."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import epoch
from benchmarks.epoch import MaskedDense
from biotune.tasks import Trials
from biotune.training import Trial


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many epochs each network or population was trained for, by its id."""
    counted: Counter[int] = Counter()
    alive = []  # so that no id is given twice

    def count(run_epoch: Callable[[object], None]) -> Callable[[object], None]:
        def counting(self: object) -> None:
            counted[id(self)] += 1
            alive.append(self)
            run_epoch(self)

        return counting

    for way in (Trial, MaskedDense):
        monkeypatch.setattr(way, "run_epoch", count(way.run_epoch))  # type: ignore[arg-type]
    return counted


@pytest.mark.slow
def test_the_benchmark_prints_each_ways_ratio_to_the_peer(
    tmp_path: Path, epochs: Counter[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(epoch, "keep_freed_memory", lambda: None)  # a setting of the whole process
    monkeypatch.setattr(sys, "argv", ["epoch", "--rounds", "1", "--json", str(tmp_path / "bench.json")])
    threads = torch.get_num_threads()
    try:
        epoch.main()
    finally:
        torch.set_num_threads(threads)
    taken = json.loads((tmp_path / "bench.json").read_text())["an epoch of one replicate, ms, 1 thread"]
    assert {"masked nn.RNN", "dense", "torch_csr", "auto"} <= set(taken)
    assert list(epochs.values()) == [2 * epoch.TURN] * len(taken)  # the first turn warms up
    printed = capsys.readouterr().out
    for way, milliseconds in taken.items():
        assert milliseconds > 0
        [row] = [line for line in printed.splitlines() if line.startswith(f"│ {way} ")]
        assert row.split("│")[-2].strip() == f"{milliseconds / taken['masked nn.RNN']:.2f}"


def test_the_peer_learns_with_absent_connections_at_zero() -> None:
    trial = Trial(epoch.plan("reference", 1))
    data = trial.task.trials(500, np.random.default_rng(1))
    parts = [Trials(data.inputs[part], data.targets[part]) for part in (slice(400), slice(400, 500))]
    peer = MaskedDense(trial.topologies[0], *parts, learning_rate=1e-3)

    def loss() -> float:
        with torch.no_grad():
            return float(sum(peer._loss(*batch) for batch in peer.validation))

    before, weights = loss(), peer.recurrent.detach().clone()
    peer.run_epoch()
    assert loss() < before
    changed = peer.recurrent.detach() != weights
    assert not changed[peer.absent].any()
    assert (peer.recurrent[peer.absent] == 0).all()
    assert changed.sum() > 0.9 * (weights.numel() - len(peer.absent[0]))
