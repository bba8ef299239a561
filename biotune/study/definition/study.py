"""From a YAML file to a validated study, and from a study to the plan of any of its trials."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

from biotune.connectome import Connectome
from biotune.digests import study_digest
from biotune.network import NetworkOptions
from biotune.results import GAIN_KEYS
from biotune.results.documents import Gain
from biotune.study.definition.comparisons import NullConfig
from biotune.study.definition.config import StudyConfig
from biotune.study.definition.networks import ConnectomeConfig, NetworkConfig, TopologyConfig
from biotune.study.definition.section import Section
from biotune.study.definition.task import TaskConfig
from biotune.tasks import Task, make_task
from biotune.training import Start, TrialPlan, updates_per_epoch

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


@dataclass(frozen=True)
class Condition:
    """What all arms are confirmed under: the keys in which it differs from the study.

    Attributes:
        task: with the condition's keys. topology, network: the keys themselves.
        replicates: that are confirmed, from the first on.
        gain: its place in the gain sweep, if it is part of that.
    """

    name: str
    task: TaskConfig
    topology: Mapping[str, Any]
    network: Mapping[str, Any]
    replicates: int
    gain: Gain | None = None

    def of(self, arm: Arm, setting: Setting) -> Arm:
        """An arm at a tuned setting under this condition, which has the last word.

        Raises:
            ValidationError: the values don't go together.
        """
        return replace(
            arm,
            topology=with_setting(with_setting(arm.topology, setting), self.topology),
            network=with_setting(with_setting(arm.network, setting), self.network),
        )


class Study:
    """A validated study.

    Attributes:
        config: as written, with defaults.
        arms: name -> arm; if there is a positive control, it is the last.
        conditions: name -> condition; the first is the primary, and those of the gain sweep are the last. Those that
            were added after the study was started are here, and not in the config.
        notes: what a user has to know about how it was read.
    """

    def __init__(
        self,
        config: StudyConfig,
        arms: Mapping[str, Arm],
        conditions: Mapping[str, Condition],
        notes: Sequence[str] = (),
    ) -> None:
        self.config, self.arms, self.conditions, self.notes = config, arms, conditions, notes
        self._tasks: dict[str, Task] = {}

    @property
    def primary(self) -> str:
        """The name of the condition that the study's own sections describe."""
        return next(iter(self.conditions))

    @property
    def task(self) -> Task:
        """The task of the primary condition, see `task_of`."""
        return self.task_of(self.primary)

    def task_of(self, condition: str) -> Task:
        """The task of a condition, made from its options; this runs the file of a user's own task.

        Raises:
            UserError: an option of the task isn't known, or its value isn't allowed.
        """
        config = self.conditions[condition].task
        key = json.dumps(config.options, sort_keys=True, default=str)
        if key not in self._tasks:
            self._tasks[key] = make_task(**config.options)
        return self._tasks[key]

    def __reduce__(self) -> tuple[type["Study"], tuple[StudyConfig, Mapping[str, Arm], Mapping[str, Condition]]]:
        # a worker makes the task itself, since it may not know the class of a user's own task
        return Study, (self.config, self.arms, self.conditions)

    def resolved(self) -> dict[str, Any]:
        """The content of `study.yaml`: the study with every default written out. Reading that gives the same study."""
        content = self.config.model_dump(mode="json", by_alias=True)
        content["task"] |= {field.name: getattr(self.task, field.name) for field in fields(self.task)}  # type: ignore[arg-type]
        content["arms"] = {
            name: arm.model_dump(mode="json", by_alias=True, exclude_unset=True)
            | ({"null": arm.null_model.model_dump(mode="json")} if arm.null_model else {})
            for name, arm in self.config.arms.items()
        }
        content["conditions"] = {
            name: condition.model_dump(mode="json", exclude_unset=True)
            for name, condition in self.config.conditions.items()
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
        return Study(self.config.model_copy(update={"confirm": confirm}), self.arms, self.conditions)

    def with_added(self, added: Collection[str]) -> "Study":
        """The same study, of whose conditions these were added after it was started."""
        planned = {name: held for name, held in self.config.conditions.items() if name not in added}
        config = self.config.model_copy(update={"conditions": planned})
        return Study(config, self.arms, self.conditions, self.notes)

    def blocks(self, replicates: int, first: int = 0) -> list[tuple[int, ...]]:
        """The replicates of a cell from the first on as they are confirmed: those of each block are trained together.

        Args:
            replicates: number of them, those before the first counted too.
        """
        size = self.config.confirm.population
        starts = range(first, replicates, size)
        return [tuple(range(start, min(start + size, replicates))) for start in starts]

    def arms_under(self, condition: str) -> list[str]:
        """The arms that are confirmed under a condition: all, but the positive control under the primary alone."""
        return [arm for arm in self.arms if arm in self.config.arms or condition == self.primary]

    @property
    def beside_primary(self) -> list[tuple[str, int]]:
        """Each condition but the primary, and how many replicates of an arm are confirmed under it. Those of the gain
        sweep are here twice, since they are confirmed on the seeds of the search too."""
        further = list(self.conditions.values())[1:]
        searched = [(one.name, self.config.search.replicates) for one in further if one.gain is not None]
        return [(one.name, one.replicates) for one in further] + searched

    @property
    def first_setting(self) -> Setting:
        """The first value of each tuned range or choice: a setting for measurements and checks."""
        return {key: domain.ends[0] for key, domain in self.config.tune.items()}

    def level(self, condition: str) -> float:
        """The criterion under a condition, an absolute loss."""
        return self.config.criterion.fraction_of_null * self.task_of(condition).null_loss

    def updates_per_epoch(self, condition: str) -> int:
        """Optimiser steps per epoch under a condition."""
        task = self.conditions[condition].task
        return updates_per_epoch(task.trials, task.train_share, task.batch)

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
        condition: str | None = None,
    ) -> TrialPlan:
        """The plan of one trial.

        Args:
            arm, setting: of the networks. phase: "search" or "confirm". replicates: of that phase.
            connectome, start: that they are made from. backend, device: that they run on.
            condition: None: the primary.
        """
        config, under = self.config, self.conditions[condition or self.primary]
        chosen = under.of(self.arms[arm], setting)
        network, topology, task = chosen.network, chosen.topology, under.task
        return TrialPlan(
            task=task.options,
            trials=task.trials,
            train_share=task.train_share,
            batch=task.batch,
            connectome=connectome,
            topology=topology.model_dump(exclude={*GAIN_KEYS, "gain", "draw"}),
            draw=topology.draw,
            null=None if chosen.null is None else chosen.null.model_dump(),
            network=NetworkOptions(
                **network.model_dump(exclude={"start_from"}),
                radius=topology.spectral_radius,
                norm=topology.frobenius_norm,
                gain=topology.gain,
            ),
            seed=config.seed,
            phase=phase,
            replicates=tuple(replicates),
            max_epochs=config.search.max_epochs if phase == "search" else config.confirm.max_epochs,
            level=self.level(under.name),
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
