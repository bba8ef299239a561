"""Which kernels a study runs on: timed on the nodes that trials will run on, and used only once verified there.

Before the first trial, and again when a study is resumed, the passes that training makes are compared with their
definition (`biotune_kernels.verification`) on one node of each kind. A node of another kind that joins later does so
itself when a trial begins there (`biotune.study.worker.verification`).
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
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
from biotune.study.definition.study import Study
from biotune.study.plans.plans import Plans
from biotune.study.resources.fit import Resources
from biotune.study.worker.verification import Asked, Look, look
from biotune_kernels.memory import describe_machine, versions

BUSY_SECONDS = 60.0
"""How long to wait for room on a kind of node, beyond three times as long as the first verification took; after that
its kernels are verified when the first trial begins there."""


@dataclass(frozen=True)
class Kernels:
    """What a study runs on.

    Attributes:
        names: phase -> arm -> backend.
        precision: of the product of float32 matrices, in PyTorch's words ("highest": no TF32).
        seen: how far they deviate from their definition on each kind of node, for `environment.json`.
        left_out: backend -> why "auto" does not use it.
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
    """The known entries of `environment.json`, and of those seen now the ones of other machines, versions or passes."""

    def what(entry: SeenKernels) -> dict[str, Any]:
        return entry.model_dump(exclude={"deviation"})

    held = [what(entry) for entry in known]
    return known + [entry for entry in seen if what(entry) not in held]


def all_on(name: str, arms: Iterable[str]) -> dict[str, dict[str, str]]:
    """The same backend for all phases and arms."""
    return {phase: dict.fromkeys(arms, name) for phase in PHASES}


def ask(plans: Plans, made: int | None, shared: bool = False) -> list[Asked]:
    """A trial of each phase and arm, `made` networks of it; None: all.

    Args:
        shared: whether an engine trains them.
    """
    study = plans.study
    tuned = study.config.tune.get("nonlinearity")
    conditions = [one.network["nonlinearity"] for one in study.conditions.values() if "nonlinearity" in one.network]
    asked = []
    for phase, count in population_sizes(study).items():
        for arm in study.arms:
            plan = plans.plan(arm, study.first_setting, phase, range(count)[:made])
            known = [*(tuned.ends if tuned else [plan.network.nonlinearity]), *conditions]
            asked.append(Asked(phase, arm, plan, count, list(dict.fromkeys(known)), shared))
    return asked


def population_sizes(study: Study) -> dict[str, int]:
    """Phase -> networks that are trained together."""
    return {"search": study.config.search.replicates, "confirm": len(study.blocks(study.config.confirm.replicates)[0])}


def backends_of(asked: Sequence[Asked], seen: Look) -> dict[str, dict[str, str]]:
    """Phase -> arm -> the backend that a look has found for it."""
    names: dict[str, dict[str, str]] = {phase: {} for phase in PHASES}
    for one, name in zip(asked, seen.names, strict=True):
        names[one.phase][one.arm] = name
    return names


def trust_kernels(plans: Plans, resources: Resources, again: bool = False) -> Kernels:
    """The kernels of each phase and arm, verified: those that the plans name, or for "auto" the fastest on the nodes.

    Args:
        plans: of the study. resources: of a trial.
        again: whether the study is resumed. When it begins, one worker makes all networks of a trial of each arm and
            phase, so that any that can't be made are known at once; otherwise the first network stands for all.

    Raises:
        KernelError: a backend that the plans name cannot be used, or computes wrong results.
        UserError: a worker could not begin.
    """
    shared, resources = bool(resources.engines), resources.of_training
    asked = ask(plans, 1 if again else None, shared)
    named = {one.plan.backend for one in asked} != {"auto"}
    kinds = _kinds(resources)
    without: dict[str, str] = {}
    while True:
        # one after another, in one task, so that measurements don't disturb each other
        start = time.monotonic()
        here, first = _on_a_worker(resources, _look, asked, resources.cpus, list(without))
        patience = BUSY_SECONDS + 3 * (time.monotonic() - start)
        names = backends_of(asked, first)
        looks: list[Look] = [first]
        elsewhere = ask(replace(plans, backends=names), 1, shared)
        for node in [nodes[0] for nodes in kinds if here not in nodes]:
            there = _on_a_worker(resources, _look, elsewhere, resources.cpus, node=node, patience=patience)
            looks += [] if there is None else [there[1]]
        wrong = {name: reason for seen in looks for name, reason in seen.wrong.items()}
        if not wrong:
            return Kernels(names, first.precision, [entry for seen in looks for entry in seen.entries()], without)
        if named:
            raise KernelError("; ".join(wrong.values()))
        without |= wrong


def _look(asked: Sequence[Asked], threads: int, without: Collection[str] = ()) -> tuple[str, Look]:
    """The id of the node that this runs on, and what was seen there."""
    return ray.get_runtime_context().get_node_id(), look(asked, threads, without)


def _kinds(resources: Resources) -> list[list[str]]:
    """The ids of the nodes that have room for a trial, grouped by kind of node."""
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
        except RayError:  # the node has gone
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
    """Runs a function where a trial would run, on a worker that ends with it and so gives its memory back.

    Args:
        resources: that it gets. function, arguments: what to run.
        node: the node to run it on; None: any.
        patience: seconds to wait for it; None: as long as it takes.

    Returns:
        What the function returns; None if the node stayed without room for so long, or has gone.
    """
    # no retries by Ray: it would start a worker that was killed because memory ran out again and again, for ever
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
