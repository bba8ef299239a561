"""Executes the notebooks of docs/notebooks/, which are kept as text, and writes them with what they printed and drew.

    python -m checks.notebooks --output site-notebooks
    python -m checks.notebooks --output site-notebooks first_study

Each runs in an empty folder of its own, as a reader would run it; a cell that fails ends the command.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SOURCES = Path(__file__).parents[1] / "docs" / "notebooks"
LONGEST = 1200
"""Seconds that a cell may take."""


def execute(source: Path, output: Path) -> float:
    """Executes one notebook, and writes it to `output` as .ipynb; returns the seconds that it took.

    Raises:
        CellExecutionError: a cell failed; what came before it is written.
    """
    notebook, start = jupytext.read(source), time.monotonic()
    # the commands that a notebook calls are those of this environment
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=LONGEST, resources={"metadata": {"path": folder}})
        try:
            client.execute(env={**os.environ, "PATH": commands})
        finally:
            output.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, output / f"{source.stem}.ipynb")
    return time.monotonic() - start


def main() -> None:
    names = sorted(file.stem for file in SOURCES.glob("*.py"))
    parser = argparse.ArgumentParser(
        prog="python -m checks.notebooks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {', '.join(names)}")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="for the executed notebooks")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(names)):
        parser.error(f"no notebook {', '.join(unknown)}; there are {', '.join(names)}")
    for name in arguments.names or names:
        try:
            seconds = execute(SOURCES / f"{name}.py", arguments.output)
        except CellExecutionError as error:
            raise SystemExit(f"{name}: {error}") from None
        print(f"{name}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
