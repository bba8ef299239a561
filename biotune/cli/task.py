"""`biotune task`: lists the tasks."""

import argparse
from dataclasses import fields
from typing import Any

from rich.console import Console


def add_commands(commands: Any) -> None:
    """Adds `task` and its subcommands.

    Args:
        commands: what `add_subparsers` returned.
    """
    task = commands.add_parser("task", help="list the tasks")
    verbs = task.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("list", help="every task, its options, and the score of its null predictor").set_defaults(
        command=_list
    )


def _list(_: argparse.Namespace, console: Console) -> int:
    from biotune.tasks import TASKS
    from biotune.tasks.pictures import PICTURES

    def say(text: str, **style: str) -> None:
        console.print(text, soft_wrap=True, **style)  # type: ignore[arg-type]

    for name, kind in TASKS.items():
        task = kind()
        options = [f"{field.name}: {getattr(task, field.name)}" for field in fields(kind)]  # type: ignore[arg-type]
        null = f"{'mean squared error' if task.loss == 'mse' else 'negative log-likelihood'} {task.null_loss:.4f}"
        if task.null_accuracy is not None:
            null += f", accuracy {task.null_accuracy:g}"
        say(name, style="bold")
        say(f"  {(kind.__doc__ or '').splitlines()[0]}")
        say(f"  options and their defaults: {', '.join(options)}")
        say(f"  the null predictor, which ignores its inputs: {null}")
    say("pictures", style="bold")
    for name, pictures in PICTURES.items():
        say(f"  {name}: {pictures.description}")
    say("A task of your own is given by its file: task: {name: tasks/mine.py:MyTask}; see docs/tasks.md")
    return 0
