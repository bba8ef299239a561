"""Results of a study with known ratios, written through the results' contract, for the tests of what reads them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biotune.criterion import updates_to_criterion
from biotune.digests import study_digest
from biotune.results import PHASES, POSITIVE_CONTROL, SCHEMA, TABLES, Results
from biotune.results.documents import (
    Cell,
    Criterion,
    Data,
    Environment,
    Gain,
    Git,
    Machine,
    Reading,
    SeenKernels,
    Selection,
    Shared,
    State,
    Streams,
    UsedCondition,
    UsedConnectome,
)
from biotune.results.journal import Head
from biotune.results.vocabulary import Label

NULL_LOSS = 1 / 12
LEVEL = NULL_LOSS / 10
UPDATES_PER_EPOCH = 4
CONFIRMED: tuple[Label, ...] = ("shared", "own_best")
SUSTAIN = 3


@dataclass
class Simulation:
    """A study whose log loss falls in a straight line, so that updates to criterion are known exactly.

    Attributes:
        ratios: arm -> true ratio of updates to criterion to the reference, which has 1.
        typical: the reference's updates to criterion. spread: standard deviation of the log ratio over pairs.
        fractions: arm -> share of the edges that its null rewires. radius, tuned_radius: of the initial matrices.
        never: arm -> replicates that do not learn. diverging: arm -> replicates whose losses become NaN.
        own_best: arm -> true ratio at its own best setting, where it isn't the shared one's.
        conditions: name -> what it overrides, and arm -> true ratio under it; an arm without one is the reference.
        gain: scale and learning rate -> arm -> true ratio there to the reference's updates to criterion elsewhere.
        unfinished: conditions of which nothing was confirmed.
    """

    ratios: Mapping[str, float] = field(default_factory=lambda: {"marmoset": 1.0, "degrees": 0.5, "random": 1.0})
    pairs: int = 16
    max_epochs: int = 100
    typical: float = 150.0
    spread: float = 0.1
    seed: int = 1
    never: Mapping[str, int] = field(default_factory=dict)
    diverging: Mapping[str, int] = field(default_factory=dict)
    own_best: Mapping[str, float] = field(default_factory=dict)
    conditions: Mapping[str, tuple[dict[str, Any], Mapping[str, float]]] = field(default_factory=dict)
    gain: Mapping[tuple[float, float], Mapping[str, float]] = field(default_factory=dict)
    unfinished: Collection[str] = ()
    phase: str = "finished"
    trials: int = 8
    confirmed: Mapping[str, int] = field(default_factory=dict)
    substituted: bool = False
    control: str | None = None  # its arm is the one of `ratios` that is named positive_control
    name: str = "simulated"
    task: str = "seq_mem"
    radius: float | None = 0.9
    tuned_radius: bool = False
    fractions: Mapping[str, float] = field(default_factory=dict)
    edit: Callable[[dict[str, Any]], object] = lambda study: None  # changes study.yaml before it is written
    description: str = "Does marmoset wiring learn to replay a sequence faster than its rewired versions?"

    @property
    def arms(self) -> list[str]:
        return list(self.ratios)

    @property
    def budget(self) -> int:
        return self.max_epochs * UPDATES_PER_EPOCH

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
            for label in CONFIRMED:
                self._confirm("primary", label, random, curves, convergence)
            for condition in [*self.conditions, *self._swept]:
                if condition not in self.unfinished:
                    self._confirm(condition, "shared", random, curves, convergence)
        if trials:
            results.write_table("trials", pd.DataFrame(trials))
        if curves:
            results.write_table("curves", pd.concat(curves, ignore_index=True))
        if convergence:
            results.write_table("convergence", pd.DataFrame(convergence))
            results.write_table("topologies", self._topologies(random))
            results.write_table("matrices", self._matrices(random))
        return directory

    def study(self) -> dict[str, Any]:
        null = {"name": "degree_preserving", "level": "region"}
        arms: dict[str, Any] = {arm: {"null": {**null, "fraction": self.fractions.get(arm, 1.0)}} for arm in self.arms}
        arms[self.arms[0]] = {}
        arms.pop(POSITIVE_CONTROL, None)
        tune = {"learning_rate": {"loguniform": [3e-4, 1e-2]}, "nonlinearity": {"choice": ["tanh", "relu"]}}
        return {
            "name": self.name,
            "description": self.description,
            "seed": self.seed,
            "task": {"name": self.task, "pattern_length": 5, "trials": 500, "train_share": 0.8, "batch": 128},
            "connectome": {"name": "marmoset", "otherwise": "distance_rule"},
            "topology": {
                "neurons_per_region": 4,
                "target_sparsity": 0.8,
                "partition": "dirichlet",
                "spectral_radius": self.radius,
            },
            "network": {"initialisation": "default", "remap": True, "optimizer": "Adam", "learning_rate": 0.001},
            "arms": arms,
            "reference_arm": self.arms[0],
            "conditions": {"primary": {}} | {name: dict(changes) for name, (changes, _) in self.conditions.items()},
            "quick": False,
            "gain": {
                "scales": sorted({scale for scale, _ in self.gain}),
                "learning_rates": sorted({rate for _, rate in self.gain}),
            }
            if self.gain
            else None,
            "tune": tune | ({"spectral_radius": {"uniform": [0.3, 1.8]}} if self.tuned_radius else {}),
            "search": {
                "trials_per_arm": self.trials,
                "shared_settings": min(8, self.trials),
                "replicates": 4,
                "max_epochs": 81,
                "grace": 9,
                "reduction": 3,
                "sampler": "tpe",
            },
            "confirm": {"replicates": self.pairs, "max_epochs": self.max_epochs, "population": 8},
            "criterion": {"metric": "validation_loss", "fraction_of_null": 0.1, "sustain": SUSTAIN},
            "equivalence_margin": 0.2,
            "positive_control": self.control,
        }

    def setting(self, arm: str, label: str) -> dict[str, Any]:
        rate = 0.001 if label == "own_best" and arm in self.own_best else 0.003
        return {"learning_rate": rate, "nonlinearity": "tanh"}

    def state(self, study: dict[str, Any]) -> State:
        connectome = UsedConnectome(
            name="distance_rule_marmoset" if self.substituted else "marmoset",
            asked="marmoset",
            substituted=self.substituted,
            reason="no network" if self.substituted else None,
            citation="Majka et al. 2016, J. Comp. Neurol. 524:2161, https://doi.org/10.1002/cne.24023",
            kind="generated" if self.substituted else "download",
            sha256=None if self.substituted else "ab" * 32,
            species="Callithrix jacchus",
            digest="cd" * 32,
            notes=[],
        )
        return State(
            schema_version=SCHEMA,
            study="simulated",
            phase=self.phase,
            started="2026-01-01T12:00:00Z",
            finished="2026-01-01T12:05:00Z" if self.phase == "finished" else None,
            seconds={"search": 100.0} if self.phase == "search" else {"search": 100.0, "confirm": 80.5},
            backend={phase: dict.fromkeys(self.arms, "dense") for phase in PHASES},
            device="cpu",
            matmul_precision="highest",
            concurrency=1,
            connectomes=dict.fromkeys(self.arms, connectome),
            conditions={name: self._used(name) for name in ("primary", *self.conditions, *self._swept)},
            study_sha256=study_digest(study),
            task_sha256=None,
            topologies=dict.fromkeys(self.arms, "ef" * 32),
            streams=Streams(sha256="ab" * 32, numpy="2.0.0"),
            selection=None if self.phase == "search" else self.selection(),
            set_aside={},
            journal=Head(),
            storage=None,
        )

    def _used(self, condition: str) -> UsedCondition:
        ratios = self._ratios(condition, "shared")
        return UsedCondition(
            criterion=Criterion(null_loss=NULL_LOSS, level=LEVEL),
            updates_per_epoch=UPDATES_PER_EPOCH,
            budget=self.budget,
            replicates=self.pairs,
            same=[arm for arm in self.arms if arm not in ratios and arm != POSITIVE_CONTROL],
            gain=self._swept.get(condition),
        )

    @property
    def _swept(self) -> dict[str, Gain]:
        """The conditions of the gain sweep."""
        return {f"gain-{s:g}-rate-{r:g}": Gain(scale=s, learning_rate=r) for s, r in self.gain}

    def _ratios(self, condition: str, label: str) -> Mapping[str, float]:
        if condition == "primary":
            return {**self.ratios, **(self.own_best if label == "own_best" else {})}
        point = self._swept.get(condition)
        own = self.conditions[condition][1] if point is None else self.gain[point.scale, point.learning_rate]
        return {self.arms[0]: 1.0, **own}

    def selection(self) -> Selection:
        shared = Shared(
            setting=self.setting(self.arms[0], "shared"),
            index=0,
            mean_rank=1.5,
            ranks=dict.fromkeys(self.arms, 1.5),
        )
        cells = [
            Cell(
                plan=f"{arm} {condition} {label}",
                arm=arm,
                condition=condition,
                setting=self.setting(arm, label),
                readings=[Reading(condition=condition, phase=label)],
                whole=condition == "primary",
            )
            for condition in ("primary", *self.conditions, *self._swept)
            for label in (CONFIRMED if condition == "primary" else ("shared",))
            for arm in self._ratios(condition, label)
        ]
        return Selection(shared=shared, own_best={arm: f"{arm}-0000" for arm in self.arms}, cells=cells)

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
                tuned = {"learning_rate": 0.003 / slowdown, "nonlinearity": ("tanh", "relu")[index % 2]}
                trials.append(found | {f"tune.{key}": value for key, value in tuned.items()})
        return trials, curves

    def _confirm(
        self,
        condition: str,
        label: Label,
        random: np.random.Generator,
        curves: list[pd.DataFrame],
        convergence: list[dict[str, Any]],
    ) -> None:
        common = np.exp(random.normal(0, 0.2, self.pairs))  # what a pair shares
        for arm, ratio in self._ratios(condition, label).items():
            # the log ratio of two such arms has the standard deviation asked for
            own = np.exp(random.normal(0, self.spread / np.sqrt(2), self.pairs))
            for replicate in range(self.confirmed.get(arm, self.pairs)):
                reached = self.typical * ratio * common[replicate] * own[replicate]
                if replicate < self.never.get(arm, 0):
                    reached = 1e9
                epochs = self.max_epochs + SUSTAIN - 1
                table = self._curve(label, condition, arm, f"{arm}-{label}", replicate, reached, epochs, random)
                diverged = replicate < self.diverging.get(arm, 0)
                if diverged:
                    table.loc[table["epoch"] >= 3, ["training_loss", "validation_loss"]] = np.nan
                curves.append(table)
                losses = table["validation_loss"].to_numpy()
                found, converged = updates_to_criterion(
                    table["updates"].to_numpy(), losses, LEVEL, SUSTAIN, self.budget
                )
                outcome = row(
                    "convergence",
                    phase=label,
                    condition=condition,
                    arm=arm,
                    trial=f"{arm}-{label}",
                    replicate=replicate,
                    converged=converged,
                    diverged=diverged,
                    updates=found,
                    budget=self.budget,
                    best_loss=np.nanmin(losses[: self.max_epochs + 1]),
                    final_loss=losses[self.max_epochs],
                    test_loss=losses[self.max_epochs] * 1.1,
                    left_empty="",
                )
                tuned = self.setting(arm, label)
                convergence.append(outcome | {f"tune.{key}": value for key, value in tuned.items()})

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


ENVIRONMENT = Environment(
    python="3.11.2",
    packages={"biotune": "0.1.0", "torch": "2.13.0"},
    machine=Machine(system="Linux", cpu="a processor", cores=2, memory_gib=8.0, gpus=[]),
    git=Git(commit="0" * 40, dirty=False),
    command="tune_main.py --space search_spaces/seq_mem.yaml",
    data={"marmoset": Data(kind="download", path=None, url=None, sha256="ab" * 32, licence="CC BY 4.0")},
    nodes=[{"CPU": 2.0}],
    kernels=[
        SeenKernels(
            backend="triton",
            device="cuda",
            processor="a processor",
            gpu="a GPU",
            versions={"triton": "3.0"},
            dtype="float32",
            precision="highest",
            deviation={"bias": 1e-7, "hidden": 2e-7, "values": 4e-7, "weight_ih": 1e-7},
            tolerance=2e-5,
            networks=["8 × 220 neurons / 23000 edges"],
            batch=[128],
            nonlinearity=["tanh"],
        )
    ],
    kernels_left_out=[],
)


def row(table: str, **values: Any) -> dict[str, Any]:
    """A row of a table, empty in the columns that are not given."""
    return dict.fromkeys(TABLES[table].names) | values
