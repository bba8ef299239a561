"""Names that a user got wrong: one wording everywhere, with the nearest known name."""

from collections.abc import Iterable
from difflib import get_close_matches

from biotune.errors import UserError


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that isn't known: `unknown task 'seqmem'; did you mean 'seq_mem'? known: seq_mem`.

    Args:
        kind: what the name stands for, in the singular, e.g. `task`.
        name: what was found.
        known: the names that would do.
    """
    known = list(known)
    nearest = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return UserError(f"unknown {kind} {name!r}; {hint}known: {', '.join(known)}")
