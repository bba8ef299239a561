"""`biotune null`: lists the null models."""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table


def add_commands(commands: Any) -> None:
    """Adds `null` and its subcommands.

    Args:
        commands: what `add_subparsers` returned.
    """
    null = commands.add_parser("null", help="list the null models")
    verbs = null.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser(
        "list", help="every null, what it keeps, and which question a difference from it answers"
    ).set_defaults(command=_list)


def _list(_: argparse.Namespace, console: Console) -> int:
    from biotune.topology.nulls.catalogue import NULLS

    table = Table("name", "keeps", "asks", show_lines=True)
    for name, null in NULLS.items():
        table.add_row(name, null.keeps, null.asks)
    console.print(table)
    example = "arms: {degrees: {null: {name: degree_preserving, level: region, weights: carried, fraction: 1.0}}}"
    console.print(f"In a study: {example}", soft_wrap=True)
    return 0
