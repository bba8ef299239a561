"""`biotune import`: makes a study from a configuration of the predecessor, bio_rnn_mem."""

import argparse
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from biotune.cli.arguments import path
from biotune.errors import UserError, run_command

if TYPE_CHECKING:
    from biotune.study.definition.predecessor import Imported


def add_commands(commands: Any) -> None:
    """Adds `import`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser(
        "import", help="make a study with the same full grid from a config.ini of bio_rnn_mem"
    )
    command.add_argument("config", type=path, metavar="CONFIG", help="the config.ini")
    command.add_argument(
        "-o",
        "--output",
        type=path,
        metavar="FILE",
        help="the study's YAML; default: its name, in this folder. If there are several studies, the condition of each "
        "is added to the name",
    )
    command.set_defaults(command=_import)


def _import(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.study.definition.predecessor import import_config

    imported = import_config(arguments.config)
    files, texts = [], []
    for suffix, study in imported.studies.items():
        output = arguments.output
        files.append(Path(f"{study['name']}.yaml") if output is None else output.with_stem(output.stem + suffix))
        texts.append(_text(study, imported, arguments.config))
    for text, file in zip(texts, files, strict=True):
        _check(text, arguments.config)
        if file.exists():
            raise UserError(f"{file}: exists already; give another with -o")
    for text, file in zip(texts, files, strict=True):
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{file}: cannot be written ({error.strerror}); give another with -o") from None

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    for title, lines in (("Differences", imported.notes), ("Not used here", imported.ignored)):
        if lines:
            say(f"{title}:")
            for line in lines:
                say(f"  {line}")
    say("Written. To run it:")
    for file in files:
        say(f"  {run_command()} --space {file}")
    return 0


def _text(study: dict[str, Any], imported: "Imported", config: Path) -> str:
    """The YAML: the question, the notes, the keys."""
    question = (
        f"Does {study['connectome']['name']} wiring learn {study['task']['name']} faster than its edges shuffled?"
    )
    notes = [f"The full grid of {config.name}, a configuration of bio_rnn_mem:", *(f"- {n}" for n in imported.notes)]
    import yaml

    keys = yaml.safe_dump(study, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return "\n".join([f"# {question}", "", *(f"# {note}" for note in notes), "", keys])


def _check(text: str, config: Path) -> None:
    """Makes sure that the text is a valid study.

    Raises:
        UserError: a value of the configuration is not allowed in a study.
    """
    from biotune.study.definition.load import load_study

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            load_study(file)
        except UserError as error:
            # the user does not see the YAML, so lines in it mean nothing
            text = re.sub(rf"{re.escape(str(file))}(:\d+)*", f"{config}, as a study", str(error))
            raise UserError(text) from None
