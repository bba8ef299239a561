"""From a YAML file to a validated study: overrides, arms, and error messages."""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from biotune.errors import UserError, suggestion
from biotune.results import GAIN_KEYS, POSITIVE_CONTROL
from biotune.study.definition.comparisons import ArmConfig
from biotune.study.definition.conditions import make_conditions
from biotune.study.definition.config import StudyConfig
from biotune.study.definition.mistakes import Mistake, Mistakes, conflict_of, every_mistake, related, validated
from biotune.study.definition.networks import ConnectomeConfig, NetworkConfig, TopologyConfig
from biotune.study.definition.phases import ConfirmConfig, Domain, SearchConfig, settings_at_ends
from biotune.study.definition.section import Section
from biotune.study.definition.study import Arm, Study, with_setting
from biotune.study.definition.task import TaskConfig
from biotune.study.definition.yaml_source import Location, YamlSource, parse_value, read_yaml
from biotune.tasks import make_task

_SECTIONS: dict[str, type[Section]] = {
    "connectome": ConnectomeConfig,
    "topology": TopologyConfig,
    "network": NetworkConfig,
}

_TUNABLE = {key: section for section in ("network", "topology") for key in _SECTIONS[section].model_fields}
"""Key -> the section that it is a key of."""

_MOST_SETTINGS = 4096
"""At which each arm is checked; if there are more, a worker refuses a bad one when it meets it."""


def load_study(
    file: Path | str,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    arms: Sequence[str] | None = None,
    quick: bool = False,
    added: Mapping[str, Any] | None = None,
    run_task: bool = True,
) -> Study:
    """Reads and validates a study.

    Args:
        file: the YAML file.
        overrides: each `key.path=value`, as for `--set`; the value is read as YAML.
        seed: replaces the file's.
        arms: the arms of the file to keep; the reference arm is always kept.
        quick: cut the study down to a first look, see `QUICK`; a note says what is left out.
        added: conditions, name -> what it overrides, that came after the study was started; no part of its digest.
        run_task: whether to make the task too, which runs the file of a user's own task.

    Raises:
        UserError: with a line for each mistake: file, line, key, what was found, what is possible.
    """
    source = read_yaml(file)
    content = source.content
    if not isinstance(content, dict):
        raise UserError(f"{file}: must be a mapping of keys (name, arms, tune, ...), found {type(content).__name__}")
    content = copy.deepcopy(content)
    problems = list(source.problems)
    notes = _resolve_paths(content, Path(file).parent)
    changed: dict[Location, str] = {}
    for override in overrides:
        path = tuple(override.partition("=")[0].strip().split("."))
        try:
            _override(content, override, path)
        except UserError as error:
            problems.append(str(error))
        else:
            changed[path] = f"--set {'.'.join(path)}"
    if seed is not None:
        content["seed"], changed[("seed",)] = seed, "--seed"
    if arms is not None:
        problems += _keep_arms(content, arms, source)
    if quick:
        notes += _cut_down(content)
    content.setdefault("description", source.comment)
    if added:
        content["conditions"] = {**(content.get("conditions") or {"primary": {}}), **added}

    def where(keys: Sequence[Location]) -> str:
        """The place of the first key, and the options that have changed it or another."""
        options = [option for key in keys for path, option in changed.items() if related(path, key)]
        own = any(keys[0][: len(path)] == path for path in changed)
        return ", ".join(dict.fromkeys([*([] if own else [source.where(keys[0])]), *options]))

    try:
        study = every_mistake(content, lambda rest: _study(rest, notes, run_task), _with_stand_ins)
    except Mistakes as mistakes:
        in_order = sorted(mistakes.found, key=lambda mistake: source.line(mistake.about[0]))
        problems += [mistake.line(content, where) for mistake in in_order]
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    return study.with_added(added) if added else study


def _study(content: dict[str, Any], notes: Sequence[str], run_task: bool) -> Study:
    """The study that the content describes.

    Raises:
        Mistakes: some of those that are in it, see `every_mistake`.
    """
    config = validated(StudyConfig, content, content)
    arms: dict[str, Arm] = {}
    found: list[Mistake] = []
    for name, overrides in config.arms.items():
        try:
            arms[name] = _merge(config, overrides, name, content)
        except Mistakes as mistakes:
            found += mistakes.found
        else:
            found += _check_tune(config.tune, arms[name], overrides)
    if found:
        raise Mistakes(found)

    def origin(arm: str, section: str) -> Callable[[Location], Location]:
        return _origin(config.arms[arm], arm, section)

    conditions = make_conditions(config, arms, content, origin)
    if config.positive_control is not None:
        arms[POSITIVE_CONTROL] = _control(config, arms[config.reference_arm])
    if run_task:
        _check_task(config.task, ("task",))
        for name, condition in config.conditions.items():
            if condition.task:
                _check_task(conditions[name].task, ("conditions", name, "task"))
    return Study(config, arms, conditions, notes)


def _with_stand_ins(content: dict[str, Any], gone: Collection[Location]) -> dict[str, Any]:
    """The content with something for each key that a study must have and that was taken out, so that the rest can be
    read."""

    def lost(*key: str) -> bool:
        return any(taken[: len(key)] == key for taken in gone)

    needed = {"name": "study", "arms": {"arm": {}}, "tune": {"learning_rate": _untuned("learning_rate")}}
    content = content | {key: value for key, value in needed.items() if lost(key) and not content.get(key)}
    arms, tune = content.get("arms"), content.get("tune")
    if isinstance(arms, dict) and lost("reference_arm"):
        content.setdefault("reference_arm", next(iter(arms), ""))
    if isinstance(tune, dict):
        domains = {key: domain or _untuned(key) if lost("tune", key) else domain for key, domain in tune.items()}
        content["tune"] = domains
    return content


def _untuned(key: str) -> dict[str, Any]:
    """The domain of a key with its default alone."""
    return {"choice": [_SECTIONS[_TUNABLE[key]].model_fields[key].default]} if key in _TUNABLE else {}


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

    sections = [("", content), *((f"arms.{n}.", arm) for n, arm in _items(content.get("arms")))]
    for prefix, section in sections:
        connectome = section.get("connectome") if isinstance(section, dict) else None
        if isinstance(connectome, dict) and isinstance(connectome.get("path"), str):
            connectome["path"] = resolved(connectome["path"], f"{prefix}connectome.path")
    holders = [("", content), *((f"conditions.{n}.", held) for n, held in _items(content.get("conditions")))]
    for prefix, holder in holders:
        task = holder.get("task") if isinstance(holder, dict) else None
        if isinstance(task, dict) and isinstance(task.get("name"), str):
            file, colon, kind = task["name"].rpartition(":")
            if colon and file.endswith(".py"):
                task["name"] = f"{resolved(file, f'{prefix}task.name')}:{kind}"
    return notes


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    """The items of a mapping; of anything else none, since validation reports it."""
    return list(mapping.items()) if isinstance(mapping, dict) else []


def _override(content: dict[str, Any], override: str, path: tuple[str, ...]) -> None:
    """Sets one `key.path=value` in place."""
    name, equals, value = override.partition("=")
    if not equals or not name.strip():
        raise UserError(f"--set {override!r}: give it as key.path=value, such as search.trials_per_arm=4")
    place = content
    for depth, key in enumerate(path[:-1]):
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
        if not isinstance(place, dict):
            within = ".".join(path[: depth + 1])
            raise UserError(f"--set {override}: {within} is not a mapping, it has no keys to set")
    place[path[-1]] = parse_value(value, ".".join(path))


def _keep_arms(content: dict[str, Any], names: Sequence[str], source: YamlSource) -> list[str]:
    """Leaves the named arms and the reference arm; returns a line for each name that is no arm's."""
    known = content.get("arms")
    if not isinstance(known, dict):
        return []  # validation reports it
    keep = {*names, content.get("reference_arm")}
    content["arms"] = {name: arm for name, arm in known.items() if name in keep} or known
    return [
        f"--arms: no arm {name!r} in {source.file}; {suggestion(name, known)}it has {', '.join(known)}"
        for name in names
        if name not in known
    ]


QUICK = {
    "search": {"trials_per_arm": 4, "shared_settings": 4, "replicates": 2, "max_epochs": 10, "grace": 4},
    "confirm": {"replicates": 4, "max_epochs": 24},
}
"""Section -> key -> the most that a first look has of it."""


def _cut_down(content: dict[str, Any]) -> list[str]:
    """Cuts a study down to a first look; returns a note of what is left out."""
    less: list[str] = []
    confirm = content.setdefault("confirm", {})
    if isinstance(confirm, dict) and (looks := confirm.pop("looks", None)):
        less.append("without planned looks")
        if isinstance(looks, list):
            confirm.setdefault("replicates", looks[0])
    sections: dict[str, type[BaseModel]] = {"search": SearchConfig, "confirm": ConfirmConfig}
    for name, model in sections.items():
        section = content.setdefault(name, {})
        if not isinstance(section, dict) or section.get("sampler") == "grid":
            continue  # validation reports the one; a grid's trials are all of its combinations
        for key, most in QUICK[name].items():
            found = section.get(key, model.model_fields[key].default)
            if isinstance(found, int) and found > most:
                section[key] = most
                less.append(f"{name}.{key} {most} instead of {found}")
    conditions = _items(content.get("conditions"))
    if len(conditions) > 1:
        content["conditions"] = dict(conditions[:1])
        less.append(f"without the conditions {', '.join(str(name) for name, _ in conditions[1:])}")
    if content.pop("gain", None):
        less.append("without the gain sweep")
    content["quick"] = True
    return [f"--quick: a first look, and no result: {', '.join(less) or 'nothing had to be left out'}"]


def _merge(config: StudyConfig, overrides: ArmConfig, name: str, content: dict[str, Any]) -> Arm:
    """An arm: the study's sections with its overrides.

    Raises:
        Mistakes: these don't fit.
    """
    sections: dict[str, Any] = {}
    found: list[Mistake] = []
    for section, model in _SECTIONS.items():
        merged = getattr(config, section).overridden(getattr(overrides, section))
        try:
            sections[section] = validated(model, merged, content, _origin(overrides, name, section))
        except Mistakes as mistakes:
            found += mistakes.found
    if found:
        raise Mistakes(found)
    return Arm(name=name, **sections, null=overrides.null_model)


def _origin(overrides: ArmConfig, arm: str, section: str) -> Callable[[Location], Location]:
    """From a place in an arm's section to where it was set: in the arm, or in the study's own section."""

    def origin(location: Location) -> Location:
        of_the_study = location and location[0] not in getattr(overrides, section)
        return (section, *location) if of_the_study else ("arms", arm, section, *location)

    return origin


def _control(config: StudyConfig, reference: Arm) -> Arm:
    """The positive control: the reference arm with its recurrent weights frozen, or its spectral radius quartered.

    A quarter of the Frobenius norm, where that is what is set, is a quarter of the radius too.

    Raises:
        Mistakes: in this study that changes nothing, or can't be done.
    """

    def impossible(reason: str, *keys: Location) -> Mistakes:
        return Mistakes([Mistake((("positive_control",), *keys), reason)])

    def of_reference(section: str, key: str) -> tuple[Location, Location]:
        return ("reference_arm",), _origin(config.arms[reference.name], reference.name, section)((key,))

    if POSITIVE_CONTROL in config.arms:
        reason = f"adds an arm {POSITIVE_CONTROL}, and there is one of that name; rename yours"
        raise impossible(reason, ("arms", POSITIVE_CONTROL))
    frozen = config.positive_control == "frozen"
    for key in ("freeze_recurrent",) if frozen else GAIN_KEYS:
        if key in config.tune:
            reason = f"{config.positive_control} sets {key}, which is tuned; use the other control, or don't tune it"
            raise impossible(reason, ("tune", key))
    network, topology = reference.network, reference.topology
    if network.start_from is not None and network.start_from.arm is None:
        start = network.start_from.model_copy(update={"arm": reference.name})
        network = network.model_copy(update={"start_from": start})
    if frozen:
        if network.freeze_recurrent:
            reason = "frozen, but the reference arm's recurrent weights are; use quarter_radius"
            raise impossible(reason, *of_reference("network", "freeze_recurrent"))
        network = network.model_copy(update={"freeze_recurrent": True})
        return replace(reference, name=POSITIVE_CONTROL, network=network)
    scales = {key: scale for key in GAIN_KEYS if (scale := getattr(topology, key)) is not None}
    if not scales or network.start_from is not None:
        why = "that of trained networks" if scales else "as it comes"
        cause = ("network", "start_from") if scales else ("topology", "spectral_radius")
        reason = f"quarter_radius, but the reference arm's spectral radius is {why}; set it, or use frozen"
        raise impossible(reason, *of_reference(*cause))
    topology = topology.model_copy(update={key: scale / 4 for key, scale in scales.items()})
    return replace(reference, name=POSITIVE_CONTROL, topology=topology)


def _check_tune(tune: Mapping[str, Domain], arm: Arm, overrides: ArmConfig) -> list[Mistake]:
    """What of `tune` cannot be tuned, is set by the arm too, or has too wide a range."""
    found = []
    for key, domain in tune.items():
        if key not in _TUNABLE:
            reason = f"cannot tune {key!r}; {suggestion(key, _TUNABLE)}tunable: {', '.join(_TUNABLE)}"
            found.append(Mistake((("tune", key),), reason))
            continue
        section = _TUNABLE[key]
        own = getattr(overrides, section)
        if key in own:
            reason = "is tuned, so an arm cannot set it; remove it here or from tune"
            found.append(Mistake((("arms", arm.name, section, key),), reason))
        for other in GAIN_KEYS if key in GAIN_KEYS else ():
            if other in own and other not in tune:
                reason = f"{key} is tuned in its place, so an arm cannot set it; remove it here, or {key} from tune"
                found.append(Mistake((("arms", arm.name, section, other),), reason))
        for value in domain.ends:
            try:
                with_setting(getattr(arm, section), {key: value})
            except ValidationError as error:
                if conflict_of(error) is None:  # if it is one, `_check_settings` reports it
                    reason = f"{value!r} is not allowed ({error.errors()[0]['msg']})"
                    found.append(Mistake((("tune", key),), reason))
    return found or _check_settings(tune, arm, overrides)


def _check_settings(tune: Mapping[str, Domain], arm: Arm, overrides: ArmConfig) -> list[Mistake]:
    """The rules broken by a setting at the ends of the ranges, each of whose values alone is allowed."""
    found: dict[str, Mistake] = {}
    for setting in settings_at_ends(tune, _MOST_SETTINGS):
        for section in ("network", "topology"):
            try:
                with_setting(getattr(arm, section), setting)
            except ValidationError as error:
                conflict = conflict_of(error)
                if conflict is None:
                    raise
                reason, keys = conflict
                origin = _origin(overrides, arm.name, section)
                tuned = [key for (key,) in keys if key in setting]
                about = (*(("tune", key) for key in tuned), *(origin(key) for key in keys if key[0] not in setting))
                values = ", ".join(f"{key} {setting[key]!r}" for key in tuned)
                found.setdefault(reason, Mistake(about, f"{values} cannot be combined ({reason})"))
    return list(found.values())


def _check_task(task: TaskConfig, where: Location) -> None:
    """Makes the task, whose keys are at that place.

    Raises:
        Mistakes: it has no such option, an option's value is wrong, or a user's own task can't be made.
    """

    def failure(options: Mapping[str, Any]) -> str | None:
        try:
            make_task(**options)
        except UserError as error:
            return str(error)
        return None

    reason = failure(task.options)
    if reason is not None:  # it is about the options without which it would be another
        own = [key for key in task.options if key != "name"]
        guilty = [key for key in own if failure({k: v for k, v in task.options.items() if k != key}) != reason]
        raise Mistakes([Mistake((*((*where, key) for key in guilty), (*where, "name")), reason)])
