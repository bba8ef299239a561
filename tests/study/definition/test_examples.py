"""The studies that come with biotune are found by name, in a clone and in an installed package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.definition.examples import example, example_names, study_file

ROOT = Path(__file__).parents[3]


def test_every_study_of_the_folder_is_an_example() -> None:
    assert example_names() == tuple(sorted(file.stem for file in (ROOT / "search_spaces").glob("*.yaml")))
    assert "seq_mem" in example_names()
    assert [example(name) for name in example_names()] == sorted((ROOT / "search_spaces").glob("*.yaml"))


def test_they_are_found_in_a_package_that_is_installed(tmp_path: Path) -> None:
    """As a wheel lays it out: tests/test_packaging.py checks that it does."""
    shutil.copytree(ROOT / "biotune", tmp_path / "biotune", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "search_spaces", tmp_path / "biotune" / "search_spaces")
    code = "from biotune.study.definition.examples import example; print(example('seq_mem'))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "kernels")])}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()) == tmp_path / "biotune" / "search_spaces" / "seq_mem.yaml"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UserError, match="did you mean 'seq_mem'") as caught:
        example("seqmem")
    assert all(name in str(caught.value) for name in example_names())


@pytest.mark.parametrize("name", ["", "..", "../search_spaces/aa", "aa.yaml", "/aa"])
def test_only_a_name_is_a_name(name: str) -> None:
    with pytest.raises(UserError):
        example(name)


def test_a_study_is_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_study("aa").resolved() == load_study(ROOT / "search_spaces" / "aa.yaml").resolved()
    (tmp_path / "aa").mkdir()
    assert study_file("aa") == example("aa")


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(example("aa"), tmp_path / "seq_mem")
    monkeypatch.chdir(tmp_path)
    assert load_study("seq_mem").config.name == "aa"


@pytest.mark.parametrize("path", ["seqmem.yaml", "seq_mem.yaml", "nowhere/seq_mem"])
def test_a_path_is_no_name(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        load_study(path)
