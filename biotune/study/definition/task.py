"""The section `task`."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, model_validator

from biotune.errors import UserError
from biotune.study.definition.section import Section, conflict
from biotune.tasks import full_name


def _task_name(name: str) -> str:
    """A built-in task's name, or that of a user's own task with the absolute path of its file."""
    try:
        return full_name(name)
    except UserError as error:
        raise ValueError(error) from None


class TaskConfig(Section):
    """The task, and its data. Further keys are options of the task itself, such as `pattern_length`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: Annotated[str, AfterValidator(_task_name)] = Field("seq_mem", description="built-in, or file.py:Class")
    trials: int = Field(
        500, ge=2, le=1_000_000_000, description="trials per replicate, training and validation together"
    )
    train_share: FiniteFloat = Field(0.8, gt=0, lt=1, description="share of the trials used for training")
    batch: int = Field(128, ge=1, le=1_000_000_000, description="trials per update")

    @model_validator(mode="after")
    def _both_parts(self) -> Self:
        train = round(self.trials * self.train_share)
        if not 0 < train < self.trials:
            reason = f"{self.trials} trials at train_share {self.train_share} leave none for training or for validation"
            raise conflict(reason, "trials", "train_share")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The task's name and its own options, for `biotune.tasks.make_task`."""
        return {"name": self.name, **(self.model_extra or {})}

    def overridden(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Another task takes over none of this one's own options."""
        another = "name" in changes and changes["name"] != self.name
        return self.model_dump(exclude=set(self.model_extra or {}) if another else None) | dict(changes)
