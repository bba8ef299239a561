"""`study.yaml` as those who read results need it; `biotune.study.definition` has every key."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from biotune.results.documents import Part, Positive, Section


def _one_range(domain: dict[str, list[Any]]) -> dict[str, list[Any]]:
    if len(domain) != 1 or any(kind != "choice" and len(ends) != 2 for kind, ends in domain.items()):
        raise ValueError("must be one range")
    return domain


class _Task(Part):
    name: str
    trials: PositiveInt
    train_share: Positive
    batch: PositiveInt


class _Null(Part):
    name: str
    fraction: FiniteFloat = 1.0


class _Arm(Part):
    null: _Null | None = None
    connectome: Section | None = None
    topology: Section | None = None
    network: Section | None = None


class _Condition(Part):
    task: Section = Field(default_factory=dict)
    topology: Section = Field(default_factory=dict)
    network: Section = Field(default_factory=dict)


class _Gain(Part):
    scales: list[Positive]
    learning_rates: list[Positive]


class _Search(Part):
    trials_per_arm: NonNegativeInt
    shared_settings: NonNegativeInt
    replicates: PositiveInt
    max_epochs: PositiveInt
    grace: PositiveInt
    reduction: PositiveInt
    sampler: Literal["tpe", "random", "grid"]


class _Confirm(Part):
    replicates: PositiveInt
    looks: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    max_epochs: PositiveInt


class _StudyCriterion(Part):
    fraction_of_null: Positive
    sustain: PositiveInt


class StudyFile(Part):
    """study.yaml."""

    name: str
    description: str | None = None
    seed: NonNegativeInt
    task: _Task
    topology: Section
    network: Section
    arms: Annotated[dict[str, _Arm | None], Field(min_length=1)]
    reference_arm: str
    conditions: Annotated[dict[str, _Condition], Field(min_length=1)]
    gain: _Gain | None = None
    tune: dict[str, Annotated[dict[str, list[Any]], AfterValidator(_one_range)]]
    search: _Search
    confirm: _Confirm
    criterion: _StudyCriterion
    equivalence_margin: Positive
    quick: bool
    positive_control: Literal["frozen", "quarter_radius"] | None = None

    @model_validator(mode="after")
    def _the_reference_is_an_arm(self) -> "StudyFile":
        if self.reference_arm not in self.arms:
            raise ValueError(f"reference_arm {self.reference_arm!r} is not one of the arms")
        return self
