"""A whole study as its YAML describes it: every key, its default and its range. `docs/study.md` explains them."""

import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, field_validator, model_validator

from biotune.errors import unknown_name
from biotune.study.definition.comparisons import CONDITION_SECTIONS, ArmConfig, ConditionConfig, GainConfig
from biotune.study.definition.networks import ConnectomeConfig, NetworkConfig, TopologyConfig
from biotune.study.definition.phases import ConfirmConfig, CriterionConfig, Domain, SearchConfig
from biotune.study.definition.section import Section, conflict
from biotune.study.definition.task import TaskConfig

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=40)]
"""Of an arm or a condition: part of the names of files."""


class StudyConfig(Section):
    """A whole study."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80, description="names the results folder")
    description: str = Field("", description="the question; default: the comment at the head of the file")
    seed: int = Field(1, ge=0, description="every random number is derived from it")
    task: TaskConfig = TaskConfig()
    connectome: ConnectomeConfig = ConnectomeConfig()
    topology: TopologyConfig = TopologyConfig()
    network: NetworkConfig = NetworkConfig()
    arms: dict[Name, ArmConfig] = Field(min_length=1)
    reference_arm: str
    positive_control: Literal["frozen", "quarter_radius"] | None = Field(
        None, description="adds an arm, the reference arm made worse, which must come out different"
    )
    conditions: dict[Name, ConditionConfig] = Field({"primary": ConditionConfig()}, min_length=1)
    gain: GainConfig | None = Field(None, description="a sweep over scales of the initial recurrent matrix")
    tune: dict[str, Domain] = Field(min_length=1)
    search: SearchConfig = SearchConfig()
    confirm: ConfirmConfig = ConfirmConfig()
    criterion: CriterionConfig = CriterionConfig()
    quick: bool = Field(False, description="whether --quick has cut it down to a first look")
    equivalence_margin: FiniteFloat = Field(0.2, gt=0, description="0.2: ratios from 1/1.2 to 1.2 count as equal")

    @field_validator("arms", "conditions", mode="before")
    @classmethod
    def _a_name_alone_has_no_keys(cls, named: Any) -> Any:
        if not isinstance(named, dict):
            return named
        return {name: {} if held is None else held for name, held in named.items()}

    @field_validator("conditions")
    @classmethod
    def _conditions_differ(cls, conditions: dict[str, ConditionConfig]) -> dict[str, ConditionConfig]:
        seen: dict[str, str] = {}
        for place, (name, condition) in enumerate(conditions.items()):
            if place == 0 and condition.model_fields_set:
                reason = "the first condition is the primary, which the study's own sections describe; it has no keys"
                raise conflict(reason, *((name, key) for key in sorted(condition.model_fields_set)))
            if place and not condition.changes:
                raise conflict(f"sets no key of {', '.join(CONDITION_SECTIONS)}, so it is the primary again", name)
            other = seen.setdefault(json.dumps(condition.changes, sort_keys=True, default=str), name)
            if other != name:
                raise conflict(f"{other} and {name} set the same", name, other)
        return conditions

    @field_validator("arms")
    @classmethod
    def _arms_differ_on_every_disk(cls, arms: dict[str, ArmConfig]) -> dict[str, ArmConfig]:
        seen: dict[str, str] = {}
        for name in arms:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise conflict(
                    f"{other} and {name} differ in capitals alone, which some disks don't tell apart", name, other
                )
        return arms

    @model_validator(mode="after")
    def _grid_over_what_is_tuned(self) -> Self:
        """A grid has one trial per combination, and all arms share all of them."""
        if self.search.sampler != "grid":
            return self
        if ranges := [key for key, domain in self.tune.items() if domain.choice is None]:
            reason = f"grid needs a choice for each key of tune; {', '.join(ranges)} has another range"
            raise conflict(reason, ("search", "sampler"), *(("tune", key) for key in ranges))
        combinations = math.prod(len(domain.choice or []) for domain in self.tune.values())
        for key in ("trials_per_arm", "shared_settings"):
            if key in self.search.model_fields_set and getattr(self.search, key) != combinations:
                reason = (
                    f"sampler grid tries each of the {combinations} combinations of tune once, but {key} is "
                    f"{getattr(self.search, key)}; leave it out"
                )
                raise conflict(reason, ("search", key), ("search", "sampler"), "tune")
        search = self.search.model_copy(update={"trials_per_arm": combinations, "shared_settings": combinations})
        return self.model_copy(update={"search": search})

    @model_validator(mode="after")
    def _reference_is_an_arm(self) -> Self:
        if self.reference_arm not in self.arms:
            reason = str(unknown_name("arm", self.reference_arm, self.arms))
            raise conflict(reason, "reference_arm", ("arms", self.reference_arm))
        return self
