"""How many trials share a GPU: measured before the first one, where `--gpus-per-trial auto` asks for it.

One population leaves most of a GPU idle. First a confirm block takes as many replicates as there are, which are nearly
free; then trials are put beside each other as long as more networks are trained for it.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import ray
import torch
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from biotune.errors import UserError
from biotune.study.cluster.connect import reason_of
from biotune.study.definition.study import Study
from biotune.study.plans.plans import Plans
from biotune.training import Trial, TrialPlan, draw_topology, free_memory

COUNTS = (1, 2, 4, 8)
"""Trials on a GPU that are tried."""
WORTH = 1.1
"""Twice as many trials must train so many times as many networks, or they only wait for each other."""
ROOM = 0.9
"""The share of the memory that may be used."""
SECONDS = 2.0
"""Each number of trials is timed for."""


@dataclass(frozen=True)
class Packing:
    """What was measured, and what follows.

    Attributes:
        population: replicates of a confirm block.
        trials: on one GPU at once.
        rates: epochs of one network a second, by the number of trials at once.
        trial, block, total: bytes in use with one trial, with one confirm block, and bytes there are.
    """

    population: int
    trials: int
    rates: Mapping[int, float]
    trial: int
    block: int
    total: int

    def __str__(self) -> str:
        rates = ", ".join(f"{rate:.0f} with {count}" for count, rate in self.rates.items())
        gib = [f"{size / 2**30:.1f}" for size in (self.trial, self.block, self.total)]
        return (
            f"trials that share a GPU: {self.trials} (epochs of a network a second: {rates}); replicates of a confirm "
            f"block: {self.population}; GiB of a trial, of a block, of the GPU: {', '.join(gib)}"
        )


class Probe:
    """A trial, trained to see how fast it goes and what it takes; made into a Ray actor."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.trial: Trial | None = None

    def begin(self, plan: TrialPlan) -> tuple[int, int]:
        """Takes a plan up; bytes that are then in use on its device, by whomever, and bytes there are."""
        self.trial = None
        free_memory(plan.device)
        self.trial = Trial(plan)
        self.trial.run_epoch()  # compiles the kernels, and takes the memory that training takes
        if plan.device == "cuda":
            free, total = torch.cuda.mem_get_info()
            return total - free, total
        machine = psutil.virtual_memory()
        return machine.total - machine.available, machine.total

    def rate(self, seconds: float) -> float:
        """Epochs of one network a second, over so many seconds."""
        if self.trial is None:
            raise ValueError("there is no trial yet")
        start, epochs, passed = time.perf_counter(), 0, 0.0
        while passed < seconds:
            self.trial.run_epoch()
            epochs += 1
            passed = time.perf_counter() - start
        return epochs * len(self.trial.plan.replicates) / passed


def pack(plans: Plans, cpus: int) -> Packing:
    """Measures, on the node with the most GPUs, the arm with the most edges.

    Args:
        plans: of the study, for the device that it will run on.
        cpus: cores, and threads, of a trial.

    Raises:
        UserError: not even one trial fits on a GPU, or it fails.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    gpus = sum(node["Resources"].get("GPU", 0) for node in nodes)
    node = max(nodes, key=lambda node: node["Resources"].get("GPU", 0))
    with_cores = int(node["Resources"]["CPU"] / node["Resources"]["GPU"] / cpus)
    counts = [count for count in COUNTS if count <= max(with_cores, 1)]
    make: Any = ray.remote(Probe).options(
        num_cpus=cpus,
        num_gpus=1 / counts[-1],  # Ray puts shares on the fullest GPU that has room, so all on one
        scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
    )
    setting = plans.study.first_setting
    arm = max(plans.study.arms, key=lambda arm: draw_topology(plans.plan(arm, setting, "search", [0]), 0).edges)
    rates: dict[int, float] = {}
    probes: list[Any] = [make.remote(cpus)]
    try:
        for population in populations(plans.study, gpus):
            block, total = _begin(probes, plans.plan(arm, setting, "confirm", range(population)))
            if block <= ROOM * total:
                break
        else:
            raise UserError(f"arm {arm}: a confirm block of {population} replicates does not fit on a GPU")
        for count in counts:
            probes += [make.remote(cpus) for _ in range(count - len(probes))]
            used, total = _begin(probes, plans.search(arm, setting))
            if max(used, count * block) > ROOM * total:
                break
            if count == 1:
                trial = used
            rates[count] = sum(ray.get([probe.rate.remote(SECONDS) for probe in probes]))
            if worthwhile(rates) < count:
                break
    except RayError as error:
        raise UserError(f"arm {arm}: what a GPU holds could not be measured: {reason_of(error)}") from error
    finally:
        for probe in probes:
            ray.kill(probe)
    if not rates:
        raise UserError(f"arm {arm}: not one trial fits on a GPU")
    return Packing(population, worthwhile(rates), rates, int(trial), int(block), total)


def populations(study: Study, gpus: float) -> list[int]:
    """Sizes that a confirm block may have, the best first: as large as may be, as long as each GPU gets one.

    What the study's YAML says itself is kept.
    """
    confirm = study.config.confirm
    if "population" in confirm.model_fields_set:
        return [confirm.population]
    sizes, size = [], confirm.replicates
    while size > 1 and len(study.arms) * math.ceil(confirm.replicates / size) < gpus:
        size = math.ceil(size / 2)
    while size > 1:
        sizes.append(size)
        size = math.ceil(size / 2)
    return [*sizes, 1]


def worthwhile(rates: Mapping[int, float]) -> int:
    """The number of trials at once up to which each doubling was worth it."""
    trials = 1
    while rates.get(2 * trials, 0.0) >= WORTH * rates[trials]:
        trials *= 2
    return trials


def _begin(probes: list[Any], plan: TrialPlan) -> tuple[float, int]:
    """Has all probes begin a plan; bytes then in use on the GPU, infinitely many where they do not fit, and its own."""
    try:
        return max(ray.get([probe.begin.remote(plan) for probe in probes]))
    except RayTaskError as error:
        if isinstance(error.cause, torch.OutOfMemoryError):
            return math.inf, 0
        raise
