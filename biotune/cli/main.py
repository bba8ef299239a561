"""`biotune` and `python tune_main.py`: their arguments, exit codes and error messages."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from rich.console import Console

from biotune.cli import connectome, import_, monitor, null, report, run, task, validate
from biotune.errors import UserError

COMMANDS = (run, report, import_, monitor, validate, connectome, task, null)
"""One file each, in the order of `biotune --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """`biotune`: runs a command; returns its exit code: 0, 2 for an error that the user can correct, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="biotune", description="Does the wiring of a brain make a recurrent network learn faster?"
    )
    parser.add_argument("--version", action="version", version=f"biotune {version('biotune')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_commands(commands)
    return _execute(parser.parse_args(arguments))


def tune_main(arguments: Sequence[str] | None = None) -> int:
    """`python tune_main.py`: the same as `biotune run`."""
    parser = argparse.ArgumentParser(
        prog="tune_main.py",
        description="Run a study: search, confirm, report.",
        epilog=run.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_arguments(parser)
    return _execute(parser.parse_args(arguments))


def _execute(arguments: argparse.Namespace) -> int:
    console = Console()
    try:
        return arguments.command(arguments, console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
