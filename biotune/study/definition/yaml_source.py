"""YAML with the line of every key, so that an error message can give the line.

It differs from plain YAML 1.1: a key is always text (`null:` is a null model, not the value null), the same key twice
in one mapping is an error (otherwise the second would silently replace the first), `1e-3` is a number, and a date is
text. What would never end or take all memory (aliases in each other, depth) is an error.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from biotune.errors import UserError

Location = tuple[str | int, ...]

MOST_VALUES = 100_000
"""Of a file, its aliases written out."""

MOST_DEPTH = 50
"""Of mappings and lists in each other."""

_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True)
class YamlSource:
    """A YAML file's content and the line of each part.

    Attributes:
        file: as the user named it.
        content: plain dicts, lists and scalars.
        lines: the path of each key or item -> its line, from 1.
        comment: the comment lines at the head of the file, without their marks.
        problems: a line for each key that is here twice, or is no text; the content has the last, or none.
    """

    file: str
    content: Any
    lines: dict[Location, int]
    comment: str
    problems: tuple[str, ...]

    def where(self, location: Location) -> str:
        """`file:line` of a location, or of the innermost part around it that the file has."""
        line = self.line(location)
        return f"{self.file}:{line}" if line else self.file

    def line(self, location: Location) -> int:
        """The line of a location, or of the innermost part around it that the file has; 0 if it has none."""
        parts = (location[:length] for length in range(len(location), 0, -1))
        return next((self.lines[part] for part in parts if part in self.lines), 0)


def read_yaml(file: Path | str) -> YamlSource:
    """Reads a YAML file.

    Raises:
        UserError: no such file, not text, not YAML (with line and column).
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{file}: no such file; `--space NAME` means a study that comes with biotune, such as seq_mem"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        content, lines, problems = _load(text)
    except RecursionError:
        raise UserError(f"{file}: not YAML: mappings and lists are more than {MOST_DEPTH} deep in each other") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{file}{position}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not YAML: {_first_line(error)}") from None
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").strip())
    found = tuple(f"{file}:{problem}" for problem in dict.fromkeys(problems))
    return YamlSource(str(file), content, lines, "\n".join(comment).strip(), found)


def parse_value(text: str, key: str) -> Any:
    """The value of one `--set key=value`, read as YAML.

    Raises:
        UserError: it is not YAML, or has a key twice.
    """
    try:
        value, _, problems = _load(text)
    except (yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "problem", None) or _first_line(error)
        raise UserError(f"--set {key}: {text[:80]!r} is not a YAML value ({reason})") from None
    if problems:
        raise UserError(f"--set {key}: {text[:80]!r}, line {problems[0]}")
    return value


def _load(text: str) -> tuple[Any, dict[Location, int], list[str]]:
    """A text's content, the line of each part, and what is wrong with its keys."""
    lines: dict[Location, int] = {}
    problems: list[str] = []
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return (None if node is None else _construct(loader, node, (), lines, problems)), lines, problems
    finally:
        loader.dispose()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _construct(
    loader: yaml.SafeLoader, node: yaml.Node, path: Location, lines: dict[Location, int], problems: list[str]
) -> Any:
    """The content of a node; adds the line of each part to `lines`, and what is wrong with its keys to `problems`."""
    if len(path) > MOST_DEPTH or len(lines) > MOST_VALUES:
        what = f"nested more than {MOST_DEPTH} deep" if len(path) > MOST_DEPTH else f"more than {MOST_VALUES:,} values"
        raise yaml.MarkedYAMLError(problem=f"{what} (does an alias repeat itself?)", problem_mark=node.start_mark)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
        raise yaml.MarkedYAMLError(problem=f"the tag {node.tag} is not allowed here", problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.append(f"{line}: a key must be plain text")
            elif key.value in seen:
                problems.append(f"{line}: the key {key.value!r} is here twice; keep one")
            else:
                seen.add(key.value)
        node.value = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
        loader.flatten_mapping(node)  # `<<: *anchor`: merged keys come first, and the mapping's own replace them
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            lines[(*path, key.value)] = key.start_mark.line + 1
            mapping[key.value] = _construct(loader, value, (*path, key.value), lines, problems)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            items.append(_construct(loader, value, (*path, index), lines, problems))
        return items
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if plain and _NUMBER.fullmatch(node.value):
        return float(node.value)  # 1e-3 is a number in YAML 1.2, and to everybody
    if plain and node.tag == _TIMESTAMP:
        return node.value  # a date is no value of any key, but a name may look like one
    if "\0" in node.value:
        raise yaml.MarkedYAMLError(problem="a null character is in this text", problem_mark=node.start_mark)
    try:
        return loader.construct_object(node)
    except (ValueError, KeyError, AttributeError, OverflowError):  # `!!int abc`, or more digits than Python reads
        kind = node.tag.rpartition(":")[2]
        problem = f"{node.value[:40]!r} cannot be read as {kind}"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None
