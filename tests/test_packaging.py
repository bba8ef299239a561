"""What a wheel and a source distribution hold: the two packages whole, and nothing else of the repository."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = "biotune_kernels/backends/cpu/_sparse_rnn."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what is built, without what was built here before."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path / "source"
    leave = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for folder in ("biotune", "kernels", "benchmarks", "checks", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=leave)
    for file in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def build(source: Path, kind: str) -> Path:
    code = f"from setuptools import build_meta; build_meta.build_{kind}('built')"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [file] = (source / "built").iterdir()
    return file


def packages(source: Path) -> set[str]:
    """Every file of both packages, as installed."""
    folders = source / "biotune", source / "kernels" / "biotune_kernels"
    return {str(file.relative_to(one.parent)) for one in folders for file in one.rglob("*") if file.is_file()}


@pytest.mark.long
def test_a_wheel_holds_the_packages_and_the_library(source: Path) -> None:
    expected = packages(source)
    with zipfile.ZipFile(build(source, "wheel")) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    library = {name for name in held if name.startswith(LIBRARY)}
    assert held - library == expected
    assert len(library) == any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++"))


def test_a_source_distribution_holds_what_a_wheel_is_built_from(source: Path) -> None:
    expected = packages(source)
    with tarfile.open(build(source, "sdist")) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert {name.removeprefix("kernels/") for name in held if name.startswith(("biotune/", "kernels/"))} == expected
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE"} <= held
    assert not {name for name in held if name.startswith(("tests/", "benchmarks/", "checks/"))}
