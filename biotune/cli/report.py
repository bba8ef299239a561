"""`biotune report`: makes the report of a results directory again, or one report of several studies."""

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from biotune.cli.arguments import count, path
from biotune.errors import UserError


def add_commands(commands: Any) -> None:
    """Adds `report`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser("report", help="make the report of a results directory again, or one of several")
    command.add_argument(
        "directories",
        type=path,
        nargs="+",
        metavar="DIR",
        help="a results directory, finished or not; several are compared on one page, and are only read",
    )
    command.add_argument(
        "--output",
        type=path,
        metavar="FOLDER",
        help="for the page of several; default: combined-report in the folder that contains them",
    )
    command.add_argument(
        "--look",
        type=count,
        metavar="N",
        help="the report of an earlier planned look, at so many pairs, in report-look-N/; default: the last",
    )
    command.set_defaults(command=_report)


def _report(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.report import make_combined_report, make_report, print_combined, print_report

    first, *others = arguments.directories
    if others:
        if arguments.look is not None:
            raise UserError("--look: several studies are compared at the last look of each; leave it out")
        parents = [directory.resolve().parent for directory in arguments.directories]
        output = arguments.output or Path(os.path.commonpath(parents)) / "combined-report"
        print_combined(make_combined_report(arguments.directories, output), console)
        return 0
    if arguments.output is not None:
        raise UserError("--output: the report of one directory goes into that directory; leave it out")
    print_report(make_report(first, arguments.look), console)
    return 0
