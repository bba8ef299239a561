"""The sections `connectome`, `topology` and `network`: from regions to a network, and how it is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from biotune.connectome import CATALOGUE, GENERATORS, RANDOM_GRAPHS
from biotune.network import INITIALISATIONS, REMAPPINGS
from biotune.results import GAIN_KEYS
from biotune.study.definition.section import Section, conflict, one_of, unknown
from biotune.topology import DENSITY_SCALES, PARTITIONS
from biotune.training import OPTIMIZERS, WITH_MOMENTUM

Neurons = Annotated[int, Field(ge=1, le=10_000_000)]


class ConnectomeConfig(Section):
    """Which connectome: of the catalogue, from a file, or drawn; and what replaces it if it is not available."""

    name: str = Field("marmoset", description="a name of the catalogue, of a generator, or your own with `path`")
    otherwise: Annotated[str, one_of(GENERATORS, "generator")] | None = Field(
        None, description="generator to replace it if it is not available, with a warning; null: an error"
    )
    path: str | None = Field(None, description="a file of your own")
    # how the file is read: biotune.connectome.readers.reading.Reading
    columns: dict[Literal["source", "target", "weight", "transmitter"], str | int | None] = Field({})
    rows: dict[str, str | int | list[str | int]] = Field({})
    transmitters: dict[str, Literal[1, -1]] = Field({})
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
            raise unknown("connectome", self.name, known, key="name")
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
            raise conflict(reason, *GAIN_KEYS)
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

    initialisation: Annotated[str, one_of(INITIALISATIONS, "initialisation")] = Field(
        "default", description="of all weights: " + ", ".join(INITIALISATIONS)
    )
    remap: Annotated[
        Annotated[str, one_of(REMAPPINGS, "remapping")] | None,
        BeforeValidator(lambda value: {True: "signed", False: None}[value] if isinstance(value, bool) else value),
    ] = Field("signed", description="how initial recurrent values follow the topology's weights; true is signed")
    signs: Literal["none", "data"] | Annotated[FiniteFloat, Field(gt=0, lt=1)] = Field(
        "none", description="none, data, or the share of inhibitory neurons"
    )
    dale: bool = Field(False, description="outgoing weights keep their neuron's sign during training")
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="tanh or relu")
    start_from: StartConfig | None = Field(None, description="trained networks of another study")
    readout: FiniteFloat = Field(
        1.0, gt=0, le=1, description="share of the neurons that the readout sees, drawn at random"
    )
    freeze_recurrent: bool = Field(False, description="do not train the recurrent weights")
    optimizer: Annotated[str, one_of(OPTIMIZERS, "optimizer")] = Field("Adam", description=", ".join(OPTIMIZERS))
    learning_rate: FiniteFloat = Field(1e-3, gt=0, description="of the optimizer, where it isn't tuned")
    weight_decay: FiniteFloat = Field(0.0, ge=0, description="of the optimizer")
    momentum: FiniteFloat = Field(0.0, ge=0, lt=1, description="of RMSprop and SGD")
    gradient_clip: FiniteFloat = Field(1.0, gt=0, description="largest norm of one replicate's gradient")

    @model_validator(mode="after")
    def _signs_fit(self) -> Self:
        if self.signs == "none" and self.dale:
            reason = "dale: true needs signs: data, or the share of inhibitory neurons, such as 0.2"
            raise conflict(reason, "dale", "signs")
        if self.signs != "none" and self.remap == "signed":
            reason = f"signs: {self.signs} needs remap: magnitude or false; signed ranks would set signs itself"
            raise conflict(reason, "signs", "remap")
        return self

    @model_validator(mode="after")
    def _momentum_is_used(self) -> Self:
        if self.momentum and self.optimizer not in WITH_MOMENTUM:
            reason = f"momentum is for {' and '.join(WITH_MOMENTUM)}, and the optimizer is {self.optimizer}"
            raise conflict(reason, "momentum", "optimizer")
        return self
