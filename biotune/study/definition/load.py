"""From a YAML file to a validated study: overrides, arms, and error messages."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from biotune.errors import UserError, suggestion
from biotune.results import POSITIVE_CONTROL
from biotune.study.definition.config import (
    ArmConfig,
    ConnectomeConfig,
    Domain,
    NetworkConfig,
    StudyConfig,
    TopologyConfig,
)
from biotune.study.definition.study import Arm, Study, with_setting
from biotune.study.definition.yaml_source import Location, YamlSource, parse_value, read_yaml

_SECTIONS: dict[str, type[BaseModel]] = {
    "connectome": ConnectomeConfig,
    "topology": TopologyConfig,
    "network": NetworkConfig,
}


_MOST_CHECKED = 4096
"""Settings that are checked before a study starts; if there are more, a worker refuses a bad one when it meets it."""


def load_study(
    file: Path | str,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    arms: Sequence[str] | None = None,
    run_task: bool = True,
) -> Study:
    """Reads and validates a study.

    Args:
        file: the YAML file.
        overrides: each `key.path=value`, as for `--set`; the value is read as YAML.
        seed: replaces the file's.
        arms: the arms of the file to keep; the reference arm is always kept.
        run_task: whether to make the task too, which runs the file of a user's own task.

    Raises:
        UserError: with a line for each mistake: file, line, key, what was found, what is possible.
    """
    source = read_yaml(file)
    content = source.content
    if not isinstance(content, dict):
        raise UserError(f"{file}: must be a mapping of keys (name, arms, tune, ...), found {type(content).__name__}")
    content = copy.deepcopy(content)
    notes = _resolve_paths(content, Path(file).parent)
    changed: dict[Location, str] = {}
    for override in overrides:
        path = _override(content, override)
        changed[path] = f"--set {'.'.join(map(str, path))}"
    if seed is not None:
        content["seed"], changed[("seed",)] = seed, "--seed"
    if arms is not None:
        _keep_arms(content, arms, source)
    content.setdefault("description", source.comment)

    def where(location: Location) -> str:
        for length in range(len(location), 0, -1):
            if location[:length] in changed:
                return changed[location[:length]]
        within = [option for path, option in changed.items() if path[: len(location)] == location]
        return ", ".join([source.where(location), *within])

    try:
        config = StudyConfig.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_explain(error, (), content, where))) from None
    problems: list[str] = []
    merged: dict[str, Arm] = {}
    for name, arm in config.arms.items():
        sections = _merge(config, arm, name, content, where, problems)
        if sections is not None:
            merged[name] = Arm(name=name, **sections, null=arm.null_model)
            problems += _check_tune(config.tune, merged[name], arm, where)
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    if config.positive_control is not None:
        try:
            merged[POSITIVE_CONTROL] = _control(config, merged[config.reference_arm])
        except ValueError as error:
            raise UserError(f"{where(('positive_control',))}: positive_control: {error}") from None
    study = Study(config, merged, notes)
    try:
        if run_task:
            study.task  # noqa: B018  # makes it
    except UserError as error:
        raise UserError(f"{where(('task',))}: {error}") from None
    return study


def _resolve_paths(content: dict[str, Any], folder: Path) -> list[str]:
    """Makes the paths of a study's files absolute: relative to the YAML's folder, or to the present one if only that
    has such a file, which a note says."""
    notes: list[str] = []

    def resolved(path: str, key: str) -> str:
        beside, here = folder / Path(path).expanduser(), Path(path).expanduser()
        try:
            if not beside.exists() and here.exists():
                notes.append(f"{key}: {path} is not beside the study's YAML; taken from {Path.cwd()}")
                return str(here.absolute())
        except (OSError, ValueError):
            return path  # no path at all: whoever opens it says so
        return str(beside.absolute())

    arms = content.get("arms")
    sections = [("", content), *((f"arms.{n}.", arm) for n, arm in (arms.items() if isinstance(arms, dict) else ()))]
    for prefix, section in sections:
        connectome = section.get("connectome") if isinstance(section, dict) else None
        if isinstance(connectome, dict) and isinstance(connectome.get("path"), str):
            connectome["path"] = resolved(connectome["path"], f"{prefix}connectome.path")
    task = content.get("task")
    if isinstance(task, dict) and isinstance(task.get("name"), str):
        file, colon, kind = task["name"].rpartition(":")
        if colon and file.endswith(".py"):
            task["name"] = f"{resolved(file, 'task.name')}:{kind}"
    return notes


def _override(content: dict[str, Any], override: str) -> Location:
    """Sets one `key.path=value` in place; returns the path."""
    name, equals, value = override.partition("=")
    if not equals or not name.strip():
        raise UserError(f"--set {override!r}: give it as key.path=value, such as search.trials_per_arm=4")
    path = tuple(name.strip().split("."))
    place = content
    for depth, key in enumerate(path[:-1]):
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
        if not isinstance(place, dict):
            raise UserError(f"--set {override}: {'.'.join(path[: depth + 1])} is not a mapping, it has no keys to set")
    place[path[-1]] = parse_value(value)
    return path


def _keep_arms(content: dict[str, Any], names: Sequence[str], source: YamlSource) -> None:
    known = content.get("arms")
    if not isinstance(known, dict):
        return  # validation reports it
    for name in names:
        if name not in known:
            hint = suggestion(name, known)
            raise UserError(f"--arms: no arm {name!r} in {source.file}; {hint}it has {', '.join(known)}")
    keep = {*names, content.get("reference_arm")}
    content["arms"] = {name: arm for name, arm in known.items() if name in keep}


def _merge(
    config: StudyConfig, arm: ArmConfig, name: str, content: Any, where: Any, problems: list[str]
) -> dict[str, Any] | None:
    """The sections of an arm, with its overrides; if these don't fit, adds lines to `problems` and returns None."""
    sections: dict[str, Any] = {}
    for section, model in _SECTIONS.items():
        overrides = getattr(arm, section)
        try:
            sections[section] = model.model_validate(getattr(config, section).overridden(overrides))
        except ValidationError as error:
            problems += _explain(error, ("arms", name, section), content, where)
    return sections if len(sections) == len(_SECTIONS) else None


def _control(config: StudyConfig, reference: Arm) -> Arm:
    """The positive control: the reference arm with its recurrent weights frozen, or its spectral radius quartered.

    Raises:
        ValueError: in this study that changes nothing, or can't be done.
    """
    if POSITIVE_CONTROL in config.arms:
        raise ValueError(f"adds an arm {POSITIVE_CONTROL}, and there is one of that name; rename yours")
    key = {"frozen": "freeze_recurrent", "quarter_radius": "spectral_radius"}[config.positive_control or ""]
    if key in config.tune:
        raise ValueError(
            f"{config.positive_control} sets {key}, which is tuned; use the other control, or don't tune it"
        )
    network, topology = reference.network, reference.topology
    if network.start_from is not None and network.start_from.arm is None:
        start = network.start_from.model_copy(update={"arm": reference.name})
        network = network.model_copy(update={"start_from": start})
    if key == "freeze_recurrent":
        if network.freeze_recurrent:
            raise ValueError("frozen, but the reference arm's recurrent weights are; use quarter_radius")
        return replace(reference, name=POSITIVE_CONTROL, network=network.model_copy(update={key: True}))
    if topology.spectral_radius is None or network.start_from is not None:
        why = "as it comes" if topology.spectral_radius is None else "that of trained networks"
        raise ValueError(f"quarter_radius, but the reference arm's spectral radius is {why}; set it, or use frozen")
    topology = topology.model_copy(update={key: topology.spectral_radius / 4})
    return replace(reference, name=POSITIVE_CONTROL, topology=topology)


def _check_tune(tune: Mapping[str, Domain], arm: Arm, overrides: ArmConfig, where: Any) -> list[str]:
    """A line for each key of `tune` that cannot be tuned, that the arm sets too, or whose range is too wide."""
    problems = []
    known = {key: section for section in ("network", "topology") for key in _SECTIONS[section].model_fields}
    for key, domain in tune.items():
        if key not in known:
            hint = suggestion(key, known)
            problems.append(f"{where(('tune', key))}: tune: cannot tune {key!r}; {hint}tunable: {', '.join(known)}")
            continue
        section = known[key]
        if key in getattr(overrides, section):
            problems.append(
                f"{where(('arms', arm.name, section, key))}: arms.{arm.name}.{section}.{key}: is tuned, so an arm "
                "cannot set it; remove it here or from tune"
            )
        for value in domain.ends:
            try:
                with_setting(getattr(arm, section), {key: value})
            except ValidationError as error:
                if error.errors()[0]["loc"]:  # if not, it is about several keys: `_check_settings` reports it
                    reason = error.errors()[0]["msg"]
                    problems.append(f"{where(('tune', key))}: tune.{key}: {value!r} is not allowed ({reason})")
    return problems or _check_settings(tune, arm, where)


def _check_settings(tune: Mapping[str, Domain], arm: Arm, where: Any) -> list[str]:
    """A line for each rule broken by a setting at the ends of the ranges, each of whose values alone is allowed."""
    settings = itertools.product(*([(key, value) for value in domain.ends] for key, domain in tune.items()))
    problems: dict[str, str] = {}
    for setting in itertools.islice(map(dict, settings), _MOST_CHECKED):
        for section in (arm.network, arm.topology):
            try:
                with_setting(section, setting)
            except ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Value error, ")
                values = ", ".join(f"{key} {value!r}" for key, value in setting.items())
                problems.setdefault(reason, f"{where(('tune',))}: tune: {values} cannot be combined ({reason})")
    return list(problems.values())


def _explain(error: ValidationError, prefix: Location, content: Any, where: Any) -> list[str]:
    """A line for each wrong key: where it is, which key, what is wrong, what was found.

    For a key that may be of several types pydantic reports a mistake for each type; the line is about the type found.
    """
    lines: dict[Location, str] = {}
    mistakes = sorted(error.errors(), key=lambda mistake: _about_the_type(mistake["type"]))
    for mistake in mistakes:
        context = mistake.get("ctx", {})
        location = (*prefix, *mistake["loc"], *([context["key"]] if "key" in context else []))
        # pydantic adds the branches of a union to the path: keep only the parts that the content has, or that it misses
        path: list[str | int] = []
        place = content
        for part in location:
            if isinstance(place, dict) and (part in place or mistake["type"] == "missing"):
                path.append(part)
                place = place.get(part)
            elif isinstance(place, list) and isinstance(part, int):
                path.append(part)
                place = place[part]
        key = ".".join(map(str, path))
        message = mistake["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        found = mistake["input"]
        own_words = mistake["type"].startswith(("unknown", "not_a", "value_error"))
        if mistake["type"] == "missing":
            message = "this key is missing"
        elif not own_words and isinstance(found, bool | int | float | str | None):
            message += f", found {found!r}"
        line = f"{where(tuple(path))}: {key}: {message}" if key else f"{where(())}: {message}"
        if not any(other[: len(path)] == tuple(path) for other in lines):
            lines[tuple(path)] = line
    return list(lines.values())


def _about_the_type(kind: str) -> bool:
    return kind.endswith(("_type", "_parsing")) or kind == "not_a_mapping"
