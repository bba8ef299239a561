"""From a YAML file to a validated study, and from a study to the plan of any of its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

from biotune.connectome import Connectome
from biotune.digests import study_digest
from biotune.network import NetworkOptions
from biotune.results import GAIN_KEYS
from biotune.study.definition.config import (
    ConnectomeConfig,
    NetworkConfig,
    NullConfig,
    Section,
    StudyConfig,
    TopologyConfig,
)
from biotune.tasks import Task, make_task
from biotune.training import Start, TrialPlan

Setting = Mapping[str, Any]
"""One value for each key of `tune`."""

AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True)
class Arm:
    """A way of wiring that is compared, its overrides merged into the study's sections."""

    name: str
    connectome: ConnectomeConfig
    topology: TopologyConfig
    network: NetworkConfig
    null: NullConfig | None


class Study:
    """A validated study.

    Attributes:
        config: as written, with defaults.
        arms: name -> arm; if there is a positive control, it is the last.
        notes: what a user has to know about how it was read.
    """

    def __init__(self, config: StudyConfig, arms: Mapping[str, Arm], notes: Sequence[str] = ()) -> None:
        self.config, self.arms, self.notes = config, arms, notes

    @cached_property
    def task(self) -> Task:
        """The task, made from its options; this runs the file of a user's own task.

        Raises:
            UserError: an option of the task isn't known, or its value isn't allowed.
        """
        return make_task(**self.config.task.options)

    def __reduce__(self) -> tuple[type["Study"], tuple[StudyConfig, Mapping[str, Arm]]]:
        # a worker makes the task itself, since it may not know the class of a user's own task
        return Study, (self.config, self.arms)

    def resolved(self) -> dict[str, Any]:
        """The content of `study.yaml`: the study with every default written out. Reading that gives the same study."""
        content = self.config.model_dump(mode="json", by_alias=True)
        content["task"] |= {field.name: getattr(self.task, field.name) for field in fields(self.task)}  # type: ignore[arg-type]
        content["arms"] = {
            name: arm.model_dump(mode="json", by_alias=True, exclude_unset=True)
            | ({"null": arm.null_model.model_dump(mode="json")} if arm.null_model else {})
            for name, arm in self.config.arms.items()
        }
        content["tune"] = {
            key: domain.model_dump(mode="json", exclude_none=True) for key, domain in self.config.tune.items()
        }
        return content

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the resolved study, see `biotune.digests`."""
        return study_digest(self.resolved())

    def with_population(self, population: int) -> "Study":
        """The same study, with confirm blocks of so many replicates."""
        confirm = self.config.confirm.model_copy(update={"population": population})
        return Study(self.config.model_copy(update={"confirm": confirm}), self.arms)

    @property
    def blocks(self) -> list[tuple[int, ...]]:
        """The replicates of a cell as they are confirmed: those of each block are trained together."""
        confirm = self.config.confirm
        starts = range(0, confirm.replicates, confirm.population)
        return [tuple(range(first, min(first + confirm.population, confirm.replicates))) for first in starts]

    @property
    def first_setting(self) -> Setting:
        """The first value of each tuned range or choice: a setting for measurements and checks."""
        return {key: domain.ends[0] for key, domain in self.config.tune.items()}

    @property
    def level(self) -> float:
        """The criterion, an absolute loss."""
        return self.config.criterion.fraction_of_null * self.task.null_loss

    def plan(
        self,
        arm: str,
        setting: Setting,
        *,
        phase: str,
        replicates: Sequence[int],
        connectome: Connectome,
        backend: str,
        device: str,
        start: Start | None = None,
    ) -> TrialPlan:
        """The plan of one trial: an arm with one setting, on the given replicates of a phase ("search", "confirm")."""
        config, chosen = self.config, self.arms[arm]
        network, topology = with_setting(chosen.network, setting), with_setting(chosen.topology, setting)
        return TrialPlan(
            task=config.task.options,
            trials=config.task.trials,
            train_share=config.task.train_share,
            batch=config.task.batch,
            connectome=connectome,
            topology=topology.model_dump(exclude={*GAIN_KEYS, "draw"}),
            draw=topology.draw,
            null=None if chosen.null is None else chosen.null.model_dump(),
            network=NetworkOptions(
                **network.model_dump(exclude={"start_from"}),
                radius=topology.spectral_radius,
                norm=topology.frobenius_norm,
            ),
            seed=config.seed,
            phase=phase,
            replicates=tuple(replicates),
            max_epochs=config.search.max_epochs if phase == "search" else config.confirm.max_epochs,
            level=self.level,
            sustain=config.criterion.sustain,
            backend=backend,
            device=device,
            start=start,
            study=self.digest,
        )


def with_setting(section: AnySection, setting: Setting) -> AnySection:
    """A section with those tuned values that are keys of it, in place of its own."""
    own = {key: value for key, value in setting.items() if key in type(section).model_fields}
    return type(section).model_validate(section.overridden(own))
