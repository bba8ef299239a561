"""The conditions of a study: what all arms are confirmed under, from the YAML's overrides and from the gain sweep."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from biotune.results.documents import Gain
from biotune.study.definition.comparisons import CONDITION_SECTIONS, ConditionConfig
from biotune.study.definition.config import StudyConfig
from biotune.study.definition.mistakes import Mistake, Mistakes, conflict_of, validated
from biotune.study.definition.phases import settings_at_ends
from biotune.study.definition.study import Arm, Condition
from biotune.study.definition.task import TaskConfig
from biotune.study.definition.yaml_source import Location

_OF_TRAINED_NETWORKS = ("optimizer", "learning_rate", "weight_decay", "momentum", "gradient_clip", "freeze_recurrent")
"""Keys of a network that can still be chosen if it starts from a trained one."""

_MOST_SETTINGS = 256
"""At which each arm is checked under each condition."""


def make_conditions(
    config: StudyConfig,
    arms: Mapping[str, Arm],
    content: Any,
    origin: Callable[[str, str], Callable[[Location], Location]],
) -> dict[str, Condition]:
    """Name -> condition, the primary first and those of the gain sweep last.

    Args:
        config: of the study. arms: of it, without the positive control.
        content: of the YAML.
        origin: (arm, section) -> from a place in that section to where it was set.

    Raises:
        Mistakes: a key isn't known, a value isn't allowed, or it doesn't go with an arm or a tuned setting.
    """
    conditions: dict[str, Condition] = {}
    found: list[Mistake] = []
    for name, overrides in config.conditions.items():
        try:
            conditions[name] = _condition(config, arms, name, overrides, content, origin)
        except Mistakes as mistakes:
            found += mistakes.found
    if config.gain is not None and (arm := _starts_from_trained(arms)) is not None:
        reason = f"cannot be swept of trained networks, and arm {arm.name} starts from some"
        found.append(Mistake((("gain",),), reason))
    for condition in _gain_sweep(config):
        if condition.name in conditions:
            reason = f"is the name of a part of the gain sweep; rename the condition {condition.name}"
            found.append(Mistake((("conditions", condition.name), ("gain",)), reason))
        conditions[condition.name] = condition
    if found:
        raise Mistakes(found)
    return conditions


def _condition(
    config: StudyConfig,
    arms: Mapping[str, Arm],
    name: str,
    overrides: ConditionConfig,
    content: Any,
    origin: Callable[[str, str], Callable[[Location], Location]],
) -> Condition:
    here: Location = ("conditions", name)
    found: dict[Mistake, None] = {}

    def check(section: str, model: Any, value: Any, elsewhere: Callable[[Location], Location]) -> Any:
        changed = getattr(overrides, section)

        def place(location: Location) -> Location:
            return (*here, section, *location) if location and location[0] in changed else elsewhere(location)

        try:
            return validated(model, value, content, place)
        except Mistakes as mistakes:
            for mistake in mistakes.found:  # what the condition sets itself is pointed at first
                about = sorted(mistake.about, key=lambda key: key[:2] != here)
                found[replace(mistake, about=tuple(about))] = None

    task = check("task", TaskConfig, config.task.overridden(overrides.task), lambda location: ("task", *location))
    for arm in arms.values():
        for section in ("topology", "network"):
            if changes := getattr(overrides, section):
                own = getattr(arm, section)
                check(section, type(own), own.overridden(changes), origin(arm.name, section))
    if (trained := _starts_from_trained(arms)) is not None:
        found.update(dict.fromkeys(_of_trained_networks(overrides, here, trained)))
    if found:
        raise Mistakes(found)
    condition = Condition(
        name=name,
        task=task,
        topology=overrides.topology,
        network=overrides.network,
        replicates=_at_most(overrides.replicates, config),
    )
    if overrides.changes and (clashes := _clashes(config, arms, condition, here)):
        raise Mistakes(clashes)
    return condition


def _at_most(replicates: int | None, config: StudyConfig) -> int:
    """So many of the replicates that are confirmed, or all."""
    return min(replicates or config.confirm.replicates, config.confirm.replicates)


def _starts_from_trained(arms: Mapping[str, Arm]) -> Arm | None:
    """The first arm whose networks were trained before."""
    return next((arm for arm in arms.values() if arm.network.start_from is not None), None)


def _of_trained_networks(overrides: ConditionConfig, here: Location, arm: Arm) -> Iterator[Mistake]:
    """What a condition can't change of networks that were trained before."""
    for section in CONDITION_SECTIONS:
        for key in getattr(overrides, section):
            if section != "network" or key not in _OF_TRAINED_NETWORKS:
                reason = (
                    f"cannot be changed of trained networks, and arm {arm.name} starts from some; of these a "
                    f"condition can set network: {', '.join(_OF_TRAINED_NETWORKS)}"
                )
                yield Mistake(((*here, section, key),), reason)


def _clashes(config: StudyConfig, arms: Mapping[str, Arm], condition: Condition, here: Location) -> list[Mistake]:
    """The rules that a condition breaks at tuned settings at the ends of their ranges."""
    found: dict[str, Mistake] = {}
    for setting in settings_at_ends(config.tune, _MOST_SETTINGS):
        for arm in arms.values():
            try:
                condition.of(arm, setting)
            except ValidationError as error:
                conflict = conflict_of(error)
                if conflict is None:
                    raise
                reason, _ = conflict
                values = ", ".join(f"{key} {value!r}" for key, value in setting.items())
                where = f"does not go with {values} in arm {arm.name} ({reason})"
                found.setdefault(reason, Mistake((here,), where))
    return list(found.values())


def _gain_sweep(config: StudyConfig) -> Iterator[Condition]:
    """A condition for each scale and learning rate of the sweep."""
    if config.gain is None:
        return
    for rate, scale in itertools.product(config.gain.learning_rates, config.gain.scales):
        yield Condition(
            name=f"gain-{scale:g}-rate-{rate:g}",
            task=config.task,
            topology={"gain": scale},
            network={"learning_rate": rate},
            replicates=_at_most(config.gain.replicates, config),
            gain=Gain(scale=scale, learning_rate=rate),
        )
