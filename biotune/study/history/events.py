"""What can happen in a study: the events of its journal, what each holds, and how they are applied again."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, NonNegativeInt, TypeAdapter, ValidationError

from biotune.errors import UserError
from biotune.results import digests_of
from biotune.results.journal import Event, Journal
from biotune.study.definition.study import Study

Rows = list[list[float | None]]
"""An entry an evaluation, in it one a replicate; None if it is not finite."""
Setting = dict[str, Any]


class _Part(BaseModel):
    """Types are taken at their word; further keys are let be."""

    model_config = ConfigDict(strict=True)


class Begun(_Part):
    """The study was started: `study`, resolved, and the digests of what it is made from."""

    event: Literal["begun"]
    study: dict[str, Any]
    digests: dict[str, Any]


class Proposed(_Part):
    """A search trial is to be run; `index` counts within its arm."""

    event: Literal["proposed"]
    trial: str
    arm: str
    index: NonNegativeInt
    origin: str
    setting: Setting


class Progress(_Part):
    """A search trial has reported its evaluations from epoch `first` on, and where it stands."""

    event: Literal["progress"]
    trial: str
    first: NonNegativeInt
    training: Rows
    validation: Rows
    accuracy: Rows
    score: float | None
    finished: bool
    seconds: float
    mean_updates: float
    converged: int
    diverged: int


class Ended(_Part):
    """A search trial has ended."""

    event: Literal["ended"]
    trial: str
    status: Literal["completed", "stopped", "diverged", "failed"]
    error: str


class OwnBest(_Part):
    """The best setting of an arm."""

    setting: Setting
    trial: str
    same_as_shared: bool


class Shared(_Part):
    """The setting that all arms are confirmed at."""

    setting: Setting
    index: int


class Selected(_Part):
    """The settings to be confirmed were chosen."""

    event: Literal["selected"]
    shared: Shared
    own_best: dict[str, OwnBest]


class Outcome(_Part):
    """What became of a confirmed replicate: a row of `convergence.parquet`."""

    converged: bool
    diverged: bool
    updates: float
    budget: int
    best_loss: float | None
    final_loss: float | None
    test_loss: float | None


class Measured(_Part):
    """A confirmed replicate's topology: a row of `topologies.parquet`, which has further measures."""

    neurons: int
    edges: int
    digest: str


class Confirmed(_Part):
    """Replicates of an arm were trained at a selected setting."""

    event: Literal["confirmed"]
    phases: list[Literal["shared", "own_best"]]
    arm: str
    replicates: list[NonNegativeInt]
    setting: Setting
    training: Rows
    validation: Rows
    accuracy: Rows
    convergence: list[Outcome]
    measures: list[Measured]
    matrix: dict[str, list[float]] | None
    seconds: float


class SetAside(_Part):
    """A checkpoint could not be read: it was renamed, and what it was of is trained again from the start."""

    event: Literal["set_aside"]
    checkpoint: str
    reason: str


class Spent(_Part):
    """A phase has taken so long so far."""

    event: Literal["spent"]
    phase: str
    seconds: float


_Event = Begun | Proposed | Progress | Ended | Selected | Confirmed | SetAside | Spent
_EVENTS: TypeAdapter[_Event] = TypeAdapter(Annotated[_Event, Discriminator("event")])


def begun(study: Mapping[str, Any], state: Mapping[str, Any]) -> Event:
    """The event that a journal begins with, of a resolved study and its `state.json`."""
    plain = json.loads(json.dumps(study, default=str))  # an option of a user's own task may be anything
    return {"event": "begun", "study": plain, "digests": digests_of(state)}


def trial_name(arm: str, index: int) -> str:
    """The name of an arm's trial `index`, and of its files."""
    return f"{arm}-{index:04d}"


def require_own(study: Study, event: Event) -> None:
    """Makes sure that what was proposed is a trial of a study: its name is that of its files.

    Raises:
        ValueError: it is not.
    """
    if event["arm"] not in study.arms or event["trial"] != trial_name(event["arm"], event["index"]):
        raise ValueError(f"no trial of this study: {event['trial']!r}")
    if set(event["setting"]) != set(study.config.tune):
        raise ValueError(f"trial {event['trial']!r} has a setting of {', '.join(event['setting']) or 'nothing'}")


def replay(journal: Journal, events: list[Event], apply: Callable[[Event], None]) -> None:
    """Applies the events that a journal holds, in their order.

    Raises:
        UserError: one is not an event of this version, or of this study; it is named by its line.
    """
    for number, event in enumerate(events, 1):
        try:
            _EVENTS.validate_python(event)
            apply(event)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(map(str, found["loc"]))
            message = f"{key}: {found['msg']}" if key else found["msg"]
            raise UserError(_refusal(journal, number, message)) from None
        except ValueError as error:
            raise UserError(_refusal(journal, number, str(error))) from None


def _refusal(journal: Journal, line: int, message: str) -> str:
    return f"{journal.file}:{line}: {message}; was it written by another version? run the study again with this one"
