"""What a wheel and a source distribution hold: the two packages whole, the example studies, and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = "biotune_kernels/backends/cpu/_sparse_rnn.so"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what is built, without what was built here before."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path / "source"
    leave = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for folder in ("biotune", "kernels", "benchmarks", "checks", "search_spaces", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=leave)
    for file in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def build(source: Path, kind: str, **environment: str) -> Path:
    code = f"from setuptools import build_meta; build_meta.build_{kind}('built')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=source, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [file] = (source / "built").iterdir()
    return file


def packages(source: Path) -> set[str]:
    """Every file of both packages."""
    folders = source / "biotune", source / "kernels" / "biotune_kernels"
    return {str(file.relative_to(one.parent)) for one in folders for file in one.rglob("*") if file.is_file()}


def examples(source: Path) -> set[str]:
    """The studies that come along."""
    return {f"search_spaces/{file.name}" for file in (source / "search_spaces").glob("*.yaml")}


def installed(wheel: zipfile.ZipFile) -> set[str]:
    """Every file that a wheel installs, but for those that describe it."""
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def described(wheel: zipfile.ZipFile, name: str) -> str:
    """A file that describes a wheel."""
    [file] = [one for one in wheel.namelist() if one.endswith(f".dist-info/{name}")]
    return wheel.read(file).decode()


def test_a_wheel_of_a_machine_without_a_compiler_lacks_the_library_alone(source: Path) -> None:
    expected = packages(source) | {f"biotune/{name}" for name in examples(source)}
    with zipfile.ZipFile(build(source, "wheel", CC="false", CXX="false")) as wheel:
        assert installed(wheel) == expected
        assert described(wheel, "top_level.txt").split() == ["biotune", "biotune_kernels"]
        assert "biotune = biotune.cli:main" in described(wheel, "entry_points.txt")
        metadata = message_from_string(described(wheel, "METADATA"))
    page = metadata.get_payload()
    assert isinstance(page, str)
    assert page.startswith("# biotune")  # an index shows it away from the repository's files, so no link is relative
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not link.startswith("https://")] == []
    # an index refuses a package that needs something that isn't on an index
    assert [one for one in metadata.get_all("Requires-Dist", []) if "@" in one] == []


@pytest.mark.long
def test_a_wheel_holds_the_library_for_every_version_of_python(source: Path) -> None:
    file = build(source, "wheel")
    assert re.fullmatch(r"biotune-[\d.]+-py3-none-\w+\.whl", file.name)
    with zipfile.ZipFile(file) as wheel:
        library = {name for name in installed(wheel) if name.endswith(".so")}
    assert library == ({LIBRARY} if any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++")) else set())


def test_a_source_distribution_holds_what_a_wheel_is_built_from(source: Path) -> None:
    expected = packages(source)
    with tarfile.open(build(source, "sdist")) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert {name.removeprefix("kernels/") for name in held if name.startswith(("biotune/", "kernels/"))} == expected
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE"} <= held
    assert {name for name in held if name.startswith("search_spaces/")} == examples(source)
    assert not {name for name in held if name.startswith(("tests/", "benchmarks/", "checks/"))}
