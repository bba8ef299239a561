"""How long an epoch takes compared with how it is usually written, and what a whole study costs.

    python -m benchmarks.epoch            an epoch
    python -m benchmarks.epoch --study    and the whole of search_spaces/seq_mem.yaml

The peer of an epoch is a masked dense `torch.nn.RNN`: a DataLoader looks each trial up by its id, and after every
backward pass the gradient of each absent connection is set to zero by index. Both train seq_mem, pattern length 3, on
marmoset × 4 (220 neurons), 400 trials in batches of 128, then validate on 100, on one thread. They take turns of a few
epochs each. So, as in a study, an epoch finds the processor's caches as the epoch before it left them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from biotune.connectome import load_connectome
from biotune.machine import machine
from biotune.network import NetworkOptions
from biotune.results import Results
from biotune.tasks import Trials
from biotune.topology import Topology
from biotune.training import Trial, TrialPlan, keep_freed_memory
from biotune_kernels import available_backends
from biotune_kernels.backends import DEFINITION

POPULATION = 4
TURN = 5  # epochs


class MaskedDense:
    """The peer: one network with a dense recurrent matrix, whose absent connections are kept at zero."""

    def __init__(self, topology: Topology, training: Trials, validation: Trials, learning_rate: float) -> None:
        self.rnn = nn.RNN(training.inputs.shape[2], topology.size, batch_first=True)
        self.readout = nn.Linear(topology.size, 1)
        present = torch.zeros(topology.size, topology.size, dtype=torch.bool)
        present[torch.from_numpy(topology.target), torch.from_numpy(topology.source)] = True
        self.absent = torch.nonzero(~present, as_tuple=True)
        self.recurrent = dict(self.rnn.named_parameters())["weight_hh_l0"]
        with torch.no_grad():
            self.recurrent[self.absent] = 0
        self.steps = training.targets.shape[1]
        self.optimizer = torch.optim.Adam([*self.rnn.parameters(), *self.readout.parameters()], lr=learning_rate)
        self.training = DataLoader(_ById(training), batch_size=128, shuffle=True)
        self.validation = DataLoader(_ById(validation), batch_size=128)

    def run_epoch(self) -> None:
        for inputs, targets in self.training:
            self.optimizer.zero_grad()
            self._loss(inputs, targets).backward()
            self.recurrent.grad[self.absent] = 0  # type: ignore[index]
            self.optimizer.step()
        with torch.no_grad():
            for inputs, targets in self.validation:
                self._loss(inputs, targets)

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        hidden, _ = self.rnn(inputs)
        return nn.functional.mse_loss(self.readout(hidden[:, -self.steps :]), targets)


class _ById(Dataset):
    """Trials kept by id, each looked up when it is asked for."""

    def __init__(self, trials: Trials) -> None:
        self.inputs = {number: torch.from_numpy(trial) for number, trial in enumerate(trials.inputs)}
        self.targets = {number: torch.from_numpy(trial) for number, trial in enumerate(trials.targets)}

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.inputs[number], self.targets[number]


def plan(backend: str, replicates: int) -> TrialPlan:
    """seq_mem, L = 3, on marmoset × 4."""
    return TrialPlan(
        task={"name": "seq_mem", "pattern_length": 3},
        trials=500,
        train_share=0.8,
        batch=128,
        connectome=load_connectome("marmoset", otherwise="distance_rule"),
        topology={"neurons_per_region": 4, "target_sparsity": 0.8},
        null=None,
        network=NetworkOptions(),
        seed=1,
        phase="search",
        replicates=tuple(range(replicates)),
        max_epochs=100,
        level=1 / 120,
        sustain=3,
        backend=backend,
    )


def measure(rounds: int) -> dict[str, float]:
    """Way -> median milliseconds per epoch and replicate."""
    torch.set_num_threads(1)
    keep_freed_memory()  # for the peer as well
    names = [name for name, reason in available_backends("cpu").items() if reason is None and name != DEFINITION]
    one = Trial(plan(DEFINITION, 1))
    data = one.task.trials(500, np.random.default_rng(1))
    peer = MaskedDense(
        one.topologies[0],
        Trials(data.inputs[:400], data.targets[:400]),
        Trials(data.inputs[400:], data.targets[400:]),
        learning_rate=1e-3,
    )
    ways: dict[str, tuple[Callable[[], None], int]] = {"masked nn.RNN": (peer.run_epoch, 1)}
    for name in [*names, "auto"]:
        ways[name] = (Trial(plan(name, 1)).run_epoch, 1)
        ways[f"{name}, {POPULATION} replicates together"] = (Trial(plan(name, POPULATION)).run_epoch, POPULATION)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, (run_epoch, replicates) in ways.items():
            start = time.perf_counter()
            for _ in range(TURN):
                run_epoch()
            if number > 0:  # the first warms up
                times[way].append(1000 * (time.perf_counter() - start) / TURN / replicates)
    return {way: statistics.median(taken) for way, taken in times.items()}


def measure_study(space: Path) -> dict[str, float]:
    """Runs a study by its command: seconds in all and until it searches, Ray's seconds per trial, peak memory.

    Ray's cost is the wall time of the search times the trials that run at once, minus the time that trials spent on
    setting up and training. Time in which the last trials leave places empty counts as cost too. Memory is the
    proportional set size (PSS), summed over the whole tree of processes twice per second.
    """
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "tune_main.py", "--space", str(space), "--output", output]
        start, searching, peak = time.monotonic(), 0.0, 0
        with subprocess.Popen(command) as process:
            while process.poll() is None:
                if not searching and list(Path(output).glob("*/journal.jsonl")):
                    searching = time.monotonic() - start
                peak = max(peak, _memory(process.pid))
                time.sleep(0.5)
            if process.returncode:
                raise SystemExit(process.returncode)
        whole = time.monotonic() - start
        [directory] = Path(output).iterdir()
        results = Results.open(directory)
        trials, state = results.read_table("trials"), results.read_state()
    places = state.concurrency
    return {
        "the whole command, s": whole,
        "until the first trial, s": searching,
        "search, s": state.seconds["search"],
        "confirm, s": state.seconds["confirm"],
        "Ray, s per trial": (state.seconds["search"] * places - trials["seconds"].sum()) / len(trials),
        "peak memory, GiB": peak / 2**30,
    }


def _memory(process: int) -> int:
    total = 0
    for one in [psutil.Process(process), *psutil.Process(process).children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.NoSuchProcess:  # it ended between the two calls
            continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help=f"turns of {TURN} epochs that are timed, for each way")
    parser.add_argument("--study", action="store_true", help="run the whole of search_spaces/seq_mem.yaml too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    taken = measure(arguments.rounds)
    peer = taken["masked nn.RNN"]
    table = Table(title=f"{machine()}, 1 thread")
    for column in ("an epoch of one replicate", "ms", "of the peer's time"):
        table.add_column(column, justify="left" if column.startswith("an") else "right")
    for way, milliseconds in taken.items():
        table.add_row(way, f"{milliseconds:.1f}", f"{milliseconds / peer:.2f}")
    Console().print(table)
    study = measure_study(Path("search_spaces/seq_mem.yaml")) if arguments.study else {}
    if study:
        costs = Table("python tune_main.py --space search_spaces/seq_mem.yaml", "")
        for name, value in study.items():
            costs.add_row(name, f"{value:.2f}")
        Console().print(costs)
    if arguments.json:
        content = {"machine": machine(), "an epoch of one replicate, ms, 1 thread": taken, "study": study}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
