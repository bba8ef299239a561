"""What the command line's arguments may be: each function takes the text that was given, and returns its value.

What they raise is shown with the argument's name: `argument --seed: '-1' is not a whole number of at least 0`.
"""

import math
from argparse import ArgumentTypeError
from pathlib import Path

LARGEST = 10**15
"""Of whole numbers; seeds are stored as 64 bits."""

LONGEST_RANGE = 100_000
"""Of seeds, each of which is a study."""


def path(text: str) -> Path:
    """A path, of something that need not exist."""
    if not text or "\0" in text:
        raise ArgumentTypeError(f"{_short(text)} is no path")
    return Path(text)


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def share_or_auto(text: str) -> float | str:
    """A number of at least 0, or `auto`."""
    return text if text == "auto" else _at_least_zero(text, "a number of at least 0, nor auto")


def seconds(text: str) -> float:
    """A number of seconds, at least 0."""
    return _at_least_zero(text, "a number of seconds, such as 10")


def number(text: str) -> float:
    """A number of at least 0."""
    return _at_least_zero(text, "a number of at least 0")


def names(text: str) -> list[str]:
    """A list of names with commas between them."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise ArgumentTypeError(f"{_short(text)} is not a list of names, such as marmoset,degrees")
    return found


def ratios(text: str) -> list[float]:
    """A list of numbers above 0 with commas between them."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < ratio < math.inf for ratio in found):
        raise ArgumentTypeError(f"{_short(text)} is not a list of numbers above 0, such as 1,1.2,2")
    return found


def looks_of(text: str) -> list[int]:
    """A list of whole numbers of at least 1 with commas between them."""
    try:
        return [_whole(part, 1) for part in text.split(",")]
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{_short(text)} is not a list of numbers of pairs, such as 16,32,64") from None


def seeds(text: str) -> list[int]:
    """A range of seeds, `FIRST-LAST`, or a list with commas between them."""
    parts = text.split("-") if "-" in text else text.split(",")
    try:
        found = [_whole(part, 0) for part in parts]
    except ArgumentTypeError:
        found = []
    if "-" in text and len(found) == 2 and found[1] - found[0] < LONGEST_RANGE:
        found = list(range(found[0], found[1] + 1))
    elif "-" in text:
        found = []
    if not found:
        raise ArgumentTypeError(f"{_short(text)} is neither a range of seeds, such as 1-10, nor a list, such as 1,5")
    return found


def _whole(text: str, least: int) -> int:
    # before int() is asked, which takes digits of other scripts, and raises at thousands of digits
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST)) and least <= int(text) <= LARGEST):
        raise ArgumentTypeError(f"{_short(text)} is not a whole number of at least {least} and at most {LARGEST:.0e}")
    return int(text)


def _at_least_zero(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"{_short(text)} is not {what}")
    return value


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}… ({len(text):,} characters)"
