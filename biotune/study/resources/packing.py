"""What a trial gets, with `--gpus-per-trial auto` too: how many trials share a GPU is measured before the first one.

One population leaves most of a GPU idle. First a confirm block takes as many replicates as there are, since more of
them cost hardly any time; then trials are put beside each other as long as that trains more networks per second. What a
trial takes to begin counts: its networks are drawn on the CPU, often for longer than a GPU needs to train them, and the
GPU can train other trials meanwhile.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import psutil
import ray
import torch
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from biotune.errors import UserError
from biotune.study.cluster.connect import nodes, reason_of
from biotune.study.definition.study import Study
from biotune.study.plans.plans import Plans
from biotune.study.resources.fit import Resources, fit_engines, fit_resources
from biotune.study.worker.engines import why_not_shared
from biotune.study.worker.verification import neurons_of
from biotune.training import Trial, TrialPlan, draw_topology, free_memory

COUNTS = (1, 2, 4, 8, 16)
"""Numbers of trials per GPU that are tried."""
WORTH = 1.1
"""Twice as many trials must train networks at least so many times as fast; otherwise they only wait for each other."""
ROOM = 0.9
"""The share of a GPU's memory that may be used."""
SECONDS = 2.0
"""How long each number of trials is timed."""


@dataclass(frozen=True)
class Packing:
    """What was measured, and what follows.

    Attributes:
        population: replicates per confirm block.
        trials: at once per GPU.
        rates: number of trials at once -> epochs of one network per second, by what whole trials take.
        trial, block, total: bytes in use with one trial, with one confirm block, and bytes the GPU has.
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
            f"trials that share a GPU: {self.trials} (epochs of one network per second: {rates}); replicates per "
            f"confirm block: {self.population}; GiB of a trial, of a block, of the GPU: {', '.join(gib)}"
        )


class Probe:
    """Trains a trial to see how fast it goes and how much memory it takes; runs as a Ray actor."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.trial: Trial | None = None

    def begin(self, plan: TrialPlan) -> tuple[int, int]:
        """Begins a plan; returns the bytes then in use on its device, by all processes, and the bytes it has."""
        self.trial = None
        free_memory(plan.device)
        self.trial = Trial(plan)
        self.trial.run_epoch()  # chooses and compiles the kernels, and allocates what training needs
        if plan.device == "cuda":
            free, total = torch.cuda.mem_get_info()
            return total - free, total
        machine = psutil.virtual_memory()
        return machine.total - machine.available, machine.total

    def rate(self, seconds: float) -> float:
        """Epochs of one network per second of the plan from its beginning to its budget.

        It trains for so many seconds, for three epochs at least; the others are taken to last as long as the last half
        of those that it trained.
        """
        if self.trial is None:
            raise ValueError("there is no trial yet")
        plan, self.trial = self.trial.plan, None
        start = time.perf_counter()
        self.trial = Trial(plan)
        ends = [time.perf_counter() - start]
        while len(ends) <= min(3, plan.max_epochs) or (ends[-1] - ends[0] < seconds and len(ends) <= plan.max_epochs):
            self.trial.run_epoch()
            ends.append(time.perf_counter() - start)
        epochs = len(ends) - 1
        half = epochs // 2
        each = (ends[-1] - ends[half]) / (epochs - half)
        return plan.max_epochs * len(plan.replicates) / (ends[-1] + (plan.max_epochs - epochs) * each)


def share_out(
    plans: Plans,
    console: Console,
    *,
    cpus: int | None,
    gpus: float | Literal["auto"] | None,
    concurrency: int | None,
    dashboard: str | None,
    grows: bool,
    engine: bool = False,
) -> tuple[Resources, int]:
    """What a trial gets of the nodes that Ray has, and how many replicates a confirm block then takes.

    Args:
        plans: of the study.
        console: where a person sees what is measured.
        cpus, gpus, concurrency, dashboard, grows: as of `fit_resources`; with gpus "auto" as many trials share a GPU as
            train the most networks per second.
        engine: whether engines train the networks, one on each GPU, or one on the cores; `gpus` is then None.

    Raises:
        UserError: `engine` is asked for, but the networks can't share one; no node has what one trial asks for, or it
            cannot be measured.
    """

    def fit(share: float | None) -> Resources:
        return fit_resources(nodes(), cpus, share, concurrency, dashboard, grows)

    population = plans.study.config.confirm.population
    if engine:
        there = nodes()
        device = "cuda" if any(node.get("GPU") for node in there) else "cpu"
        if reason := _why_not_shared(plans, device):
            raise UserError(f"--engine: {reason}; leave it out")
        return fit_engines(there, cpus, concurrency, dashboard, grows), population
    if gpus != "auto":
        return fit(gpus), population
    resources = fit(None)
    if not resources.gpus:
        console.print("No GPU here: trials run on the cores.")
        return resources, population
    console.print("Measuring how many trials share a GPU …", style="dim")
    packing = pack(replace(plans, device=resources.device), resources.cpus)
    console.print(str(packing), soft_wrap=True)
    return fit(1 / packing.trials), packing.population


def _why_not_shared(plans: Plans, device: str) -> str | None:
    """Why networks of a study cannot share an engine; None if all can."""
    study = plans.study
    for condition in study.conditions:
        for arm in study.arms_under(condition):
            plan = plans.plan(arm, study.first_setting, "confirm", [0], condition)
            if reason := why_not_shared(neurons_of(plan), device, plan.dtype):
                return f"arm {arm}: {reason}"
    return None


def pack(plans: Plans, cpus: int) -> Packing:
    """Measures how many trials share a GPU: on the node with the most GPUs, with the arm with the most edges.

    Args:
        plans: of the study, for the device that it will run on.
        cpus: cores, and threads, per trial.

    Raises:
        UserError: not even one trial fits on a GPU, or it fails.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    gpus = sum(node["Resources"].get("GPU", 0) for node in alive)
    node = max(alive, key=lambda node: node["Resources"].get("GPU", 0))
    with_cores = int(node["Resources"]["CPU"] / node["Resources"]["GPU"] / cpus)
    counts = [count for count in COUNTS if count <= max(with_cores, 1)]
    make: Any = ray.remote(Probe).options(
        num_cpus=cpus,
        num_gpus=1 / counts[-1],  # Ray puts fractions on the fullest GPU that has room, so all on one
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
    """Sizes that a confirm block may have, the best first: as large as possible, so long as each GPU gets a block.

    If the study's YAML gives a population, that is the only one.
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
    """The largest number of trials at once that was reached by doublings that were each worth it."""
    trials = 1
    while rates.get(2 * trials, 0.0) >= WORTH * rates[trials]:
        trials *= 2
    return trials


def _begin(probes: list[Any], plan: TrialPlan) -> tuple[float, int]:
    """Has all probes begin a plan; the bytes then in use on the GPU, infinity if they do not fit, and its own."""
    try:
        return max(ray.get([probe.begin.remote(plan) for probe in probes]))
    except RayTaskError as error:
        if isinstance(error.cause, torch.OutOfMemoryError):
            return math.inf, 0
        raise
