"""What can happen in a study: the events of its journal, what each holds, how they are written and applied again."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, NonNegativeInt, TypeAdapter, ValidationError

from biotune.errors import UserError
from biotune.results.documents import Cell, Extension, Look, Selection, State
from biotune.results.journal import Event, Journal
from biotune.results.vocabulary import Ending
from biotune.study.definition.study import Study
from biotune.training import BlockReport, TrialReport


class _Part(BaseModel):
    """No value is converted to the type that is needed; further keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class Begun(_Part):
    """The study was started: `study`, resolved, and the digests of what it is made from."""

    event: Literal["begun"] = "begun"
    study: dict[str, Any]
    digests: dict[str, Any]


class Proposed(_Part):
    """A search trial is to be run; `index` counts within its arm."""

    event: Literal["proposed"] = "proposed"
    trial: str
    arm: str
    index: NonNegativeInt
    origin: str
    setting: dict[str, Any]


class Progress(_Part):
    """A search trial has reported."""

    event: Literal["progress"] = "progress"
    trial: str
    report: TrialReport


class Ended(_Part):
    """A search trial has ended; `error` is empty unless it failed."""

    event: Literal["ended"] = "ended"
    trial: str
    status: Ending
    error: str


class Selected(_Part):
    """The cells to be confirmed were chosen."""

    event: Literal["selected"] = "selected"
    selection: Selection


class Confirmed(_Part):
    """Replicates of a cell were trained."""

    event: Literal["confirmed"] = "confirmed"
    cell: Cell
    replicates: list[NonNegativeInt]
    report: BlockReport


class Looked(_Part):
    """All pairs of a planned look were confirmed, and it was taken."""

    event: Literal["looked"] = "looked"
    look: Look


class Extended(_Part):
    """More is to be confirmed; `selection` has the cells then, None if the search is still to end."""

    event: Literal["extended"] = "extended"
    extension: Extension
    selection: Selection | None


class SetAside(_Part):
    """A checkpoint could not be read: it was renamed, and its networks are trained again from the start."""

    event: Literal["set_aside"] = "set_aside"
    checkpoint: str
    reason: str


class Spent(_Part):
    """A phase has taken so long so far."""

    event: Literal["spent"] = "spent"
    phase: str
    seconds: float


StudyEvent = Begun | Proposed | Progress | Ended | Selected | Confirmed | Looked | Extended | SetAside | Spent
_EVENTS: TypeAdapter[StudyEvent] = TypeAdapter(Annotated[StudyEvent, Discriminator("event")])


def begun(study: Mapping[str, Any], state: State) -> Begun:
    """The event that a journal begins with, of a resolved study and its `state.json`."""
    plain = json.loads(json.dumps(study, default=str))  # an option of a user's own task may be anything
    return Begun(study=plain, digests=state.digests)


def append(journal: Journal, event: StudyEvent) -> StudyEvent:
    """Writes an event to the journal, and returns it as it will be read back: a number that is not finite is None.

    Raises:
        StorageError: it cannot be written.
    """
    return parse(journal.append(event.model_dump()))


def parse(event: Event) -> StudyEvent:
    """The typed event of a journal's line.

    Raises:
        ValidationError: it is not an event of this version.
    """
    return _EVENTS.validate_json(json.dumps(event))  # of JSON, a strict check takes an object for a dataclass


def added_conditions(events: Iterable[Event]) -> dict[str, Any]:
    """Name -> what it overrides, of the conditions that were added to a study after it was started."""
    added = [event["extension"].get("conditions", {}) for event in events if event.get("event") == "extended"]
    return {name: held for conditions in added for name, held in conditions.items()}


def trial_name(arm: str, index: int) -> str:
    """The name of an arm's trial `index`, and of its files."""
    return f"{arm}-{index:04d}"


def require_own(study: Study, event: Proposed) -> None:
    """Makes sure that what was proposed is a trial of a study: its name is that of its files.

    Raises:
        ValueError: it is not.
    """
    if event.arm not in study.arms or event.trial != trial_name(event.arm, event.index):
        raise ValueError(f"no trial of this study: {event.trial!r}")
    if set(event.setting) != set(study.config.tune):
        raise ValueError(f"trial {event.trial!r} has a setting of {', '.join(event.setting) or 'nothing'}")


def replay(journal: Journal, events: list[Event], apply: Callable[[StudyEvent], None]) -> None:
    """Applies the events that a journal holds, in their order.

    Raises:
        UserError: one is not an event of this version, or of this study; it is named by its line.
    """
    for number, event in enumerate(events, 1):
        try:
            apply(parse(event))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(map(str, found["loc"]))
            message = f"{key}: {found['msg']}" if key else found["msg"]
            raise UserError(_refusal(journal, number, message)) from None
        except ValueError as error:
            raise UserError(_refusal(journal, number, str(error))) from None


def _refusal(journal: Journal, line: int, message: str) -> str:
    return f"{journal.file}:{line}: {message}; was it written by another version? run the study again with this one"
