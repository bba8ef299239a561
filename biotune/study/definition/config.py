"""A study as its YAML describes it: every key, its default and its range. `docs/study.md` explains them."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from biotune.connectome import CATALOGUE, GENERATORS, RANDOM_GRAPHS
from biotune.errors import UserError, nearest, unknown_name
from biotune.network import INITIALISATIONS, REMAPPINGS
from biotune.results import GAIN_KEYS
from biotune.tasks import full_name
from biotune.topology import DENSITY_SCALES, NULLS, PARTITIONS
from biotune.training import OPTIMIZERS, WITH_MOMENTUM

Scalar = bool | int | float | str
Neurons = Annotated[int, Field(ge=1, le=10_000_000)]
Whole = int
"""`int`, for a class whose field of that name hides it."""


def one_of(known: Any, what: str) -> Any:
    """A validator that accepts the names in `known`, and suggests the nearest for any other."""

    def check(name: str) -> str:
        if name not in known:
            raise _unknown(what, name, known)
        return name

    return AfterValidator(check)


def _task_name(name: str) -> str:
    """A built-in task's name, or that of a user's own task with the absolute path of its file."""
    try:
        return full_name(name)
    except UserError as error:
        raise ValueError(error) from None


def _unknown(what: str, name: str, known: Iterable[str], key: str | None = None) -> PydanticCustomError:
    """The error for a name that isn't known; `key` is the key to point at, if that is below the validated value."""
    context = {"message": str(unknown_name(what, name, known)), "keys": [() if key is None else (key,)]}
    return PydanticCustomError("unknown_name", "{message}", context)


def _unknown_key(key: str, known: Iterable[str], content: Mapping[str, Any]) -> PydanticCustomError:
    """The error for a key that isn't known."""
    meant = nearest(key, known)
    context = {"message": str(unknown_name("key", key, known)), "keys": [(key,)]}
    return PydanticCustomError("unknown_name", "{message}", context | ({} if meant in content else {"meant": meant}))


def _conflict(reason: str, *keys: str | tuple[str, ...]) -> PydanticCustomError:
    """The error for values that are allowed alone, but not together.

    Args:
        reason: what was found, and what would do.
        keys: all that it depends on, below the validated value; the one to point at first.
    """
    context = {"message": reason, "keys": [(key,) if isinstance(key, str) else key for key in keys]}
    return PydanticCustomError("conflict", "{message}", context)


class Section(BaseModel):
    """A mapping in the YAML; for an unknown key the error suggests the nearest known one."""

    # strict: true is no 1, and the text "1" no number
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, content: Any) -> Any:
        if content is None:
            content = {}
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if not isinstance(content, dict):
            raise PydanticCustomError(
                "not_a_mapping",
                "must be a mapping of keys ({known}), found {found}",
                {"known": ", ".join(known[:5]) + (", …" if len(known) > 5 else ""), "found": repr(content)},
            )
        for key in content:
            if key not in known and cls.model_config.get("extra") == "forbid":
                raise _unknown_key(key, known, content)
        return content

    def overridden(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The content of this section where an arm, or a tuned setting, sets some of its keys."""
        return self.model_dump() | dict(changes)


class TaskConfig(Section):
    """The task, and its data. Further keys are options of the task itself, such as `pattern_length`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: Annotated[str, AfterValidator(_task_name)] = Field("seq_mem", description="built-in, or file.py:Class")
    trials: int = Field(
        500, ge=2, le=1_000_000_000, description="trials per replicate, training and validation together"
    )
    train_share: FiniteFloat = Field(0.8, gt=0, lt=1, description="share of the trials used for training")
    batch: int = Field(128, ge=1, le=1_000_000_000, description="trials per update")

    @model_validator(mode="after")
    def _both_parts(self) -> Self:
        train = round(self.trials * self.train_share)
        if not 0 < train < self.trials:
            reason = f"{self.trials} trials at train_share {self.train_share} leave none for training or for validation"
            raise _conflict(reason, "trials", "train_share")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The task's name and its own options, for `biotune.tasks.make_task`."""
        return {"name": self.name, **(self.model_extra or {})}

    def overridden(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Another task takes over none of this one's own options."""
        another = "name" in changes and changes["name"] != self.name
        return self.model_dump(exclude=set(self.model_extra or {}) if another else None) | dict(changes)


class ConnectomeConfig(Section):
    """Which connectome: of the catalogue, from a file, or drawn; and what replaces it if it is not available."""

    name: str = Field("marmoset", description="a name of the catalogue, of a generator, or your own with `path`")
    otherwise: Annotated[str, one_of(GENERATORS, "generator")] | None = Field(
        None, description="generator to replace it if it is not available, with a warning; null: an error"
    )
    path: str | None = Field(None, description="a file of your own")
    # how the file is read: biotune.connectome.readers.reading.Reading
    columns: dict[Literal["source", "target", "weight", "transmitter"], str | int | None] = {}
    rows: dict[str, str | int | list[str | int]] = {}
    transmitters: dict[str, Literal[1, -1]] = {}
    signed: bool = False
    undirected: bool | None = None
    missing: Literal["error", "none"] = "error"
    decimal: Literal[".", ","] = "."
    encoding: str | None = None
    transposed: bool = False
    variable: str | None = None
    subject: Annotated[int, Field(ge=0)] | Literal["mean", "consensus"] | None = None
    labels: str | None = None
    keep: str | None = None
    # parameters of a random graph: biotune.connectome.random_graphs
    size: int | None = None
    edges: int | None = None
    neighbours: int | None = None
    rewiring: FiniteFloat | None = None
    blocks: list[int] | None = None
    densities: list[list[FiniteFloat]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_file_is_named_after_its_path(cls, content: Any) -> Any:
        if not isinstance(content, dict) or not isinstance(content.get("path"), str):
            return content
        path = Path(content["path"]).expanduser().absolute()
        named = content.get("name") not in (None, *_known_names())  # a file is not the connectome of the catalogue
        return content | {"path": str(path)} | ({} if named else {"name": path.stem})

    @model_validator(mode="after")
    def _name_is_known(self) -> Self:
        known = _known_names()
        if self.path is None and self.name not in known:
            raise _unknown("connectome", self.name, known, key="name")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are set, apart from those that every connectome has, for `load_connectome`."""
        return self.model_dump(exclude={"name", "otherwise", "path"}, exclude_defaults=True)

    def overridden(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """An arm that names another connectome takes over neither the study's file nor how to read or draw it."""
        another = "name" in changes or "path" in changes
        return ({"otherwise": self.otherwise} if another else self.model_dump()) | dict(changes)


def _known_names() -> list[str]:
    """The names of connectomes that need no file."""
    return [*CATALOGUE, *RANDOM_GRAPHS, *(f"{rule}:{name}" for rule in GENERATORS for name in CATALOGUE)]


_AS_IT_COMES: Any = "as_it_comes"


def _as_it_comes(value: Any) -> Any:
    return None if value == _AS_IT_COMES else value


Scale = Annotated[Annotated[FiniteFloat, Field(gt=0)] | None, BeforeValidator(_as_it_comes)]
"""What a matrix is scaled to, a number above 0; None, or `as_it_comes` in the YAML: it isn't."""


class NeuronDensityConfig(Section):
    """Neurons per region, by the density of neurons there."""

    density: Annotated[str, one_of(DENSITY_SCALES, "density")] = Field(description="by its rank, or in proportion")
    mean: FiniteFloat = Field(4, gt=0, description="neurons per region, on average")
    unmeasured: int | None = Field(None, ge=1, description="neurons in a region whose density is not known")


class TopologyConfig(Section):
    """From regions to neurons."""

    neurons_per_region: Neurons | list[Neurons] | NeuronDensityConfig = 4
    target_sparsity: FiniteFloat = Field(
        0.8, gt=0, le=1, description="share of a target region that a neuron connects to"
    )
    partition: Annotated[str, one_of(PARTITIONS, "partition")] = Field(
        "dirichlet", description="how the weight between two regions is divided among their neurons"
    )
    intrinsic: bool = Field(True, description="whether neurons within a region are connected")
    intrinsic_sparsity: FiniteFloat = Field(1.0, gt=0, le=1, description="target_sparsity within a region")
    intrinsic_weight: FiniteFloat = Field(0.8, gt=0, lt=1, description="share of a region's input from itself")
    keep_diagonal: bool = Field(False, description="allow a neuron to connect to itself")
    spectral_radius: Scale = Field(0.9, description="of the initial recurrent matrix; as_it_comes: not rescaled")
    frobenius_norm: Scale = Field(
        _AS_IT_COMES, description="of it instead: where one of the two is set, the other isn't"
    )
    gain: FiniteFloat = Field(1.0, gt=0, description="factor of the initial recurrent matrix, after all else")
    draw: int = Field(0, ge=0, description="which draw of expansion and null: another number gives other topologies")

    @model_validator(mode="before")
    @classmethod
    def _norm_in_place_of_the_default_radius(cls, content: Any) -> Any:
        alone = isinstance(content, dict) and "frobenius_norm" in content and "spectral_radius" not in content
        return content | {"spectral_radius": None} if alone else content

    @model_validator(mode="after")
    def _scaled_to_one(self) -> Self:
        if self.spectral_radius is not None and self.frobenius_norm is not None:
            reason = f"{' and '.join(GAIN_KEYS)} would each scale the initial recurrent matrix; give one of them"
            raise _conflict(reason, *GAIN_KEYS)
        return self

    def overridden(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Where one of spectral radius and Frobenius norm is set, neither is taken over."""
        left = set(GAIN_KEYS) if any(key in changes for key in GAIN_KEYS) else set()
        return self.model_dump(exclude=left) | dict(changes)


class StartConfig(Section):
    """Trained networks of another study, to start from with a new readout."""

    results: str = Field(description="its results directory; it must be finished")
    arm: str | None = Field(None, description="its arm; default: the one of the same name")


class NetworkConfig(Section):
    """The network, and how it is trained."""

    initialisation: Annotated[str, one_of(INITIALISATIONS, "initialisation")] = "default"
    remap: Annotated[
        Annotated[str, one_of(REMAPPINGS, "remapping")] | None,
        BeforeValidator(lambda value: {True: "signed", False: None}[value] if isinstance(value, bool) else value),
    ] = Field("signed", description="how initial recurrent values follow the topology's weights; true is signed")
    signs: Literal["none", "data"] | Annotated[FiniteFloat, Field(gt=0, lt=1)] = Field(
        "none", description="none, data, or the share of inhibitory neurons"
    )
    dale: bool = Field(False, description="outgoing weights keep their neuron's sign during training")
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    start_from: StartConfig | None = Field(None, description="trained networks of another study")
    readout: FiniteFloat = Field(
        1.0, gt=0, le=1, description="share of the neurons that the readout sees, drawn at random"
    )
    freeze_recurrent: bool = Field(False, description="do not train the recurrent weights")
    optimizer: Annotated[str, one_of(OPTIMIZERS, "optimizer")] = "Adam"
    learning_rate: FiniteFloat = Field(1e-3, gt=0)
    weight_decay: FiniteFloat = Field(0.0, ge=0)
    momentum: FiniteFloat = Field(0.0, ge=0, lt=1, description="of RMSprop and SGD")
    gradient_clip: FiniteFloat = Field(1.0, gt=0, description="largest norm of one replicate's gradient")

    @model_validator(mode="after")
    def _signs_fit(self) -> Self:
        if self.signs == "none" and self.dale:
            reason = "dale: true needs signs: data, or the share of inhibitory neurons, such as 0.2"
            raise _conflict(reason, "dale", "signs")
        if self.signs != "none" and self.remap == "signed":
            reason = f"signs: {self.signs} needs remap: magnitude or false; signed ranks would set signs itself"
            raise _conflict(reason, "signs", "remap")
        return self

    @model_validator(mode="after")
    def _momentum_is_used(self) -> Self:
        if self.momentum and self.optimizer not in WITH_MOMENTUM:
            reason = f"momentum is for {' and '.join(WITH_MOMENTUM)}, and the optimizer is {self.optimizer}"
            raise _conflict(reason, "momentum", "optimizer")
        return self


class NullConfig(Section):
    """What an arm rewires, and at which level."""

    name: Annotated[str, one_of(NULLS, "null")]
    level: Literal["region", "neuron"] = Field("region", description="rewire the connectome, or its expansion")
    weights: Literal["carried", "shuffled"] = Field(
        "carried", description="each rewired edge keeps its weight, or the weights are shuffled among the rewired edges"
    )
    fraction: FiniteFloat = Field(1.0, ge=0, le=1, description="share of the edges that is rewired")


class ArmConfig(Section):
    """A treatment: a null, and the keys of connectome, topology and network in which it differs from the study."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    null_model: NullConfig | None = Field(None, alias="null")
    connectome: dict[str, Any] = {}
    topology: dict[str, Any] = {}
    network: dict[str, Any] = {}


class ConditionConfig(Section):
    """What all arms are confirmed under besides: the keys of task, topology and network in which it differs from the
    study, whatever an arm or a tuned setting says of them."""

    task: dict[str, Any] = {}
    topology: dict[str, Any] = {}
    network: dict[str, Any] = {}
    replicates: int | None = Field(None, ge=2, le=100_000, description="at most so many; null: confirm.replicates")

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """Section -> the keys that are set in it."""
        return {section: keys for section in CONDITION_SECTIONS if (keys := getattr(self, section))}


CONDITION_SECTIONS = ("task", "topology", "network")
"""The sections that a condition may override."""


class GainConfig(Section):
    """A sweep: each arm at each scale of its initial recurrent matrix, and at each learning rate."""

    scales: list[Annotated[FiniteFloat, Field(gt=0)]] = Field(min_length=3, description="values of topology.gain")
    learning_rates: list[Annotated[FiniteFloat, Field(gt=0)]] = Field(
        min_length=2, description="at each of which each scale is trained, since the best rate moves with gain"
    )
    replicates: int | None = Field(None, ge=2, le=100_000, description="at most so many; null: confirm.replicates")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for key in ("scales", "learning_rates"):
            values = getattr(self, key)
            if sorted(set(values)) != values:
                raise _conflict(f"must ascend, and name no value twice, found {values}", key)
        return self


class Domain(Section):
    """The range or the choices of one hyperparameter, given by exactly one of the keys."""

    loguniform: list[FiniteFloat] | None = None
    uniform: list[FiniteFloat] | None = None
    int: list[Whole] | None = None
    choice: list[Scalar] | None = None

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            reason = f"give exactly one of loguniform, uniform, int, choice; found {list(given) or 'none'}"
            raise _conflict(reason, *(given or [()]))
        [(kind, values)] = given.items()
        if kind == "choice":
            if not values:
                raise _conflict("choice is empty; give at least one value", kind)
            if len({(type(v), v) for v in values}) < len(values):
                raise _conflict(f"choice {values} names a value twice", kind)
        elif len(values) != 2 or values[0] >= values[1]:
            raise _conflict(f"{kind} must be [low, high] with low below high, found {values}", kind)
        elif kind == "loguniform" and values[0] <= 0:
            raise _conflict(f"loguniform must start above 0, found {values}", kind)
        return self

    @property
    def mixed(self) -> bool:
        """Whether it is a choice between values of several types; all numbers count as one type."""
        types = {type(value) if isinstance(value, bool | str) else float for value in self.choice or []}
        return len(types) > 1

    @property
    def ends(self) -> list[Any]:
        """The two ends of a range; all values of a choice."""
        return self.choice or self.loguniform or self.uniform or self.int or []


class SearchConfig(Section):
    """The search of each arm."""

    trials_per_arm: int = Field(16, ge=1, le=100_000, description="for a grid: the number of combinations")
    shared_settings: int = Field(
        16,
        ge=1,
        le=100_000,
        description="the first trials of every arm, at the same Sobol settings: arms are compared at some of these; "
        "for a grid: all trials",
    )
    replicates: int = Field(4, ge=1, le=10_000, description="networks per trial")
    max_epochs: int = Field(81, ge=1, le=1_000_000)
    grace: int = Field(9, ge=1, le=1_000_000, description="epochs before ASHA may stop a trial")
    reduction: int = Field(3, ge=2, description="at each rung one in so many trials goes on")
    sampler: Literal["tpe", "random", "grid"] = Field("tpe", description="grid: every combination of the choices")

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.sampler != "grid" and self.shared_settings > self.trials_per_arm:
            reason = f"shared_settings {self.shared_settings} exceeds trials_per_arm {self.trials_per_arm}"
            raise _conflict(reason, "shared_settings", "trials_per_arm", "sampler")
        if self.grace > self.max_epochs:
            raise _conflict(f"grace {self.grace} exceeds max_epochs {self.max_epochs}", "grace", "max_epochs")
        return self

    @property
    def rungs(self) -> list[int]:
        """Epochs at which ASHA compares trials: grace · reduction^k below max_epochs."""
        rungs, epoch = [], self.grace
        while epoch < self.max_epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return rungs


class ConfirmConfig(Section):
    """The confirmation on fresh seeds."""

    replicates: int = Field(16, ge=1, le=100_000, description="networks per arm: the pairs of the statistics")
    max_epochs: int = Field(100, ge=1, le=1_000_000, description="the budget")
    population: int = Field(8, ge=1, le=10_000, description="replicates that are trained together as one Ray task")


class CriterionConfig(Section):
    """What counts as having learnt."""

    metric: Literal["validation_loss"] = "validation_loss"
    fraction_of_null: FiniteFloat = Field(0.1, gt=0, lt=1, description="share of the loss of the task's null predictor")
    sustain: int = Field(3, ge=1, description="consecutive evaluations that must meet it")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=40)]
"""Of an arm or a condition: part of the names of files."""


class StudyConfig(Section):
    """A whole study."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80, description="names the results folder")
    description: str = Field("", description="the question; default: the comment at the head of the file")
    seed: int = Field(1, ge=0, description="every random number is derived from it")
    task: TaskConfig = TaskConfig()
    connectome: ConnectomeConfig = ConnectomeConfig()
    topology: TopologyConfig = TopologyConfig()
    network: NetworkConfig = NetworkConfig()
    arms: dict[Name, ArmConfig] = Field(min_length=1)
    reference_arm: str
    positive_control: Literal["frozen", "quarter_radius"] | None = Field(
        None, description="adds an arm, the reference arm made worse, which must come out different"
    )
    conditions: dict[Name, ConditionConfig] = Field({"primary": ConditionConfig()}, min_length=1)
    gain: GainConfig | None = Field(None, description="a sweep over scales of the initial recurrent matrix")
    tune: dict[str, Domain] = Field(min_length=1)
    search: SearchConfig = SearchConfig()
    confirm: ConfirmConfig = ConfirmConfig()
    criterion: CriterionConfig = CriterionConfig()
    quick: bool = Field(False, description="whether --quick has cut it down to a first look")
    equivalence_margin: FiniteFloat = Field(0.2, gt=0, description="0.2: ratios from 1/1.2 to 1.2 count as equal")

    @field_validator("arms", mode="before")
    @classmethod
    def _empty_arms(cls, arms: Any) -> Any:
        return _filled(arms)

    @field_validator("conditions", mode="before")
    @classmethod
    def _empty_conditions(cls, conditions: Any) -> Any:
        return _filled(conditions)

    @field_validator("conditions")
    @classmethod
    def _conditions_differ(cls, conditions: dict[str, ConditionConfig]) -> dict[str, ConditionConfig]:
        seen: dict[str, str] = {}
        for place, (name, condition) in enumerate(conditions.items()):
            if place == 0 and condition.model_fields_set:
                reason = "the first condition is the primary, which the study's own sections describe; it has no keys"
                raise _conflict(reason, *((name, key) for key in sorted(condition.model_fields_set)))
            if place and not condition.changes:
                raise _conflict(f"sets no key of {', '.join(CONDITION_SECTIONS)}, so it is the primary again", name)
            other = seen.setdefault(json.dumps(condition.changes, sort_keys=True, default=str), name)
            if other != name:
                raise _conflict(f"{other} and {name} set the same", name, other)
        return conditions

    @field_validator("arms")
    @classmethod
    def _arms_differ_on_every_disk(cls, arms: dict[str, ArmConfig]) -> dict[str, ArmConfig]:
        seen: dict[str, str] = {}
        for name in arms:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise _conflict(
                    f"{other} and {name} differ in capitals alone, which some disks don't tell apart", name, other
                )
        return arms

    @model_validator(mode="after")
    def _grid_over_what_is_tuned(self) -> Self:
        """A grid has one trial per combination, and all arms share all of them."""
        if self.search.sampler != "grid":
            return self
        if ranges := [key for key, domain in self.tune.items() if domain.choice is None]:
            reason = f"grid needs a choice for each key of tune; {', '.join(ranges)} has another range"
            raise _conflict(reason, ("search", "sampler"), *(("tune", key) for key in ranges))
        combinations = math.prod(len(domain.choice or []) for domain in self.tune.values())
        for key in ("trials_per_arm", "shared_settings"):
            if key in self.search.model_fields_set and getattr(self.search, key) != combinations:
                reason = (
                    f"sampler grid tries each of the {combinations} combinations of tune once, but {key} is "
                    f"{getattr(self.search, key)}; leave it out"
                )
                raise _conflict(reason, ("search", key), ("search", "sampler"), "tune")
        search = self.search.model_copy(update={"trials_per_arm": combinations, "shared_settings": combinations})
        return self.model_copy(update={"search": search})

    @model_validator(mode="after")
    def _reference_is_an_arm(self) -> Self:
        if self.reference_arm not in self.arms:
            reason = str(unknown_name("arm", self.reference_arm, self.arms))
            raise _conflict(reason, "reference_arm", ("arms", self.reference_arm))
        return self


def _filled(named: Any) -> Any:
    """What is written as `name:` alone has no keys."""
    return {name: {} if held is None else held for name, held in named.items()} if isinstance(named, dict) else named
