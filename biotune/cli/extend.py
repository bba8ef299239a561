"""`biotune extend`: more pairs, or conditions, for a study that was started before."""

import argparse
from typing import Any

from rich.console import Console

from biotune.cli.arguments import count, path
from biotune.cli.running import add_machine_arguments, options_of, run_and_report

EXAMPLES = """examples:
  biotune extend results/seq_mem-20260101T120000Z
  biotune extend results/seq_mem-20260101T120000Z --to 64
  biotune extend results/seq_mem-20260101T120000Z --replicates 80
  biotune extend results/seq_mem-20260101T120000Z --space seq_mem-with-another-condition.yaml
"""


def add_commands(commands: Any) -> None:
    """Adds `extend`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser(
        "extend",
        help="take the next planned look of a study, add a replication, or conditions",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "directory",
        metavar="DIR",
        help="results of a study, finished, interrupted or killed; URI/NAME: their copy in a storage",
    )
    command.add_argument(
        "--to", type=count, metavar="N", help="all planned looks up to this number of pairs; default: the next one"
    )
    command.add_argument(
        "--replicates",
        type=count,
        metavar="N",
        help="past the plan: so many replicates of each arm in all; those past the plan are a replication, which is "
        "analysed alone",
    )
    command.add_argument(
        "--space",
        type=path,
        metavar="FILE",
        help="the study's YAML with further conditions; nothing else in it may differ",
    )
    add_machine_arguments(command)
    command.set_defaults(command=_extend)


def _extend(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.io.storage import BucketPath, place
    from biotune.study.confirm.extension import More
    from biotune.study.directory.mirror import fetch
    from biotune.study.directory.resume import load_extended
    from biotune.study.run import run_study

    storage = None if arguments.storage is None else place(arguments.storage)
    directory = place(arguments.directory)
    if isinstance(directory, BucketPath):
        directory, storage = fetch(directory, arguments.output), storage or directory.parent
    study, conditions = load_extended(directory, arguments.space)
    more = More(to=arguments.to, replicates=arguments.replicates, conditions=conditions)
    options = options_of(arguments, storage)
    return run_and_report(lambda: run_study(study, options, console, resume=directory, more=more), console)
