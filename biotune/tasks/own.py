"""A user's own task: a class in a file outside the package, named as `tasks/mine.py:MyTask`, or in a module.

A study records the file's absolute path, so that every process finds it, whatever folder it was started in.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from biotune.errors import UserError, unknown_name
from biotune.tasks.task import Task

HOW = "name a task of your own as file.py:Class or module:Class"


def is_own(name: str) -> bool:
    """Whether a name is that of a user's own task, rather than of a built-in one."""
    return ":" in name


def absolute(name: str) -> str:
    """The name of a user's own task with its file's path made absolute; that of one in a module as it is.

    Raises:
        UserError: there is no such file.
    """
    place, _, class_name = name.rpartition(":")
    if not place.endswith(".py"):
        return name
    file = Path(place).expanduser().resolve()
    if not file.is_file():
        raise UserError(f"task {name}: no such file {file}; {HOW}")
    return f"{file}:{class_name}"


def load_own(name: str) -> type[Task]:
    """The class of a user's own task; the file or module is run, once per process.

    Args:
        name: `file.py:Class` or `module:Class`; a module must be one that can be imported on every machine of a study.

    Raises:
        UserError: there is no such file, module or class, running it fails, or the class isn't a task.
    """
    place, _, class_name = absolute(name).rpartition(":")
    module = _run_file(Path(place)) if place.endswith(".py") else _import(place)
    if not hasattr(module, class_name):
        tasks = [key for key, value in vars(module).items() if _is_task(value) and value.__module__ == module.__name__]
        raise unknown_name(f"class of {place}:", class_name, tasks)
    found = getattr(module, class_name)
    if not _is_task(found):
        raise UserError(f"task {name}: {class_name} isn't a subclass of biotune.tasks.Task")
    lacks = [*sorted(found.__abstractmethods__), *(key for key in ("name", "loss") if not hasattr(found, key))]
    if lacks:
        raise UserError(
            f"task {name}: {class_name} lacks {', '.join(lacks)}; a task needs all that biotune.tasks.Task asks for"
        )
    if "__dataclass_fields__" not in vars(found):
        raise UserError(f"task {name}: {class_name} isn't a dataclass; write @dataclass(frozen=True) above it")
    return found


def source_digest(name: str) -> str | None:
    """SHA-256 of the file that a user's own task is in; None of a built-in task."""
    if not is_own(name):
        return None
    file = inspect.getsourcefile(load_own(name))
    return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


def check(task: Task) -> None:
    """Draws a few trials and checks that they are as the task declares.

    Raises:
        UserError: a shape, type or class number is wrong, a value isn't finite, or the same seed gives other trials.
    """
    if task.loss not in ("mse", "nll"):
        raise UserError(f"task {task.name}: loss is {task.loss!r}; mse or nll is needed")
    if not task.null_loss > 0:
        raise UserError(f"task {task.name}: null_loss is {task.null_loss!r}; a number above 0 is needed")
    count = 4
    first, again = (task.trials(count, np.random.default_rng(1)) for _ in range(2))
    steps = len(np.arange(task.time)[task.scored])
    if not steps:
        raise UserError(f"task {task.name}: scored is {task.scored}, which is none of its {task.time} steps")
    regression = task.loss == "mse"
    wanted = {
        "inputs": ((count, task.time, task.input_size), np.float32),
        "targets": ((count, steps, task.output_size), np.float32) if regression else ((count, steps), np.int64),
    }
    for part, (shape, dtype) in wanted.items():
        found = getattr(first, part)
        if found.shape != shape or found.dtype != dtype:
            raise UserError(
                f"task {task.name}: {part} of {count} trials are {found.dtype} {list(found.shape)}; "
                f"{np.dtype(dtype)} {list(shape)} is needed"
            )
        if not np.isfinite(found).all():
            raise UserError(f"task {task.name}: {part} are not all finite")
        if not np.array_equal(found, getattr(again, part)):
            raise UserError(f"task {task.name}: the same generator gave other {part}; draw from the one that is given")
    if not regression and not (first.targets.min() >= 0 and first.targets.max() < task.output_size):
        raise UserError(
            f"task {task.name}: targets are {first.targets.min()} to {first.targets.max()}; "
            f"classes from 0 to {task.output_size - 1} are needed"
        )


def _is_task(found: object) -> bool:
    return inspect.isclass(found) and issubclass(found, Task)


def _run_file(file: Path) -> ModuleType:
    name = f"biotune_own_task_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file}: not a Python file; {HOW}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module by its name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{file}: running it failed: {type(error).__name__}: {error}") from error
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(f"task {name}: {error}; {HOW}") from None
    except Exception as error:
        raise UserError(f"module {name}: importing it failed: {type(error).__name__}: {error}") from error
