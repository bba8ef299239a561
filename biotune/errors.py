"""The one error that a user can mend: its message names what was found, where, and what would do."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input or an impossible request: printed as one line, without a traceback, with exit code 2."""


class StorageError(UserError):
    """A file could not be written, for want of room or of rights: no trial is to blame, and what is there is whole."""


class KernelError(UserError):
    """Kernels compute on a machine something else than they should, or can't be used there: no trial is to blame."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that isn't known: `unknown task 'seqmem'; did you mean 'seq_mem'? known: seq_mem`.

    Args:
        kind: what the name stands for, in the singular, e.g. `task`.
        name: what was found.
        known: the names that would do.
    """
    known = list(known)
    return UserError(f"unknown {kind} {name!r}; {suggestion(name, known)}known: {', '.join(known)}")


def suggestion(name: object, known: Iterable[str]) -> str:
    """`did you mean 'seq_mem'? `, with the known name that is most like the one found; empty if none is like it."""
    nearest = get_close_matches(str(name), list(known), n=1)
    return f"did you mean {nearest[0]!r}? " if nearest else ""
