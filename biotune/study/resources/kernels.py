"""Which kernels a study runs on: measured where its trials will run, and believed where they have been seen.

Once for every kind of node, the passes that training makes are set beside their definition
(`biotune_kernels.verification`), before the first trial and again where a study goes on. A node of another kind, that
joins later, looks itself when a trial begins there (`biotune.study.worker.verification`).
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch
from ray.exceptions import GetTimeoutError, RayError, RayTaskError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from biotune.errors import KernelError, UserError
from biotune.results import PHASES
from biotune.results.documents import SeenKernels
from biotune.study.cluster.connect import places, reason_of
from biotune.study.cluster.retries import MAX_RETRIES
from biotune.study.plans.plans import Plans
from biotune.study.resources.fit import Resources
from biotune.study.worker.verification import Asked, Look, look
from biotune_kernels.memory import describe_machine, versions

BUSY_SECONDS = 60.0
"""A kind of node that has no room for so long, and for three times as long as the first look took, is looked at when a
trial begins there."""


@dataclass(frozen=True)
class Kernels:
    """What a study runs on.

    Attributes:
        names: phase -> arm -> backend.
        precision: how exactly float32 matrices are multiplied, in PyTorch's words ("highest": no TF32).
        seen: how far they are from their definition on each kind of node, for `environment.json`.
        left_out: backend -> why "auto" does without it.
    """

    names: dict[str, dict[str, str]]
    precision: str
    seen: list[SeenKernels]
    left_out: dict[str, str]

    def __str__(self) -> str:
        names = ", ".join(sorted({name for arms in self.names.values() for name in arms.values()}))
        worst = max((value for entry in self.seen for value in entry.deviation.values()), default=0.0)
        return f"{names} (states and gradients within {worst:.1g} of their definition in float64)"


def added(seen: Iterable[SeenKernels], known: list[SeenKernels]) -> list[SeenKernels]:
    """Entries of `environment.json`, and those that say of another machine, other versions or passes what was seen."""

    def what(entry: SeenKernels) -> dict[str, Any]:
        return entry.model_dump(exclude={"deviation"})

    held = [what(entry) for entry in known]
    return known + [entry for entry in seen if what(entry) not in held]


def all_on(name: str, arms: Iterable[str]) -> dict[str, dict[str, str]]:
    """The same kernels for all phases and arms."""
    return {phase: dict.fromkeys(arms, name) for phase in PHASES}


def trust_kernels(plans: Plans, resources: Resources, again: bool = False) -> Kernels:
    """The kernels of each phase and arm: those that the plans name, or, for "auto", the fastest where trials will run.

    Args:
        plans: of the study. resources: of a trial.
        again: the study goes on. Where it begins, one worker makes all networks of a trial of each arm and phase, so
            that what can't be made is known at once; elsewhere the first one stands for all.

    Raises:
        KernelError: what is named cannot be used, or computes something else than it should.
        UserError: a worker could not begin.
    """
    study = plans.study
    config = study.config
    tuned = config.tune.get("nonlinearity")
    networks = {
        "search": config.search.replicates,
        "confirm": min(config.confirm.population, config.confirm.replicates),
    }

    def ask(made: int | None, backends: Mapping[str, Mapping[str, str]]) -> list[Asked]:
        """What is to run on these backends; of each, so many networks are made, None all."""
        asked = []
        for phase, count in networks.items():
            for arm in study.arms:
                plan = replace(plans, backends=backends).plan(arm, study.first_setting, phase, range(count)[:made])
                asked.append(Asked(phase, arm, plan, count, tuned.ends if tuned else [plan.network.nonlinearity]))
        return asked

    asked = ask(1 if again else None, plans.backends)
    named = {one.plan.backend for one in asked} != {"auto"}
    kinds = _kinds(resources)
    without: dict[str, str] = {}
    while True:
        # in one task, one after another: measurements must not disturb each other
        start = time.monotonic()
        here, first = _on_a_worker(resources, _look, asked, resources.cpus, list(without))
        patience = BUSY_SECONDS + 3 * (time.monotonic() - start)
        names: dict[str, dict[str, str]] = {phase: {} for phase in PHASES}
        for one, name in zip(asked, first.names, strict=True):
            names[one.phase][one.arm] = name
        looks: list[Look] = [first]
        for node in [nodes[0] for nodes in kinds if here not in nodes]:
            there = _on_a_worker(resources, _look, ask(1, names), resources.cpus, node=node, patience=patience)
            looks += [] if there is None else [there[1]]
        wrong = {name: reason for seen in looks for name, reason in seen.wrong.items()}
        if not wrong:
            return Kernels(names, first.precision, [entry for seen in looks for entry in seen.entries()], without)
        if named:
            raise KernelError("; ".join(wrong.values()))
        without |= wrong


def _look(asked: Sequence[Asked], threads: int, without: Collection[str] = ()) -> tuple[str, Look]:
    """The node's id, and what was seen there."""
    return ray.get_runtime_context().get_node_id(), look(asked, threads, without)


def _kinds(resources: Resources) -> list[list[str]]:
    """The nodes that a trial has room on, by their ids, those of one kind together."""
    fitting = [
        node for node in ray.nodes() if node["Alive"] and places(node["Resources"], resources.cpus, resources.gpus)
    ]
    if len(fitting) < 2:
        return [[node["NodeID"]] for node in fitting]
    machines = {}
    for node in fitting:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        machines[node["NodeID"]] = _machine.options(scheduling_strategy=there).remote()
    kinds: dict[str, list[str]] = {}
    for node in fitting:
        gpus = sorted(name for name in node["Resources"] if name.startswith("accelerator_type:"))
        try:
            kind = f"{ray.get(machines[node['NodeID']])} {gpus}"
        except RayError:  # it is gone
            continue
        kinds.setdefault(kind, []).append(node["NodeID"])
    return list(kinds.values())


@ray.remote(num_cpus=0, max_calls=1, max_retries=0)
def _machine() -> str:
    return f"{describe_machine(torch.device('cpu'))} {versions()}"


def _on_a_worker(
    resources: Resources,
    function: Callable[..., Any],
    *arguments: Any,
    node: str | None = None,
    patience: float | None = None,
) -> Any:
    """What a function gives where a trial would run; or on a node, None where it has no room for long, or is gone.

    The worker ends with it, and gives its memory back.
    """
    # without retries of Ray's own: what was killed for want of memory it would try again for ever
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_calls=1, max_retries=0)(function)
    if node is not None:
        task = task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
    died: RayError | None = None
    for _ in range(MAX_RETRIES + 1):
        result = task.remote(*arguments)
        try:
            return ray.get(result, timeout=patience)
        except RayTaskError as error:
            raise UserError(f"a worker could not begin: {reason_of(error)}") from error
        except GetTimeoutError:
            ray.cancel(result, force=True)
            return None
        except TaskUnschedulableError:
            return None
        except RayError as error:
            died = error
    assert died is not None
    raise UserError(f"a worker could not begin: {reason_of(died)}") from died
