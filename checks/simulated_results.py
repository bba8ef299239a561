"""Results of a study with known ratios, written through the results' contract, for the tests of what reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biotune.criterion import updates_to_criterion
from biotune.results import TABLES, Results
from biotune.results.documents import Reading
from checks.simulated_study import ENVIRONMENT, LEVEL, NULL_LOSS, SUSTAIN, UPDATES_PER_EPOCH, SimulatedStudy


@dataclass
class Simulation(SimulatedStudy):
    """Writes a simulated study, whose curves lead to the updates to criterion that its ratios say."""

    def write(self, directory: Path) -> Path:
        results = Results(directory)
        study = self.study()
        self.edit(study)
        results.write_study(study)
        results.write_state(self.state(study))
        results.write_environment(ENVIRONMENT)
        random = np.random.default_rng(self.seed)
        trials, curves = self._search(random)
        convergence: list[dict[str, Any]] = []
        if self.phase != "search":
            for condition in ["primary", *self.conditions, *self.swept]:
                if condition not in self.unfinished:
                    self._confirm(condition, random, curves, convergence)
        if trials:
            results.write_table("trials", pd.DataFrame(trials))
        if curves:
            results.write_table("curves", pd.concat(curves, ignore_index=True))
        if convergence:
            results.write_table("convergence", pd.DataFrame(convergence))
            results.write_table("topologies", self._topologies(random))
            results.write_table("matrices", self._matrices(random))
        return directory

    def _search(self, random: np.random.Generator) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
        trials, curves = [], []
        for arm, ratio in self.ratios.items():
            for index in range(self.trials):
                name = f"{arm}-{index:04d}"
                slowdown = 1 + 0.4 * index
                stopped = index % 3 == 1
                epochs = 9 if stopped else 81
                rows = []
                for replicate in range(4):
                    reached = self.typical * ratio * slowdown * np.exp(random.normal(0, 0.1))
                    rows.append(self._curve("search", "primary", arm, name, replicate, reached, epochs, random))
                curves += rows
                best = float(np.median([r["validation_loss"].min() for r in rows]))
                found = row(
                    "trials",
                    arm=arm,
                    trial=name,
                    index=index,
                    origin="shared",
                    status="stopped" if stopped else "completed",
                    epochs=epochs,
                    updates=epochs * UPDATES_PER_EPOCH,
                    best_loss=best,
                    mean_updates=self.typical * ratio * slowdown,
                    converged=4,
                    diverged=0,
                    replicates=4,
                    seconds=2.0,
                    error="",
                )
                tuned = self.common_setting(index)
                trials.append(found | {f"tune.{key}": value for key, value in tuned.items()})
        return trials, curves

    def _confirm(
        self,
        condition: str,
        random: np.random.Generator,
        curves: list[pd.DataFrame],
        convergence: list[dict[str, Any]],
    ) -> None:
        common = np.exp(random.normal(0, 0.2, self.pairs))  # what a pair shares
        for arm, ratio in self.ratios_under(condition).items():
            readings = self.readings_of(condition, arm)
            self._replicates(arm, ratio, common, readings, random, curves, convergence)
        for arm, ratio in self.own_best.items() if condition == "primary" else ():
            readings = [Reading(condition=condition, phase="own_best")]
            self._replicates(arm, ratio, common, readings, random, curves, convergence)

    def _replicates(
        self,
        arm: str,
        ratio: float,
        common: np.ndarray,
        readings: list[Reading],
        random: np.random.Generator,
        curves: list[pd.DataFrame],
        convergence: list[dict[str, Any]],
    ) -> None:
        """The replicates of a cell, with a row for each reading."""
        # the log ratio of two such arms has the standard deviation asked for
        own = np.exp(random.normal(0, self.spread / np.sqrt(2), self.pairs))
        for replicate in range(self.confirmed.get(arm, self.pairs)):
            reached = self.typical * ratio * common[replicate] * own[replicate]
            if replicate < self.never.get(arm, 0):
                reached = 1e9
            table = self._curve("", "", arm, "", replicate, reached, self.max_epochs + SUSTAIN - 1, random)
            diverged = replicate < self.diverging.get(arm, 0)
            if diverged:
                table.loc[table["epoch"] >= 3, ["training_loss", "validation_loss"]] = np.nan
            losses = table["validation_loss"].to_numpy()
            found, converged = updates_to_criterion(table["updates"].to_numpy(), losses, LEVEL, SUSTAIN, self.budget)
            outcome = row(
                "convergence",
                arm=arm,
                replicate=replicate,
                look=next(look for look in [*(self.looks or [self.pairs]), self.replication or 0] if replicate < look),
                converged=converged,
                diverged=diverged,
                updates=found,
                budget=self.budget,
                best_loss=np.nanmin(losses[: self.max_epochs + 1]),
                final_loss=losses[self.max_epochs],
                test_loss=losses[self.max_epochs] * 1.1,
                left_empty="",
            )
            for reading in readings:
                trial = "-".join(filter(None, [arm, reading.phase, reading.against]))
                read = {**reading.model_dump(), "trial": trial}
                curves.append(table.assign(**read))
                tuned = {f"tune.{key}": value for key, value in self.setting(arm, reading.phase).items()}
                convergence.append(outcome | read | tuned)

    def _curve(
        self,
        phase: str,
        condition: str,
        arm: str,
        trial: str,
        replicate: int,
        reached: float,
        epochs: int,
        random: np.random.Generator,
    ) -> pd.DataFrame:
        """Log loss falls in a straight line from guessing at 0 updates through the level at `reached`."""
        epoch = np.arange(epochs + 1)
        updates = epoch * UPDATES_PER_EPOCH
        loss = np.maximum(NULL_LOSS * 0.1 ** (updates / reached), 2e-5 * np.exp(random.normal(0, 0.3, epochs + 1)))
        return pd.DataFrame(
            row(
                "curves",
                phase=phase,
                condition=condition,
                arm=arm,
                against="",
                trial=trial,
                replicate=replicate,
                epoch=epoch,
                updates=updates,
                training_loss=np.where(epoch == 0, np.nan, loss * 0.9),
                validation_loss=loss,
                accuracy=np.nan,
            )
        )

    def _topologies(self, random: np.random.Generator) -> pd.DataFrame:
        """Of which a null changes more entries than the fraction of edges that it may move, as in a dense matrix."""
        doses = {arm: self.fractions.get(arm, 1.0) if place else 0.0 for place, arm in enumerate(self.arms)}
        return pd.DataFrame(
            [
                row("topologies", condition="primary", arm=arm, replicate=replicate, digest="ef" * 32)
                | {"neurons": 220, "edges": 23000}
                | {"rewired": 0.25 * dose, "entries_changed": dose * (1.4 - 0.4 * dose)}
                | {"density": 0.475, "reciprocity": random.uniform(0.4, 0.6), "positions": np.nan}
                for arm, dose in doses.items()
                for replicate in range(self.pairs)
            ]
        )

    def _matrices(self, random: np.random.Generator) -> pd.DataFrame:
        """Ten regions of four neurons, about half of whose pairs are joined."""
        target, source = np.divmod(np.arange(100), 10)
        parts = []
        for arm in self.arms:
            held = random.random(100) < 0.5
            columns = row(
                "matrices",
                arm=arm,
                replicate=0,
                target=target[held],
                source=source[held],
                edges=8,
                weight=random.lognormal(size=np.count_nonzero(held)),
                pairs=16,
                regions=10,
                bins=10,
            )
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts)


def row(table: str, **values: Any) -> dict[str, Any]:
    """A row of a table, empty in the columns that are not given."""
    return dict.fromkeys(TABLES[table].names) | values
