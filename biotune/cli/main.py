"""`biotune` and `python tune_main.py`: their arguments, exit codes and error messages."""

import argparse
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from rich.console import Console

from biotune.cli import connectome, extend, import_, monitor, new, null, report, run, task, validate
from biotune.cli.arguments import path
from biotune.errors import UserError, suggestion

COMMANDS = (new, run, extend, report, import_, monitor, validate, connectome, task, null)
"""One file each, in the order of `biotune --help`."""


class _Parser(argparse.ArgumentParser):
    """Mistakes in the arguments are errors like all others: one line, with the nearest name that there is."""

    def error(self, message: str) -> NoReturn:
        asked, known = "", list[str]()
        if unknown := re.match(r"unrecognized arguments: (-\S+)", message):
            asked, known = unknown[1], _options(self)
        elif choice := re.match(r"argument \S+: invalid choice: '(.*)' \(choose from (.*)\)", message):
            asked, known = choice[1], re.findall(r"'([^']*)'", choice[2])
        near = suggestion(asked, known).strip()
        raise UserError(f"{message}{f'; {near}' if near else ''} ({self.prog} --help lists what there is)")


class _PrintCompletion(argparse.Action):
    """Prints what completes commands and options in a shell; paths are completed where an option takes one."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        import shtab

        _, shell, _ = given
        for action in _actions(parser):
            if action.type is path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # which is how shtab is told
        print(shtab.complete(parser, shell))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """The long options of a parser and of its subcommands."""
    return [option for action in _actions(parser) for option in action.option_strings if option.startswith("--")]


def main(arguments: Sequence[str] | None = None) -> int:
    """`biotune`: runs a command; returns its exit code: 0, 2 for an error that the user can correct, 130 for Ctrl-C."""
    return _execute(biotune_parser(), arguments)


def biotune_parser() -> argparse.ArgumentParser:
    """All commands of `biotune`, and their options."""
    parser = _Parser(prog="biotune", description="Does the wiring of a brain make a recurrent network learn faster?")
    parser.add_argument("--version", action="version", version=f"biotune {version('biotune')}")
    _add_debug(parser)
    parser.add_argument(
        "--print-completion", choices=("bash", "zsh", "tcsh"), action=_PrintCompletion, help="for this shell, then end"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_commands(commands)
    return parser


def tune_main(arguments: Sequence[str] | None = None) -> int:
    """`python tune_main.py`: the same as `biotune run`."""
    return _execute(tune_main_parser(), arguments)


def tune_main_parser() -> argparse.ArgumentParser:
    """The options of `python tune_main.py`."""
    parser = _Parser(
        prog="tune_main.py",
        description="Run a study: search, confirm, report.",
        epilog=run.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_debug(parser)
    run.add_arguments(parser)
    return parser


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show what an error comes from")


def _execute(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    # names, paths and descriptions are the user's: nothing in them is markup, an emoji's code or worth a colour
    console = Console(markup=False, emoji=False, highlight=False)
    debug = False
    try:
        given = parser.parse_args(arguments)
        debug = given.debug
        return given.command(given, console)
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if debug:
            traceback.print_exc()
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
