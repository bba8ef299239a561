"""What the sections of a study's YAML have in common: unknown keys, and errors that name the keys they are about."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from biotune.errors import nearest, unknown_name


class Section(BaseModel):
    """A mapping in the YAML; for an unknown key the error suggests the nearest known one."""

    # strict: true is no 1, and the text "1" no number
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, content: Any) -> Any:
        if content is None:
            content = {}
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if not isinstance(content, dict):
            raise PydanticCustomError(
                "not_a_mapping",
                "must be a mapping of keys ({known}), found {found}",
                {"known": ", ".join(known[:5]) + (", …" if len(known) > 5 else ""), "found": repr(content)},
            )
        for key in content:
            if key not in known and cls.model_config.get("extra") == "forbid":
                raise _unknown_key(key, known, content)
        return content

    def overridden(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The content of this section where an arm, or a tuned setting, sets some of its keys."""
        return self.model_dump() | dict(changes)


def one_of(known: Any, what: str) -> Any:
    """A validator that accepts the names in `known`, and suggests the nearest for any other."""

    def check(name: str) -> str:
        if name not in known:
            raise unknown(what, name, known)
        return name

    return AfterValidator(check)


def unknown(what: str, name: str, known: Iterable[str], key: str | None = None) -> PydanticCustomError:
    """The error for a name that isn't known; `key` is the key to point at, if that is below the validated value."""
    context = {"message": str(unknown_name(what, name, known)), "keys": [() if key is None else (key,)]}
    return PydanticCustomError("unknown_name", "{message}", context)


def _unknown_key(key: str, known: Iterable[str], content: Mapping[str, Any]) -> PydanticCustomError:
    """The error for a key that isn't known."""
    meant = nearest(key, known)
    context = {"message": str(unknown_name("key", key, known)), "keys": [(key,)]}
    return PydanticCustomError("unknown_name", "{message}", context | ({} if meant in content else {"meant": meant}))


def conflict(reason: str, *keys: str | tuple[str, ...]) -> PydanticCustomError:
    """The error for values that are allowed alone, but not together.

    Args:
        reason: what was found, and what would do.
        keys: all that it depends on, below the validated value; the one to point at first.
    """
    context = {"message": reason, "keys": [(key,) if isinstance(key, str) else key for key in keys]}
    return PydanticCustomError("conflict", "{message}", context)
