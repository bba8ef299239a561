"""A study with known ratios: its study.yaml, its state and what it selected; `simulated_results` has its tables."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biotune.digests import study_digest
from biotune.results import PHASES, POSITIVE_CONTROL, SCHEMA
from biotune.results.documents import (
    Cell,
    CommonSetting,
    Criterion,
    Data,
    Environment,
    Extension,
    Gain,
    Git,
    Look,
    Machine,
    Reading,
    SeenKernels,
    Selection,
    State,
    Streams,
    UsedCondition,
    UsedConnectome,
)
from biotune.results.journal import Head

NULL_LOSS = 1 / 12
LEVEL = NULL_LOSS / 10
UPDATES_PER_EPOCH = 4
SUSTAIN = 3


@dataclass
class SimulatedStudy:
    """A study whose log loss falls in a straight line, so that updates to criterion are known exactly.

    Attributes:
        ratios: arm -> true ratio of updates to criterion to the reference, which has 1.
        typical: the reference's updates to criterion. spread: standard deviation of the log ratio over pairs.
        fractions: arm -> share of the edges that its null rewires. radius, tuned_radius: of the initial matrices.
        never: arm -> replicates that do not learn. diverging: arm -> replicates whose losses become NaN.
        own_best: arm -> true ratio at its own best setting, where that is another than its pair's.
        conditions: name -> what it overrides, and arm -> true ratio under it; an arm without one is the reference.
        gain: scale and learning rate -> arm -> true ratio there to the reference's updates to criterion elsewhere.
        looks: planned. taken: those that were, `pairs` being the pairs that were confirmed. replication: up to which
            number of replicates there is one past the plan.
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
    looks: Sequence[int] | None = None
    taken: Sequence[Look] = ()
    replication: int | None = None
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
            "confirm": {
                "replicates": self.looks[0] if self.looks else self.pairs,
                "looks": list(self.looks) if self.looks else None,
                "max_epochs": self.max_epochs,
                "population": 8,
            },
            "criterion": {"metric": "validation_loss", "fraction_of_null": 0.1, "sustain": SUSTAIN},
            "equivalence_margin": 0.2,
            "positive_control": self.control,
        }

    def setting(self, arm: str, label: str) -> dict[str, Any]:
        return self.common_setting(5 if label == "own_best" and arm in self.own_best else 0)

    @staticmethod
    def common_setting(index: int) -> dict[str, Any]:
        """The common setting of this place."""
        return {"learning_rate": 0.003 / (1 + 0.4 * index), "nonlinearity": ("tanh", "relu")[index % 2]}

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
            conditions={name: self._used(name) for name in ("primary", *self.conditions, *self.swept)},
            study_sha256=study_digest(study),
            task_sha256=None,
            topologies=dict.fromkeys(self.arms, "ef" * 32),
            streams=Streams(sha256="ab" * 32, numpy="2.0.0"),
            selection=None if self.phase == "search" else self.selection(),
            looks=list(self.taken),
            extensions=[Extension(asked="2026-01-02T12:00:00Z", replicates=self.replication)]
            if self.replication
            else [],
            set_aside={},
            journal=Head(),
            storage=None,
        )

    def _used(self, condition: str) -> UsedCondition:
        ratios = self.ratios_under(condition)
        return UsedCondition(
            criterion=Criterion(null_loss=NULL_LOSS, level=LEVEL),
            updates_per_epoch=UPDATES_PER_EPOCH,
            budget=self.budget,
            replicates=self.pairs,
            same=[arm for arm in self.arms if arm not in ratios and arm != POSITIVE_CONTROL],
            gain=self.swept.get(condition),
        )

    @property
    def swept(self) -> dict[str, Gain]:
        """The conditions of the gain sweep."""
        return {f"gain-{s:g}-rate-{r:g}": Gain(scale=s, learning_rate=r) for s, r in self.gain}

    def ratios_under(self, condition: str) -> Mapping[str, float]:
        if condition == "primary":
            return self.ratios
        point = self.swept.get(condition)
        own = self.conditions[condition][1] if point is None else self.gain[point.scale, point.learning_rate]
        return {self.arms[0]: 1.0, **own}

    def readings_of(self, condition: str, arm: str) -> list[Reading]:
        """What the networks of an arm are read as, at the setting of its pairs."""
        others = [other for other in self.ratios_under(condition) if other != self.arms[0]]
        against = others if arm == self.arms[0] else [""]
        found = [Reading(condition=condition, phase="pair", against=other) for other in against]
        own = condition == "primary" and arm not in self.own_best
        return found + [Reading(condition=condition, phase="own_best")] * own

    def selection(self) -> Selection:
        def at(label: str, *arms: str) -> CommonSetting:
            setting = self.setting(arms[0], label)
            return CommonSetting(
                index=5 if setting == self.common_setting(5) else 0, setting=setting, regrets=dict.fromkeys(arms, 0.0)
            )

        reference, *others = self.arms
        cells = [
            Cell(
                plan=f"{arm} {condition} {label}",
                arm=arm,
                condition=condition,
                setting=self.setting(arm, label),
                readings=readings,
                whole=condition == "primary",
            )
            for condition in ("primary", *self.conditions, *self.swept)
            for arm in self.ratios_under(condition)
            for label, readings in (
                ("pair", self.readings_of(condition, arm)),
                ("own_best", [Reading(condition=condition, phase="own_best")]),
            )
            if label == "pair" or (condition == "primary" and arm in self.own_best)
        ]
        return Selection(
            pair={arm: at("pair", arm, reference) for arm in others},
            own_best={arm: at("own_best", arm) for arm in self.arms},
            cells=cells,
        )


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
