"""What is compared: the sections `arms`, `conditions` and `gain`."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, FiniteFloat, model_validator

from biotune.study.definition.section import Section, conflict, one_of
from biotune.topology import NULLS


class NullConfig(Section):
    """What an arm rewires, and at which level."""

    name: Annotated[str, one_of(NULLS, "null")]
    level: Literal["region", "neuron"] = Field("region", description="rewire the connectome, or its expansion")
    weights: Literal["carried", "shuffled"] = Field(
        "carried", description="each rewired edge keeps its weight, or the weights are shuffled among the rewired edges"
    )
    fraction: FiniteFloat = Field(1.0, ge=0, le=1, description="share of the edges that is rewired")


class ArmConfig(Section):
    """A treatment: a null, and the keys of connectome, topology and network in which it differs from the study."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    null_model: NullConfig | None = Field(None, alias="null")
    connectome: dict[str, Any] = Field({})
    topology: dict[str, Any] = Field({})
    network: dict[str, Any] = Field({})


class ConditionConfig(Section):
    """What all arms are confirmed under besides: the keys of task, topology and network in which it differs from the
    study, whatever an arm or a tuned setting says of them."""

    task: dict[str, Any] = Field({})
    topology: dict[str, Any] = Field({})
    network: dict[str, Any] = Field({})
    replicates: int | None = Field(None, ge=2, le=100_000, description="at most so many; null: confirm.replicates")

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """Section -> the keys that are set in it."""
        return {section: keys for section in CONDITION_SECTIONS if (keys := getattr(self, section))}


CONDITION_SECTIONS = ("task", "topology", "network")
"""The sections that a condition may override."""


class GainConfig(Section):
    """A sweep: each arm at each scale of its initial recurrent matrix, and at each learning rate."""

    scales: list[Annotated[FiniteFloat, Field(gt=0)]] = Field(min_length=3, description="values of topology.gain")
    learning_rates: list[Annotated[FiniteFloat, Field(gt=0)]] = Field(
        min_length=2, description="at each of which each scale is trained, since the best rate moves with gain"
    )
    replicates: int | None = Field(None, ge=2, le=100_000, description="at most so many; null: confirm.replicates")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for key in ("scales", "learning_rates"):
            values = getattr(self, key)
            if sorted(set(values)) != values:
                raise conflict(f"must ascend, and name no value twice, found {values}", key)
        return self
