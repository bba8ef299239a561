"""The command line: one file per command."""

from biotune.cli.main import main, tune_main

__all__ = ["main", "tune_main"]
