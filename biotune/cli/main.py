"""The command line: `biotune run`, which is also `python tune_main.py`, `biotune report`, and what the packages add."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import biotune.cli.connectome
import biotune.cli.import_
import biotune.cli.monitor
import biotune.cli.null
import biotune.cli.task
from biotune.cli.connectome import _measure
from biotune.cli.report import _report
from biotune.cli.run import _RUN_EXAMPLES, _add_run_arguments
from biotune.errors import UserError

if TYPE_CHECKING:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """`biotune`: runs a command and returns its exit code: 0; 2 for what the user can mend; 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="biotune", description="Does the wiring of a brain make a recurrent network learn faster?"
    )
    parser.add_argument("--version", action="version", version=f"biotune {version('biotune')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a study: search, confirm, report",
        epilog=_RUN_EXAMPLES.replace("python tune_main.py", "biotune run"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_run_arguments(run)
    report = commands.add_parser("report", help="make the report of a results directory again, or one of several")
    report.add_argument(
        "directories",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="a results directory, finished or not; several are set side by side on one page, and are only read",
    )
    report.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="for the page of several; default: combined-report in the folder that they lie in",
    )
    report.set_defaults(command=_report)
    biotune.cli.import_.add_commands(commands)
    biotune.cli.monitor.add_commands(commands)
    biotune.cli.connectome.add_commands(commands, _measure)
    biotune.cli.task.add_commands(commands)
    biotune.cli.null.add_commands(commands)
    return _execute(parser.parse_args(arguments))


def tune_main(arguments: Sequence[str] | None = None) -> int:
    """`python tune_main.py`: the same as `biotune run`."""
    parser = argparse.ArgumentParser(
        prog="tune_main.py",
        description="Run a study: search, confirm, report.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_run_arguments(parser)
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
