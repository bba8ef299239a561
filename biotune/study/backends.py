"""Which kernels a study runs on: measured where its trials will run, and looked for there when it is resumed."""

from collections.abc import Callable
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from biotune.errors import UserError
from biotune.study.cluster import Resources, reason_of
from biotune.study.plans import Plans
from biotune.study.retries import MAX_RETRIES
from biotune.training import Trial, TrialPlan
from kernels import backends, choose_backend


def choose_backends(plans: Plans, resources: Resources) -> tuple[dict[str, dict[str, str]], str]:
    """The kernel backend of each phase and arm, measured where a trial would run, once for a shape.

    And how exactly float32 matrices are multiplied there, in PyTorch's words ("highest": no TF32).

    Raises:
        UserError: a worker could not begin.
    """
    study = plans.study
    config = study.config
    setting = {key: domain.ends[0] for key, domain in config.tune.items()}
    populations = {
        "search": range(config.search.replicates),
        "confirm": range(min(config.confirm.population, config.confirm.replicates)),
    }
    asked = [
        (phase, arm, plans.plan(arm, setting, phase, replicates))
        for phase, replicates in populations.items()
        for arm in study.arms
    ]
    # in one task, one after another: measurements must not disturb each other
    names, precision = _on_a_worker(resources, _choose, [(arm, plan) for _, arm, plan in asked], resources.cpus)
    chosen: dict[str, dict[str, str]] = {phase: {} for phase in populations}
    for (phase, arm, _), name in zip(asked, names, strict=True):
        chosen[phase][arm] = name
    return chosen, precision


def unusable_backends(names: set[str], resources: Resources) -> dict[str, str]:
    """Of these backends those that cannot be used where a trial would run, and why.

    Raises:
        UserError: a worker could not begin.
    """
    return _on_a_worker(resources, _unusable, names)


def _on_a_worker(resources: Resources, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function where a trial would run; the worker ends with it, and gives its memory back."""
    # without retries of Ray's own: what was killed for want of memory it would try again for ever
    task = ray.remote(max_calls=1, max_retries=0)(function)
    placed = task.options(num_cpus=resources.cpus, num_gpus=resources.gpus)
    died: RayError | None = None
    for _ in range(MAX_RETRIES + 1):
        try:
            return ray.get(placed.remote(*arguments))
        except RayTaskError as error:
            raise UserError(f"a worker could not begin: {reason_of(error)}") from error
        except RayError as error:
            died = error
    assert died is not None
    raise UserError(f"a worker could not begin: {reason_of(died)}") from died


def _choose(plans: list[tuple[str, TrialPlan]], threads: int) -> tuple[list[str], str]:
    torch.set_num_threads(threads)
    names = []
    for arm, plan in plans:
        try:
            trial = Trial(plan)
        except (UserError, ValueError) as error:
            raise UserError(f"arm {arm}: {error}") from error
        pattern, task = trial.loop.population.pattern, trial.task
        names.append(
            choose_backend(pattern, plan.batch, task.time, task.input_size, plan.network.nonlinearity, plan.dtype)
        )
    return names, torch.get_float32_matmul_precision()


def _unusable(names: set[str]) -> dict[str, str]:
    usable = backends()
    return {name: usable[name] or "" for name in sorted(names) if usable.get(name, "unknown") is not None}
