"""How settings are searched and confirmed: the sections `tune`, `search`, `confirm` and `criterion`."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from biotune.statistics import LEAST_PAIRS
from biotune.study.definition.section import Section, conflict

Scalar = bool | int | float | str
Whole = int
"""`int`, for a class whose field of that name hides it."""


class Domain(Section):
    """The range or the choices of one hyperparameter, given by exactly one of the keys."""

    loguniform: list[FiniteFloat] | None = None
    uniform: list[FiniteFloat] | None = None
    int: list[Whole] | None = None
    choice: list[Scalar] | None = None

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            reason = f"give exactly one of loguniform, uniform, int, choice; found {list(given) or 'none'}"
            raise conflict(reason, *(given or [()]))
        [(kind, values)] = given.items()
        if kind == "choice":
            if not values:
                raise conflict("choice is empty; give at least one value", kind)
            if len({(type(v), v) for v in values}) < len(values):
                raise conflict(f"choice {values} names a value twice", kind)
        elif len(values) != 2 or values[0] >= values[1]:
            raise conflict(f"{kind} must be [low, high] with low below high, found {values}", kind)
        elif kind == "loguniform" and values[0] <= 0:
            raise conflict(f"loguniform must start above 0, found {values}", kind)
        return self

    @property
    def mixed(self) -> bool:
        """Whether it is a choice between values of several types; all numbers count as one type."""
        types = {type(value) if isinstance(value, bool | str) else float for value in self.choice or []}
        return len(types) > 1

    @property
    def ends(self) -> list[Any]:
        """The two ends of a range; all values of a choice."""
        return self.choice or self.loguniform or self.uniform or self.int or []


def settings_at_ends(tune: Mapping[str, Domain], most: int) -> Iterator[dict[str, Any]]:
    """Settings of all that is tuned, each value at an end of its range; no more than `most` of them."""
    ends = ([(key, value) for value in domain.ends] for key, domain in tune.items())
    return itertools.islice(map(dict, itertools.product(*ends)), most)


class SearchConfig(Section):
    """The search of each arm."""

    trials_per_arm: int = Field(16, ge=1, le=100_000, description="for a grid: the number of combinations")
    shared_settings: int = Field(
        16,
        ge=1,
        le=100_000,
        description="the first trials of every arm, at the same Sobol settings: arms are compared at some of these; "
        "for a grid: all trials",
    )
    replicates: int = Field(4, ge=1, le=10_000, description="networks per trial")
    max_epochs: int = Field(81, ge=1, le=1_000_000, description="of a trial that is not stopped")
    grace: int = Field(
        default_factory=lambda given: max(given.get("max_epochs", 81) // 3, 1),
        ge=1,
        le=1_000_000,
        description="epochs before ASHA may stop a trial; default: a third of max_epochs",
    )
    reduction: int = Field(3, ge=2, description="at each rung one in so many trials goes on")
    sampler: Literal["tpe", "random", "grid"] = Field("tpe", description="grid: every combination of the choices")

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.sampler != "grid" and self.shared_settings > self.trials_per_arm:
            reason = f"shared_settings {self.shared_settings} exceeds trials_per_arm {self.trials_per_arm}"
            raise conflict(reason, "shared_settings", "trials_per_arm", "sampler")
        if self.grace > self.max_epochs:
            raise conflict(f"grace {self.grace} exceeds max_epochs {self.max_epochs}", "grace", "max_epochs")
        return self

    @property
    def rungs(self) -> list[int]:
        """Epochs at which ASHA compares trials: grace · reduction^k below max_epochs."""
        rungs, epoch = [], self.grace
        while epoch < self.max_epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return rungs


class ConfirmConfig(Section):
    """The confirmation on fresh seeds."""

    replicates: int = Field(
        16, ge=1, le=100_000, description="networks per arm: the pairs of the statistics, those of the first look"
    )
    looks: list[Annotated[int, Field(ge=1, le=100_000)]] | None = Field(
        None, description="planned numbers of pairs, at which a study may stop or go on; null: replicates alone"
    )
    max_epochs: int = Field(100, ge=1, le=1_000_000, description="the budget")
    population: int = Field(8, ge=1, le=10_000, description="replicates that are trained together as one Ray task")

    @model_validator(mode="before")
    @classmethod
    def _replicates_of_the_first_look(cls, content: Any) -> Any:
        looks = content.get("looks") if isinstance(content, dict) else None
        first = looks[0] if isinstance(looks, list) and looks else None
        # what is no number of pairs is no number of replicates either, and is reported once
        if not isinstance(first, int) or first < 1 or "replicates" in content:
            return content
        return {**content, "replicates": first}

    @model_validator(mode="after")
    def _looks_rise_from_the_replicates(self) -> Self:
        looks, first = self.looks, self.replicates
        if looks is None:
            return self
        if not looks:
            raise conflict("looks is empty; name numbers of pairs, or leave it out", "looks")
        if sorted(set(looks)) != looks:
            raise conflict(f"looks must rise, and name no number twice, found {looks}", "looks")
        if looks[0] != first:
            reason = (
                f"the first look has {looks[0]} pairs, but replicates is {first}; leave replicates out, or set "
                f"looks to [{first}, …] or null"
            )
            raise conflict(reason, "looks", "replicates")
        if first < LEAST_PAIRS:
            raise conflict(f"a look at {first} pairs is too early; give {LEAST_PAIRS} or more", "looks")
        return self

    @property
    def planned(self) -> list[int]:
        """The planned looks; one if the study has no others."""
        return self.looks or [self.replicates]


class CriterionConfig(Section):
    """What counts as having learnt."""

    metric: Literal["validation_loss"] = "validation_loss"
    fraction_of_null: FiniteFloat = Field(0.1, gt=0, lt=1, description="share of the loss of the task's null predictor")
    sustain: int = Field(3, ge=1, description="consecutive evaluations that must meet it")
