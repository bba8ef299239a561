"""What the report reads of a results directory: its documents, checked once, and its tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from biotune.errors import UserError
from biotune.results import Results
from biotune.results.documents import Environment, State, checked
from biotune.results.study_file import StudyFile


@dataclass(frozen=True)
class Tables:
    """The tables of a results directory."""

    trials: pd.DataFrame
    curves: pd.DataFrame
    topologies: pd.DataFrame
    convergence: pd.DataFrame
    matrices: pd.DataFrame

    @classmethod
    def read(cls, results: Results) -> "Tables":
        """Reads all."""
        return cls(**{table.name: results.read_table(table.name) for table in dataclasses.fields(cls)})

    def at(self, pairs: int) -> "Tables":
        """What was confirmed at a look at so many pairs; the search and what it chose gain by are the same at all."""
        names = ("curves", "topologies", "convergence")

        def of(table: pd.DataFrame) -> pd.DataFrame:
            kept = table["replicate"] < pairs
            return table[kept | table["phase"].isin(["search", "gain_search"]) if "phase" in table else kept]

        return dataclasses.replace(self, **{name: of(getattr(self, name)) for name in names})

    def under(self, condition: str) -> "Tables":
        """What was confirmed under a condition. Of the curves, those of the search are the primary's."""
        tables = {name: getattr(self, name) for name in ("curves", "topologies", "convergence")}
        return dataclasses.replace(self, **{n: table[table["condition"] == condition] for n, table in tables.items()})


@dataclass(frozen=True)
class Inputs:
    """Everything that a report is made from.

    Attributes:
        path: of the results directory.
        text: of study.yaml.
        study: the content of study.yaml. state, environment: of state.json and environment.json.
        tables: of the primary condition. every: of all conditions.
        look: number of pairs of the look to be shown; None: the last.
    """

    path: Path
    text: str
    study: Mapping[str, Any]
    state: State
    environment: Environment
    tables: Tables
    every: Tables
    look: int | None = None

    @property
    def report(self) -> Path:
        """The folder of the report: of an earlier look, one of its own."""
        return self.path / ("report" if self.look is None else f"report-look-{self.look}")

    @classmethod
    def read(cls, results: Results, look: int | None = None) -> "Inputs":
        """Reads all.

        Raises:
            UserError: a document lacks a key, or has a value that this version does not write; a table is damaged.
        """
        study, state, environment = results.read_study(), results.read_state(), results.read_environment()
        checked(study, StudyFile, "study.yaml")
        text = (results.path / "study.yaml").read_text()
        every = Tables.read(results)
        primary = every.under(next(iter(state.conditions)))
        return cls(results.path, text, study, state, environment, primary, every, look)


def read_study(directory: Path | str, look: int | None = None) -> Inputs:
    """Reads a results directory, finished or not; of an earlier look than the last if that is given.

    Raises:
        UserError: not a results directory, damaged, or written by another version.
    """
    results = Results.open(directory)
    results.require_whole()
    return Inputs.read(results, look)


def read_studies(directories: Sequence[Path | str]) -> dict[str, Inputs]:
    """Reads several studies: label -> inputs.

    A label is the study's name; of studies that have the same, the name of the directory.

    Raises:
        UserError: as `read_study`; a directory is given twice, or two have the same name.
    """
    opened = [Results.open(directory) for directory in directories]
    for place, results in enumerate(opened):
        if any(results.path == other.path for other in opened[:place]):
            raise UserError(f"{directories[place]}: given twice; name each results directory once")
    read = [read_study(results.path) for results in opened]
    names = [one.study["name"] for one in read]
    labels = [name if names.count(name) == 1 else one.path.name for name, one in zip(names, read, strict=True)]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{label}: two of the directories have this name; rename one")
    return dict(zip(labels, read, strict=True))
