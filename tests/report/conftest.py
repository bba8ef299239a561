"""Reports of simulated results, and their pages as a test reads them."""

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from biotune.report import CombinedReport, Report, make_combined_report, make_report, print_report
from biotune.report.results.arm_results import Comparison
from checks.simulated_results import Simulation


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., Path]:
    """Writes a simulated study and returns its directory; the arguments are those of Simulation."""

    def make(**options: Any) -> Path:
        name = options.get("name", "simulated")
        return Simulation(**options).write(tmp_path / f"{name}-20260101T120000Z")

    return make


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A study with an arm of every kind, and its report: for the tests that only look."""
    directory = Simulation(
        ratios={"marmoset": 1.0, "degrees": 0.5, "lesioned": 2.0, "random": 1.0, "sparse": 1.2, "frozen": 1.0},
        own_best={"degrees": 1.0},
        never={"frozen": 6},
        diverging={"lesioned": 1},
        substituted=True,
    ).write(tmp_path_factory.mktemp("reported") / "simulated-20260101T120000Z")
    return directory, make_report(directory)


@pytest.fixture(scope="session")
def of_several(tmp_path_factory: pytest.TempPathFactory) -> CombinedReport:
    """The three ways of treating gain, two tasks and an unfinished study with a substitute, side by side."""
    folder = tmp_path_factory.mktemp("several")
    studies = [
        Simulation(name="gain", radius=None, ratios={"marmoset": 1.0, "degrees": 0.5, "random": 0.6}),
        Simulation(name="gain_equal", seed=2, ratios={"marmoset": 1.0, "degrees": 0.6, "random": 1.0}),
        Simulation(
            name="gain_tuned",
            tuned_radius=True,
            ratios={"marmoset": 1.0, "degrees": 1.0, "random": 0.6},
            own_best={"degrees": 0.7},
        ),
        Simulation(name="nback", task="nback_mem", ratios={"marmoset": 1.0, "degrees": 0.8, "random": 0.6}),
        Simulation(name="other", ratios={"mouse": 1.0, "lesioned": 2.0}, phase="search", substituted=True),
    ]
    directories = [study.write(folder / f"{study.name}-20260101T120000Z") for study in studies]
    make_report(directories[0])
    return make_combined_report(directories, folder / "combined-report")


class Page(HTMLParser):
    """A report's tags with their attributes, and its text."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed((directory / "report" / "index.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.parts))

    def attributes(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def read_page() -> Callable[[Path], Page]:
    """Reads the page of a results directory."""
    return Page


@pytest.fixture
def drawn() -> Callable[[Path], list[str]]:
    """The texts in a figure: matplotlib draws them as paths, with a comment that has the text."""

    def texts(svg: Path) -> list[str]:
        parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        return [node.text.strip() for node in ElementTree.parse(svg, parser).iter() if node.tag is ElementTree.Comment]

    return texts


@pytest.fixture
def printed() -> Callable[..., str]:
    """What the terminal shows of a summary."""

    def print_it(summary: Report, width: int = 100) -> str:
        console = Console(width=width)
        with console.capture() as capture:
            print_report(summary, console)
        return capture.get()

    return print_it


@pytest.fixture
def verdicts() -> Callable[[Sequence[Comparison]], dict[str, str | None]]:
    """The verdict of each arm."""
    return lambda comparisons: {c.arm: c.verdict and c.verdict.name for c in comparisons}
