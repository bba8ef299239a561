"""`biotune new`: writes a study to start from."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console

from biotune.cli.arguments import path
from biotune.errors import UserError


def add_commands(commands: Any) -> None:
    """Adds `new`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser("new", help="write a commented study to start from")
    command.add_argument("file", type=path, metavar="FILE", help="the study's YAML, such as mine.yaml")
    command.add_argument(
        "--connectome",
        default="marmoset",
        metavar="NAME|FILE",
        help="of the catalogue (biotune connectome list), or a file of yours: a matrix, an edge list, …; default: "
        "marmoset",
    )
    command.set_defaults(command=_new)


def _new(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.connectome import CATALOGUE, load_connectome
    from biotune.study.definition.template import template

    file: Path = arguments.file
    if file.suffix not in (".yaml", ".yml"):
        raise UserError(f"{file}: a study is a YAML file; name it {file.name}.yaml")
    if file.exists():
        raise UserError(f"{file}: is there already; name another file, or remove it")
    if not file.absolute().parent.is_dir():
        raise UserError(f"{file}: there is no folder {file.parent}")
    named, own = arguments.connectome, Path(arguments.connectome).expanduser()
    if named not in CATALOGUE and own.exists():
        connectome, held = load_connectome(own.stem, path=own), {"path": str(own.resolve())}
    else:
        # its size is all that is needed here, and a stand-in has the same
        otherwise = "distance_rule" if named in CATALOGUE else None
        connectome, held = load_connectome(named, otherwise=otherwise), {"name": named}
    try:
        with file.open("x") as stream:
            stream.write(template(file.stem, connectome, held))
    except OSError as error:
        raise UserError(f"{file}: can't be written ({error.strerror})") from None
    console.print(f"{connectome.name}: {connectome.size} nodes, {connectome.edges} edges")
    for note in connectome.provenance.notes:
        console.print(f"NOTE: {note}", soft_wrap=True)
    console.print(f"Wrote {file}; for a first look:\n  biotune run {shlex.quote(str(file))} --quick", soft_wrap=True)
    return 0
