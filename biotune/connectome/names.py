"""Names of regions (or neurons) as they are shown: a file of one's own may name them anything."""

import unicodedata
from collections.abc import Iterable

MOST_NAMED = 60
"""Up to so many regions are all named beside a picture of the matrix; more names could not be read."""

MOST_KEPT = 200
"""Up to so many regions have their names in the results: that many have a row of their own in a table of the matrix."""

LONGEST_KEPT = 200
"""Characters of a name in the results."""


def shown(names: Iterable[str], longest: int) -> list[str]:
    """Each name in one line of characters that can be printed, shortened to `longest` characters."""
    return [_shortened(" ".join("".join(map(_printable, name)).split()), longest) for name in names]


def _printable(character: str) -> str:
    return " " if unicodedata.category(character).startswith("C") else character


def _shortened(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
