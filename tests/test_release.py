"""The workflow that releases: it parses, what it runs is there, and nothing is published that was not tried."""

import argparse
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from biotune.cli import run
from biotune.study import load_study

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())
JOBS: dict[str, Any] = yaml.safe_load(Path(".github/workflows/release.yml").read_text())["jobs"]
COMMANDS = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
MADE_FOR = {"pip", "python", "twine", "mkdocs", "biotune", "test"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:40])
def test_a_command_is_one_that_is_there(command: str) -> None:
    program, *arguments = shlex.split(command, comments=True)
    assert program in MADE_FOR
    if program == "pip":  # what a command of the same job needs is installed in it
        assert arguments[0] == "install"
        named = [one for one in arguments if one.endswith((".txt", ".whl"))]
        assert all(Path(one).exists() or one == "dist/*.whl" for one in named)
        if "[" in arguments[-1]:
            assert arguments[-1].strip(".[]") in PROJECT["project"]["optional-dependencies"]
    if program == "mkdocs":
        assert Path("mkdocs.yml").exists()


def test_modules_and_programs_are_installed_before_they_are_run() -> None:
    for job in JOBS.values():
        had = ""
        for step in job["steps"]:
            command = step.get("run", "")
            if module := re.search(r"python -m (\w+)|^(twine|mkdocs|biotune) ", command):
                name = module[1] or module[2]
                assert (
                    name in had or {"mkdocs": "[dev]", "checks": "-e", "biotune": "dist/*.whl"}.get(name, name) in had
                )
            had += command if command.startswith("pip install") else ""


def test_the_study_that_a_wheel_is_tried_with_is_one() -> None:
    [command] = [one for one in COMMANDS if one.startswith("biotune run")]
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    given = parser.parse_args(shlex.split(command)[2:])
    study = load_study(given.space, overrides=given.overrides, arms=given.arms)
    assert list(study.arms) == ["marmoset", "degrees"]
    reduced = re.sub(r"\s*\\?\n\s*", " ", Path(".ci/run").read_text())  # that of .ci/run
    assert all(f'"{override}"' in reduced for override in given.overrides)


def test_the_tag_is_compared_with_the_version() -> None:
    [command] = [one for one in COMMANDS if one.startswith("test ")]
    version = PROJECT["project"]["version"]
    for tag, expected in ((f"v{version}", 0), (version, 1), ("v9.9", 1)):
        done = subprocess.run(["bash", "-c", command], env={"PATH": "/usr/bin:/bin", "GITHUB_REF_NAME": tag})
        assert done.returncode == expected


def test_only_a_tag_publishes_and_only_what_was_tried_on_every_platform_and_version() -> None:
    publish = JOBS["publish"]
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/')"
    assert {"source", "use"} <= set(publish["needs"])
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in Path(".github/workflows/release.yml").read_text()
    tried, built = JOBS["use"]["strategy"]["matrix"], JOBS["wheels"]["strategy"]["matrix"]
    assert tried["os"] == built["os"]
    versions = [one.rpartition(" ")[2] for one in PROJECT["project"]["classifiers"] if ":: Python :: 3." in one]
    assert tried["python"] == versions
    assert f">={versions[0]}" == PROJECT["project"]["requires-python"]


def test_actions_are_named_by_a_version() -> None:
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert all(re.search(r"@(v\d+(\.\d+)*|[0-9a-f]{40}|release/v1)$", one) for one in used)
