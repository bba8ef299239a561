"""CONTRIBUTING.md is the map of the house: what it names is there, and what is there it names."""

import ast
import re
from pathlib import Path

import pytest

TEXT = Path("CONTRIBUTING.md").read_text()
ROOMS = ("biotune", "kernels", "benchmarks", "checks", "clusters", "docs", "search_spaces", "tests")
PATHS = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)`", TEXT)
[TREE] = re.findall(r"^```\n(.*?)^```", TEXT, re.M | re.S)
ROWS = {
    cells[0]: cells
    for line in re.findall(r"^\|(.*)\|$", TEXT, re.M)
    if len(cells := [cell.strip() for cell in line.split("|")]) == 5
}
KINDS = ("null", "task", "backend", "figure", "column", "optimiser", "option", "cluster", "measure")


def paths_of(cell: str) -> list[str]:
    return re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)`", cell)


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_a_path_that_is_named_is_there(path: str) -> None:
    assert Path(path).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_to_do_to_add_one(kind: str) -> None:
    _, write, register, test, document = ROWS[kind]
    assert paths_of(write)
    assert paths_of(test)
    assert paths_of(document) or "schema" in document
    assert len({*paths_of(write)[:1], *paths_of(register)}) <= 2  # one to write, one to register it in


@pytest.mark.parametrize(("name", "path"), re.findall(r"`([A-Za-z_]+)` in `([\w./]+\.py)`", TEXT))
def test_what_something_is_registered_in_is_defined_there(name: str, path: str) -> None:
    defined = set()
    for node in ast.parse(Path(path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    assert name in defined


def test_every_room_of_the_package_is_on_the_map() -> None:
    rooms = {folder.name for folder in Path("biotune").iterdir() if (folder / "__init__.py").exists()}
    rooms |= {folder.name for folder in Path("biotune/study").iterdir() if (folder / "__init__.py").exists()}
    named = set(re.findall(r"^ +([a-z_]+)/", TREE, re.M))
    assert rooms - named == set()
    folders = {path.parent.name for path in Path().glob("*/*") if path.parent.name in ROOMS}
    assert folders - set(re.findall(r"^([a-z_]+)/", TREE, re.M)) == set()


def test_tests_mirror_the_rooms() -> None:
    """A folder of tests has the name of a room, so that a test is found where what it tests is."""
    rooms = {Path("tests") / path.relative_to("biotune") for path in Path("biotune").rglob("*") if path.is_dir()}
    rooms |= {Path("tests") / name for name in ("kernels", "benchmarks", "checks")}
    folders = {file.parent for file in Path("tests").rglob("test_*.py")} - {Path("tests")}
    assert {folder for folder in folders if folder not in rooms and folder.name != "machines"} == set()
