"""All mistakes of a study's content at once, though a check stops at the first that it meets.

What is wrong is taken out of the content, and the rest is checked again, until nothing in it is wrong. A check of
several keys names them all: once one of them is taken out, what it finds is no mistake of the user's.
"""

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from biotune.study.definition.yaml_source import Location

Checked = TypeVar("Checked")
AnyModel = TypeVar("AnyModel", bound=BaseModel)


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        about: the keys that it depends on, the one to point at first.
        reason: what was found there, and what would do.
        meant: the key, not there, that an unknown one probably stands for.
    """

    about: tuple[Location, ...]
    reason: str
    meant: Location | None = None

    def line(self, content: Any, where: Callable[[Sequence[Location]], str]) -> str:
        """Where it is, at which key, and what is wrong.

        Args:
            content: of the study. where: the places of some keys, that of the first for certain.
        """
        keys = [key for key in self.about if _has(content, key)] if len(self.about) > 1 else []
        keys = keys or [self.about[0]]
        return ": ".join(part for part in (where(keys), ".".join(map(str, keys[0])), self.reason) if part)


class Mistakes(Exception):
    """A check has found something wrong."""

    def __init__(self, found: Iterable[Mistake]) -> None:
        super().__init__()
        self.found = list(dict.fromkeys(found))


def every_mistake(
    content: dict[str, Any],
    check: Callable[[dict[str, Any]], Checked],
    with_stand_ins: Callable[[dict[str, Any], Collection[Location]], dict[str, Any]],
) -> Checked:
    """What a check makes of the content.

    Args:
        content: of a study. It is not changed.
        check: raises `Mistakes` with the first that it meets.
        with_stand_ins: puts something in the place of each key that it must have, if that was taken out; gets the
            content and all that was taken out.

    Raises:
        Mistakes: all of them.
    """
    gone, found = set[Location](), list[Mistake]()
    rest = content
    while True:
        try:
            checked = check(rest)
        except Mistakes as mistakes:
            rest, before = copy.deepcopy(rest), rest
            found += [m for m in mistakes.found if not any(related(a, b) for a in m.about for b in gone)]
            for mistake in mistakes.found:
                gone.add(_take_out(rest, mistake.about))
                if mistake.meant is not None:
                    gone.add(mistake.meant)
            rest = with_stand_ins(rest, gone)
            if rest == before:
                break
        else:
            if found:
                break
            return checked
    raise Mistakes(found)


def validated(
    model: type[AnyModel], value: Any, content: Any, origin: Callable[[Location], Location] = lambda location: location
) -> AnyModel:
    """A section of the study.

    Args:
        model: of the section. value: to be validated.
        content: of the whole study.
        origin: from a place in the value to that in the content.

    Raises:
        Mistakes: one for each wrong key. For a key that may be of several types pydantic reports a mistake for each
            type; this one is about the type found.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = sorted(error.errors(), key=lambda mistake: _about_the_type(mistake["type"]))
    found: dict[Location, Mistake] = {}
    for mistake in mistakes:
        missing = mistake["type"] == "missing"
        context = mistake.get("ctx", {})
        keys = context.get("keys", [()])
        about = tuple(_within(content, origin((*mistake["loc"], *key)), missing or len(keys) > 1) for key in keys)
        message = mistake["msg"].removeprefix("Value error, ")
        own_words = mistake["type"].startswith(("conflict", "unknown", "not_a", "value_error"))
        if missing:
            message = "this key is missing"
        elif not own_words:
            message = message[0].lower() + message[1:]
            if isinstance(mistake["input"], bool | int | float | str | None):
                message += f", found {mistake['input']!r}"
        if not any(other[: len(about[0])] == about[0] for other in found):
            meant = context.get("meant")
            found[about[0]] = Mistake(about, message, None if meant is None else (*about[0][:-1], meant))
    raise Mistakes(found.values())


def conflict_of(error: ValidationError) -> tuple[str, Sequence[Location]] | None:
    """Why values that are allowed alone are not together, and their keys; None if one of them is not allowed alone."""
    first = error.errors()[0]
    return (first["msg"], first["ctx"]["keys"]) if first["type"] == "conflict" else None


def _within(content: Any, location: Location, last_may_be_absent: bool) -> Location:
    """The parts of a location that the content has: pydantic adds the branches of a union."""
    path: list[str | int] = []
    place = content
    for depth, part in enumerate(location, start=1):
        if isinstance(place, dict) and (part in place or (last_may_be_absent and depth == len(location))):
            path.append(part)
            place = place.get(part)
        elif isinstance(place, list) and isinstance(part, int) and part < len(place):
            path.append(part)
            place = place[part]
    return tuple(path)


def _has(content: Any, location: Location) -> bool:
    return _within(content, location, last_may_be_absent=False) == location


def related(one: Location, other: Location) -> bool:
    """Whether they are the same, or one lies within the other."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _take_out(content: dict[str, Any], about: Sequence[Location]) -> Location:
    """Takes out the first key that is there, or what should have it, and returns it; a list is taken out as a whole."""
    absent = _within(content, about[0], last_may_be_absent=False)
    key = next((key for key in about if _has(content, key)), absent)
    while key and isinstance(key[-1], int):
        key = key[:-1]
    if key:
        holder: Any = content
        for part in key[:-1]:
            holder = holder[part]
        del holder[key[-1]]
    return key or about[0]


def _about_the_type(kind: str) -> bool:
    return kind.endswith(("_type", "_parsing")) or kind == "not_a_mapping"
