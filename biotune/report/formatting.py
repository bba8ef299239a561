"""How numbers, lists and settings are written: the same way on the page, in the terminal and in the figures."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

NOTHING = "–"
UNIT = "\N{NO-BREAK SPACE}%"


def number(value: float | int | None, digits: int = 3) -> str:
    """A number with this many significant digits: 1,234 · 0.0123 · 1.2e-5 · ∞; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def ratio(value: float | None) -> str:
    """A ratio: two decimals from 0.1 to 10, two significant digits otherwise."""
    return f"{value:.2f}" if value is not None and 0.1 <= value < 10 else number(value, 2)


def probability(value: float | None) -> str:
    """A p value: 0.031, or < 0.001."""
    if value is None or math.isnan(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(share: float, digits: int = 0) -> str:
    """A share in percent, with at most this many decimals: 0.98333 is 98 %, or 98.33 % with two."""
    text = f"{100 * share:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}{UNIT}"


def several(names: Iterable[str], last: str = "and") -> str:
    """a · a and b · a, b and c"""
    *rest, final = list(names)
    return f"{', '.join(rest)} {last} {final}" if rest else final


def count(n: int, noun: str) -> str:
    """1 trial · 2 trials"""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def value(content: Any) -> str:
    """A setting's value: numbers as `number` writes them, yes and no for flags."""
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, int | float):
        return number(content)
    if isinstance(content, list):
        return ", ".join(value(item) for item in content)
    if isinstance(content, Mapping):
        return f"({setting(content)})"
    return "none" if content is None else str(content)


def setting(content: Mapping[str, Any]) -> str:
    """learning_rate 0.003, nonlinearity tanh"""
    return ", ".join(f"{key} {value(item)}" for key, item in content.items())


def duration(seconds: float) -> str:
    """41 s · 3 min 20 s · 2 h 5 min"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def task(name: str) -> str:
    """A task's name on the page; for a user's own task, `file.py:Class` without the file's folders."""
    return name.rpartition("/")[2]
