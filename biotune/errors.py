"""Errors that a user can correct: the message says what was found, where, and what is possible instead."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """Bad input or an impossible request: printed as one line, without a traceback, with exit code 2."""


class StorageError(UserError):
    """A file could not be written, because the disk is full or it isn't allowed; the files that exist are complete.

    No trial is at fault.
    """


class KernelError(UserError):
    """Kernels compute wrong results on a machine, or can't be used there. No trial is at fault."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that isn't known: `unknown task 'seqmem'; did you mean 'seq_mem'? known: seq_mem`.

    Args:
        kind: what the name stands for, in the singular, e.g. `task`.
        name: what was found.
        known: the names that are possible.
    """
    known = list(known)
    return UserError(f"unknown {kind} {name!r}; {suggestion(name, known)}known: {', '.join(known)}")


def suggestion(name: object, known: Iterable[str]) -> str:
    """`did you mean 'seq_mem'? ` with the known name most similar to the one found; empty if none is similar."""
    found = nearest(name, known)
    return "" if found is None else f"did you mean {found!r}? "


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name most similar to the one found; None if none is similar."""
    return next(iter(get_close_matches(str(name), list(known), n=1)), None)


def run_command() -> str:
    """How a study is run, as this process was started: `python tune_main.py` or `biotune run`."""
    return "python tune_main.py" if Path(sys.argv[0]).name == "tune_main.py" else "biotune run"
