"""What the report takes from the results' YAML and JSON, checked once, before anything is computed from it."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from biotune.errors import UserError


class _Part(BaseModel):
    """What the files hold beyond this is none of the report's business."""

    model_config = ConfigDict(extra="ignore")


def _one_range(domain: dict[str, list[Any]]) -> dict[str, list[Any]]:
    if len(domain) != 1 or any(kind != "choice" and len(ends) != 2 for kind, ends in domain.items()):
        raise ValueError("must be one range")
    return domain


Positive = Annotated[FiniteFloat, Field(gt=0)]
Section = dict[str, Any]


class _Task(_Part):
    name: str
    trials: PositiveInt
    train_share: Positive
    batch: PositiveInt


class _Null(_Part):
    name: str
    fraction: FiniteFloat = 1.0


class _Arm(_Part):
    null: _Null | None = None
    connectome: Section | None = None
    topology: Section | None = None
    network: Section | None = None


class _Search(_Part):
    trials_per_arm: NonNegativeInt
    shared_settings: NonNegativeInt
    replicates: PositiveInt
    max_epochs: PositiveInt
    grace: PositiveInt
    reduction: PositiveInt
    sampler: Literal["tpe", "random", "grid"]


class _Confirm(_Part):
    replicates: PositiveInt
    max_epochs: PositiveInt


class _StudyCriterion(_Part):
    fraction_of_null: Positive
    sustain: PositiveInt


class StudyFile(_Part):
    """study.yaml."""

    name: str
    description: str | None = None
    seed: NonNegativeInt
    task: _Task
    topology: Section
    network: Section
    arms: Annotated[dict[str, _Arm | None], Field(min_length=1)]
    reference_arm: str
    tune: dict[str, Annotated[dict[str, list[Any]], AfterValidator(_one_range)]]
    search: _Search
    confirm: _Confirm
    criterion: _StudyCriterion
    equivalence_margin: Positive
    positive_control: Literal["frozen", "quarter_radius"] | None = None

    @model_validator(mode="after")
    def _the_reference_is_an_arm(self) -> "StudyFile":
        if self.reference_arm not in self.arms:
            raise ValueError(f"reference_arm {self.reference_arm!r} is none of the arms")
        return self


class _Connectome(_Part):
    name: str
    citation: str | None = None


class _StateCriterion(_Part):
    null_loss: Positive
    level: Positive


class _Shared(_Part):
    setting: Section
    index: int


class _OwnBest(_Part):
    trial: str


class _Selection(_Part):
    shared: _Shared
    own_best: dict[str, _OwnBest]


class StateFile(_Part):
    """state.json."""

    phase: str
    seconds: dict[str, FiniteFloat]
    connectomes: dict[str, _Connectome]
    criterion: _StateCriterion
    updates_per_epoch: PositiveInt
    budget: PositiveInt
    selection: _Selection | None = None
    set_aside: dict[str, str] = {}


class _Kernels(_Part):
    backend: str
    processor: str
    gpu: str | None = None
    deviation: Annotated[dict[str, FiniteFloat], Field(min_length=1)]
    tolerance: Positive


class EnvironmentFile(_Part):
    """environment.json."""

    git: Section | None = None
    kernels: list[_Kernels] = []


def require(content: Any, model: type[BaseModel], file: str) -> None:
    """Checks what a file holds.

    Raises:
        UserError: a key is missing, or its value is none that this version writes.
    """
    try:
        model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        key = ".".join(map(str, found["loc"]))
        what = f"lacks {key}" if found["type"] == "missing" else f"{key or 'its content'}: {found['msg']}"
        raise UserError(
            f"{file}: {what}; was it written by another version? run the study again with this one"
        ) from None
