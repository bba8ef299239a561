"""What belongs together: the digest of a study, and in which keys two things that should be one differ.

Results hold digests of what they were made from: `study.yaml`'s, the connectomes', the task's file's and the
topologies' in `state.json` and in every table; a checkpoint says by which plan it was trained, and on which topologies.
They are compared wherever results are gone on with, reported on, or taken up by another study.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

MAY_DIFFER = ("description",)
"""Keys of a study that may be changed while its results stay what they are: no number depends on them."""

_MOST_NAMED = 3
_WIDEST = 60


def study_digest(study: Mapping[str, Any]) -> str:
    """SHA-256 of a resolved study, as `study.yaml` holds it, less the keys that may differ."""
    return hashlib.sha256(json.dumps(_of_study(study), sort_keys=True).encode()).hexdigest()


def study_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """As `difference` of two resolved studies, less the keys that may differ."""
    return _described(_of_study(there), _of_study(here))


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """In which keys two mappings differ, in words: `confirm.max_epochs is 80 there and 40 here`; "" if in none."""
    return _described(dict(_flat(there)), dict(_flat(here)))


def _of_study(study: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value
        for key, value in _flat(study)
        if not any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER)
    }


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """`key.path` and value as JSON, of every value that is no mapping with keys."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", json.dumps(value, default=str)


def _described(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    differ = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    named = [
        f"{key} is {_short(there.get(key))} there and {_short(here.get(key))} here" for key in differ[:_MOST_NAMED]
    ]
    more = [f"{len(differ) - _MOST_NAMED} further keys differ"] if len(differ) > _MOST_NAMED else []
    return ", ".join(named + more)


def _short(value: str | None) -> str:
    if value is None:
        return "not given"
    return value if len(value) <= _WIDEST else f"{value[: _WIDEST - 1]}…"
