"""Docs are for use: what they show is run."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import biotune.connectome
import biotune.tasks
import biotune.topology
from biotune.cli.main import biotune_parser, tune_main_parser

PAGES = sorted(Path("docs").glob("*.md"))
SCRIPTS = Path(sys.executable).parent


def shell_lines(page: Path) -> list[str]:
    """The lines of a page's ```bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


@pytest.fixture(autouse=True)
def _no_page_needs_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")


ONE_ARM = (
    *("--set", "arms={only: {}}", "--set", "reference_arm=only"),
    *("--set", "search.replicates=1", "--set", "confirm.population=1", "--kernels", "torch_csr", "--concurrency", "1"),
)
"""Appended to dry runs, each of which times trials of every arm, in as many processes as trials run at once."""

COMMANDS = [(page, line) for page in PAGES for line in shell_lines(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_docs_gives_what_it_shows(page: Path) -> None:
    failed, _ = doctest.testfile(str(page.resolve()), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_code_on_the_kernels_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", Path("kernels/README.md").read_text(), re.M | re.S)
    exec(compile(code, "kernels/README.md", "exec"), {})
    assert "reference" in capsys.readouterr().out


@pytest.mark.parametrize("package", [biotune.connectome, biotune.tasks, biotune.topology])
def test_examples_at_the_head_of_a_package_run(package: ModuleType) -> None:
    failed, attempted = doctest.testmod(package)
    assert attempted > 0
    assert failed == 0


@pytest.mark.parametrize(
    ("page", "line"),
    [
        pytest.param(page, line, marks=[pytest.mark.slow] if "--dry-run" in line else [], id=line[:60])
        for page, line in COMMANDS
    ],
)
def test_commands_in_the_docs_run(page: Path, line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if "--dry-run" in arguments:
        arguments += ONE_ARM
    command = [str(SCRIPTS / program), *arguments] if (SCRIPTS / program).exists() else [program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{page}: {line}\n{done.stderr}"


SHOWN = [
    (page, line)
    for page in [*PAGES, Path("README.md")]
    for block in re.findall(r"^```(?:console|sh)\n(.*?)^```", page.read_text(), re.M | re.S)
    for line in re.sub(r"\\\n\s*", "", block).splitlines()
    if re.match(r"(\$ )?(biotune|python tune_main.py) ", line)
]


@pytest.mark.parametrize(("page", "line"), [pytest.param(page, line, id=line[:70]) for page, line in SHOWN])
def test_commands_that_are_not_run_are_spelt_as_the_command_line_has_them(page: Path, line: str) -> None:
    program, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
    if program == "python":
        tune_main_parser().parse_args(arguments[1:])
    else:
        biotune_parser().parse_args(arguments)


NO_DATA = ("--set", "connectome={name: 'distance_rule:mouse_gamanut'}")
REDUCED = {
    "tune_main.py": ["--dry-run", *NO_DATA, *ONE_ARM],
    "validate simulate": ["--studies", "2", *NO_DATA],
    "validate intervals": ["--studies", "2"],
    "validate selection": ["--studies", "2"],
    "validate conditions": ["--studies", "2"],
    "validate looks": ["--studies", "2"],
    "validate repeat": [
        *("--seeds", "1", *NO_DATA, "--set", "topology.neurons_per_region=2", "--set", "task.trials=40"),
        *("--set", "search={trials_per_arm: 2, shared_settings: 2, replicates: 1, max_epochs: 3, grace: 1}"),
        *("--set", "confirm={replicates: 2, max_epochs: 3}"),
    ],
    "checks.faults": ["--kills", "4"],
    "checks.overhead": ["--trials", "12", "--workers", "1"],
    "checks.soak": ["--trials", "200"],
    "checks.scale": ["--trials", "40"],
    "checks.replicates": ["--replicates", "24", "--epochs", "8"],
}
"""What is appended to a command of the pages on long runs, so that it ends soon."""
BIOTUNE = "from biotune.cli import main; raise SystemExit(main())"
LONG = ("validate repeat", "checks.")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(
            line, marks=pytest.mark.long if any(one in line for one in LONG) else pytest.mark.slow, id=line[:60]
        )
        for name in ("validation", "replication", "reliability", "reproducibility")
        for block in re.findall(r"^```sh\n(.*?)^```", Path(f"docs/{name}.md").read_text(), re.M | re.S)
        for line in block.splitlines()
    ],
)
def test_commands_of_long_runs_run_reduced(line: str, tmp_path: Path) -> None:
    program, *arguments = shlex.split(line)
    start = {"python": [sys.executable], "biotune": [sys.executable, "-c", BIOTUNE]}[program]
    if "pytest" in arguments:  # those tests are run as tests: it is enough that they are there
        assert all(Path(one).exists() for one in arguments if one.startswith("tests/"))
        return
    [reduced] = [options for name, options in REDUCED.items() if name in line]
    output = ["--output", str(tmp_path)] if "validate repeat" in line else []
    files = [str(tmp_path / Path(one).name) if one.startswith("docs/") else one for one in arguments]
    command = [*start, *files, *reduced, *output]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", [*PAGES, Path("README.md"), Path("CONTRIBUTING.md")], ids=lambda page: page.name)
def test_links_between_the_docs_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), f"{page}: {link}"
