"""Working-memory tasks, one file per task, all with the interface of `Task`.

>>> import numpy as np
>>> from biotune.tasks import make_task
>>> task = make_task("seq_mem", pattern_length=3)
>>> trials = task.trials(100, np.random.default_rng(1))
>>> trials.inputs.shape, trials.targets.shape
((100, 7, 2), (100, 3, 1))
"""

import hashlib
from dataclasses import fields
from typing import Any

from biotune.errors import unknown_name
from biotune.tasks.nback_mem import NBackMem
from biotune.tasks.own import absolute, check, is_own, load_own, source_digest
from biotune.tasks.pic_latent_mem import PicLatentMem
from biotune.tasks.pic_mem import PicMem
from biotune.tasks.seq_mem import SeqMem
from biotune.tasks.task import Task, Trials

TASKS: dict[str, type[Task]] = {task.name: task for task in (SeqMem, NBackMem, PicMem, PicLatentMem)}
"""Name -> class."""


def full_name(name: str) -> str:
    """The name of a task that any process understands: a user's own task gets the absolute path of its file.

    Raises:
        UserError: the task isn't known, or there is no such file.
    """
    if is_own(name):
        return absolute(name)
    if name not in TASKS:
        raise unknown_name("task", name, [*TASKS, "file.py:Class"])
    return name


def make_task(name: str, **options: Any) -> Task:
    """A task by its name.

    Args:
        name: one of `TASKS`, or a user's own: `file.py:Class` or `module:Class`.
        options: the task's options, e.g. `pattern_length`.

    Raises:
        UserError: the name or an option isn't known, an option has a wrong value, or a user's own task doesn't draw the
            trials that it promises.
    """
    name = full_name(name)
    kind = load_own(name) if is_own(name) else TASKS[name]
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every task is a dataclass
    for option in options:
        if option not in known:
            raise unknown_name(f"option of task {kind.name}", option, known)
    task = kind(**options)
    if is_own(name):
        check(task)
    return task


def task_digest(name: str, **options: Any) -> str | None:
    """SHA-256 of what trials depend on apart from options and seed: the task's data and, of a user's own task, its
    file.

    Arguments and errors as of `make_task`; None if trials depend on nothing else.
    """
    parts = [part for part in (source_digest(name), make_task(name, **options).digest()) if part is not None]
    return hashlib.sha256("".join(parts).encode()).hexdigest() if parts else None


__all__ = [
    "TASKS",
    "NBackMem",
    "PicLatentMem",
    "PicMem",
    "SeqMem",
    "Task",
    "Trials",
    "full_name",
    "is_own",
    "make_task",
    "task_digest",
]
