"""Whether results belong together: the digest of a study, and the keys in which two studies or plans differ.

`state.json` and every table hold the digests of what results were made from: `study.yaml`, the connectomes, the task's
file and the topologies. A checkpoint records the plan and the topologies that it was trained with. These are compared
whenever a study is resumed, reported on, or continued by another study.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

MAY_DIFFER = ("description",)
"""Keys of a study that may change without changing its results: no number depends on them."""

THERE_AND_HERE = "{key} is {one} there and {other} here"
BEFORE_AND_NOW = "{key} was {one} and is {other}"

_MOST_NAMED = 3
_WIDEST = 60


def study_digest(study: Mapping[str, Any]) -> str:
    """SHA-256 of a resolved study, as `study.yaml` holds it, without the keys that may differ."""
    return hashlib.sha256(json.dumps(_of_study(study), sort_keys=True).encode()).hexdigest()


def study_difference(one: Mapping[str, Any], other: Mapping[str, Any], words: str = THERE_AND_HERE) -> str:
    """As `difference`, of two resolved studies, without the keys that may differ."""
    return _described(_of_study(one), _of_study(other), words)


def difference(one: Mapping[str, Any], other: Mapping[str, Any], words: str = THERE_AND_HERE) -> str:
    """In which keys two mappings differ, in words: `confirm.max_epochs is 80 there and 40 here`; "" if in none."""
    return _described(dict(_flat(one)), dict(_flat(other)), words)


def _of_study(study: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value
        for key, value in _flat(study)
        if not any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER)
    }


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """`key.path` and value as JSON, of every value that is not a mapping with keys."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", json.dumps(value, default=str)


def _described(one: Mapping[str, str], other: Mapping[str, str], words: str) -> str:
    differ = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    named = [
        words.format(key=key, one=_short(one.get(key)), other=_short(other.get(key))) for key in differ[:_MOST_NAMED]
    ]
    more = [f"{len(differ) - _MOST_NAMED} further keys differ"] if len(differ) > _MOST_NAMED else []
    return ", ".join(named + more)


def _short(value: str | None) -> str:
    if value is None:
        return "not given"
    return value if len(value) <= _WIDEST else f"{value[: _WIDEST - 1]}…"
