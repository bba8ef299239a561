"""What the report reads: the tables of a results directory."""

import dataclasses
from dataclasses import dataclass

import pandas as pd

from biotune.results import Results

CONFIRMED = ("shared", "own_best")


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
