"""A study to start from: the default study's choices, every other key as a comment, each with what it is for."""

import copy
import inspect
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from biotune.connectome import Connectome
from biotune.study.definition.config import StudyConfig
from biotune.study.definition.examples import example
from biotune.study.definition.yaml_source import read_yaml
from biotune.topology import NULLS

PLACE = 38
"""The column that comments begin in."""
WIDTH = 120
MOST_REGIONS = 150
"""A connectome with more nodes is laid out with one neuron per node."""
_ARMS = {"weights": "weights_shuffled", "degrees": "degree_preserving", "random": "erdos_renyi"}


def template(name: str, connectome: Connectome, named: Mapping[str, str]) -> str:
    """The text of a study's YAML.

    Args:
        name: of the study.
        connectome: that its arms are made of.
        named: what the study names it by: its `name`, or the absolute `path` of a file.
    """
    chosen = _chosen(connectome, named)
    known = named.get("name", connectome.name)
    reference = name_of_arm(known)
    lines = [
        f"# Does the wiring of {known} make a recurrent network learn faster than its rewired versions do?",
        "",
        "# What stands behind a # is a key with its default.",
        _own("name", name),
        _own("seed", chosen["seed"]),
        *_section("task", chosen["task"]),
        *_section("connectome", chosen["connectome"]),
        *_section("topology", chosen["topology"]),
        *_section("network", chosen["network"]),
        _commented("arms:", "what is compared; an arm may override any key of connectome, topology, network"),
        _commented(f"  {reference}: {{}}", "the connectome as it is"),
    ]
    for arm, null in _ARMS.items():
        lines.append(_commented(f"  {arm}: {{null: {{name: {null}, level: region}}}}", f"keeps {NULLS[null].keeps}"))
    lines += [
        _line("reference_arm", reference, "whose updates to criterion the others' are divided by"),
        _commented("conditions:", "what all arms are confirmed under; the first is what the other sections say"),
        "  primary: {}",
    ]
    for condition, held in chosen["conditions"].items():
        if condition != "primary":
            lines.append(f"  {_flow(condition)}: {_flow(held)}")
    lines.append(_commented("tune:", "per arm; never the arm itself"))
    lines += [f"  {key}: {_flow(domain)}" for key, domain in chosen["tune"].items()]
    for section in ("search", "confirm", "criterion"):
        lines += _section(section, chosen[section])
    lines.append(_own("equivalence_margin", chosen["equivalence_margin"]))
    return "\n".join(lines) + "\n"


def name_of_arm(name: str) -> str:
    """A connectome's name as that of an arm: other signs than letters, digits and `_.+-` become `_`."""
    signs = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_.+-") else "_" for sign in name)
    return signs.lstrip("_.+-")[:40] or "connectome"


def _chosen(connectome: Connectome, named: Mapping[str, str]) -> dict[str, Any]:
    """The default study's content, for this connectome."""
    content = copy.deepcopy(read_yaml(example("seq_mem")).content)
    if named.get("name") != content["connectome"]["name"]:
        content["connectome"] = dict(named)
    if connectome.size > MOST_REGIONS:
        own = bool((connectome.source == connectome.target).any())
        del content["topology"]["target_sparsity"], content["topology"]["partition"]
        content["topology"] |= {"neurons_per_region": 1, "intrinsic": False, **({"keep_diagonal": True} if own else {})}
    elif connectome.signed or bool((connectome.source == connectome.target).any()):
        content["topology"] |= {"intrinsic": False}
    return content


def _section(name: str, chosen: Mapping[str, Any]) -> list[str]:
    """A section: what is chosen, and as comments what isn't."""
    model = StudyConfig.model_fields[name].annotation
    assert inspect.isclass(model)
    assert issubclass(model, BaseModel)
    said = inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    lines = [_commented(f"{name}:", said[:1].lower() + said[1:].rstrip("."))]
    descriptions = {key: field.description or "" for key, field in model.model_fields.items()}
    lines += [_line(f"  {key}", value, descriptions.get(key, "")) for key, value in chosen.items()]
    for key, field in model.model_fields.items():
        if key in chosen or not field.description or field.is_required():
            continue
        default = field.get_default()
        if default is not PydanticUndefined:
            lines.append(_line(f"  # {key}", _plain(default), field.description))
    return lines


def _own(key: str, value: Any) -> str:
    """A key of the study itself."""
    return _line(key, value, StudyConfig.model_fields[key].description or "")


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def _line(key: str, value: Any, comment: str) -> str:
    return _commented(f"{key}: {_flow(value)}", comment)


def _commented(text: str, comment: str) -> str:
    """A line with its comment; one that is too long for a screen stands above it."""
    if not comment:
        return text
    beside = f"{text:<{PLACE}} # {comment}"
    if len(beside) <= WIDTH:
        return beside
    indent = " " * (len(text) - len(text.lstrip()))
    return "\n".join([*wrap(comment, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "), text])


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
