"""Working-memory tasks, one file each, with one face.

>>> import numpy as np
>>> from biotune.tasks import make_task
>>> task = make_task("seq_mem", pattern_length=3)
>>> trials = task.trials(100, np.random.default_rng(1))
>>> trials.inputs.shape, trials.targets.shape
((100, 7, 2), (100, 3, 1))
"""

from dataclasses import fields
from typing import Any

from biotune.suggest import unknown_name
from biotune.tasks.seq_mem import SeqMem
from biotune.tasks.task import Task, Trials

TASKS: dict[str, type[Task]] = {task.name: task for task in (SeqMem,)}
"""Name -> class."""


def make_task(name: str, **options: Any) -> Task:
    """A task by its name.

    Args:
        name: one of `TASKS`.
        options: the task's own, e.g. `pattern_length`.

    Raises:
        UserError: the name or an option isn't known, or an option's value won't do.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    known = [field.name for field in fields(TASKS[name])]  # type: ignore[arg-type]  # every task is a dataclass
    for option in options:
        if option not in known:
            raise unknown_name(f"option of task {name}", option, known)
    return TASKS[name](**options)


__all__ = ["TASKS", "SeqMem", "Task", "Trials", "make_task"]
