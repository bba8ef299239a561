"""The command line: a file a command."""

from biotune.cli.main import main, tune_main

__all__ = ["main", "tune_main"]
