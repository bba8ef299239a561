"""The documents of a results directory: state.json and environment.json; `study_file` has what is read of study.yaml.

They are checked as they are read, before anything is computed from them.
"""

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from biotune.errors import UserError
from biotune.results.journal import Head
from biotune.results.vocabulary import Label

Document = TypeVar("Document", bound=BaseModel)


class Part(BaseModel):
    """Further keys of a file are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


Positive = Annotated[FiniteFloat, Field(gt=0)]
Section = dict[str, Any]


class UsedConnectome(Part):
    """The connectome that an arm was laid out from.

    Attributes:
        asked: the name in study.yaml. substituted: whether another one took its place. reason: why.
        kind, sha256, species, citation, notes: see `biotune.connectome.Provenance`.
        regions: their names, in the order of their numbers; None: they have none, or there are too many.
    """

    name: str
    asked: str
    substituted: bool
    reason: str | None
    citation: str
    kind: str
    sha256: str | None
    species: str
    digest: str
    notes: list[str]
    regions: list[str] | None = None


class Criterion(Part):
    """The validation loss of guessing, and the one that is to be met."""

    null_loss: Positive
    level: Positive


class Gain(Part):
    """A scale of the initial recurrent matrix, and a learning rate."""

    scale: Positive
    learning_rate: Positive


class UsedCondition(Part):
    """A condition that arms are confirmed under.

    Attributes:
        budget: updates at which a replicate is censored. replicates: of each arm.
        same: arms whose networks are those of the reference under it, by construction.
        gain: its place in the gain sweep, if it is part of that.
    """

    criterion: Criterion
    updates_per_epoch: PositiveInt
    budget: PositiveInt
    replicates: PositiveInt
    same: list[str] = []
    gain: Gain | None = None


class Streams(Part):
    """The digest of what NumPy's generators draw, see `biotune.seeds.streams_digest`, and NumPy's version."""

    sha256: str
    numpy: str


class _Typed(Part):
    """A part that events of the journal have too: no value is converted to the type that is needed."""

    model_config = ConfigDict(strict=True)


class Reading(_Typed):
    """What the report reads a cell as: under which condition, and at which setting.

    Attributes:
        against: of the reference, the arm of the pair; empty for another arm, and at an arm's own best.
    """

    condition: str
    phase: Label
    against: str = ""


class Cell(_Typed):
    """An arm at a setting under a condition, to be confirmed: trained once, whatever it is read as.

    Attributes:
        plan: `TrialPlan.digest` of its replicates: by it the cell is known.
        condition: that its plan is made of. setting: tuned values; the condition has the last word on them.
        readings: what the report reads it as; a row of a table for each.
        whole: whether it is trained to the budget, as under the primary condition; else until the criterion is met.
    """

    plan: str
    arm: str
    condition: str
    setting: Section
    readings: list[Reading]
    whole: bool

    def checkpoint(self, first: int) -> str:
        """The name, without its ending, of the file of the replicates from `first` on."""
        return f"{self.arm}-{self.plan[:12]}-{first:04d}"


class CommonSetting(_Typed):
    """One of the settings that every arm tried in the search.

    Attributes:
        index: its place among them. setting: tuned values.
        regrets: arm that is confirmed at it -> log of its updates there, in the search, over its least at any of them;
            None if it did not train there.
    """

    index: NonNegativeInt
    setting: Section
    regrets: dict[str, float | None]


class Selection(_Typed):
    """What the search led to: the settings that arms are compared at, and the cells to be confirmed.

    Attributes:
        pair: arm -> the setting at which it is compared with the reference. own_best: arm -> its own best.
        cells: in the order in which they are confirmed.
    """

    pair: dict[str, CommonSetting]
    own_best: dict[str, CommonSetting]
    cells: list[Cell]

    def cell(self, arm: str, phase: Label, condition: str | None = None, against: str = "") -> Cell:
        """The cell of an arm that is read so; under the primary condition if none is named.

        Args:
            arm, phase, condition, against: see `Reading`.

        Raises:
            UserError: there is none.
        """
        wanted = Reading(condition=condition or self.cells[0].condition, phase=phase, against=against)
        for cell in self.cells:
            if cell.arm == arm and wanted in cell.readings:
                return cell
        arms = ", ".join(dict.fromkeys(cell.arm for cell in self.cells))
        raise UserError(
            f"nothing of an arm {arm!r} is confirmed as {phase!r} under {wanted.condition!r}"
            f"{f' against {against!r}' if against else ''}; the arms are {arms}"
        )


class Look(_Typed):
    """A planned look that was taken.

    Attributes:
        pairs: of replicates, of each arm that had gone on until then.
        going: arms of which more pairs could say more. decided: arms of which this look says all; any other arm that
            it was about is not comparable.
    """

    pairs: PositiveInt
    going: list[str]
    decided: list[str]


class Extension(_Typed):
    """What `biotune extend` added to a study.

    Attributes:
        asked: when, in UTC.
        to: the planned look that is to be taken, and those before it; None: none that had not been.
        replicates: number of replicates of each arm of which those past the plan, and past an earlier extension, are a
            replication that is analysed alone; None: there is none.
        conditions: name -> what it overrides, of the conditions that were added.
    """

    asked: str
    to: PositiveInt | None = None
    replicates: PositiveInt | None = None
    conditions: dict[str, Section] = {}


class State(Part):
    """state.json.

    Attributes:
        schema_version: `SCHEMA` of who wrote it.
        phase: "search", "confirm", or "finished". started, finished: UTC. seconds: phase -> spent so far.
        backend: phase -> arm -> kernels. device, matmul_precision, concurrency: what trials ran on.
        connectomes: of each arm. topologies: of each arm the digest of its first confirmed replicate's.
        study_sha256, task_sha256: digests of study.yaml, and of the task's file, None if it is one of biotune's.
        conditions: name -> what it came to, the primary first.
        looks: that were taken. extensions: what was added to the study after it was started.
        set_aside: checkpoints that could not be read, and why: "search/real-0003.pt" -> reason.
        journal: how far it had come. storage: where checkpoints are, None if that is the results directory.
    """

    schema_version: int = Field(alias="schema")
    study: str
    phase: str
    started: str
    finished: str | None
    seconds: dict[str, FiniteFloat]
    backend: dict[str, dict[str, str]]
    device: str
    matmul_precision: str
    concurrency: PositiveInt
    connectomes: dict[str, UsedConnectome]
    conditions: Annotated[dict[str, UsedCondition], Field(min_length=1)]
    study_sha256: str
    task_sha256: str | None
    topologies: dict[str, str]
    streams: Streams
    selection: Selection | None
    looks: list[Look] = []
    extensions: list[Extension] = []
    set_aside: dict[str, str]
    journal: Head
    storage: str | None

    @property
    def primary(self) -> UsedCondition:
        """The condition that the study's own sections describe."""
        return next(iter(self.conditions.values()))

    @property
    def criterion(self) -> Criterion:
        """Of the primary condition."""
        return self.primary.criterion

    @property
    def added_conditions(self) -> dict[str, Section]:
        """Name -> what it overrides, of the conditions that were added after the study was started."""
        return {name: held for extension in self.extensions for name, held in extension.conditions.items()}

    @property
    def budget(self) -> int:
        """Of the primary condition: updates at which a replicate is censored."""
        return self.primary.budget

    @property
    def updates_per_epoch(self) -> int:
        """Of the primary condition."""
        return self.primary.updates_per_epoch

    @property
    def digests(self) -> dict[str, Any]:
        """What the study is made from: its own digest, its task's, and of each arm the connectome's and topology's."""
        return {
            "study": self.study_sha256,
            "task": self.task_sha256,
            "connectomes": {arm: used.digest for arm, used in self.connectomes.items()},
            "topologies": self.topologies,
        }


class SeenKernels(Part):
    """Kernels that were set beside their definition on a kind of machine, and the largest deviation of their passes.

    Attributes:
        processor, gpu: of the machine; gpu is None for kernels that run on the processor.
        versions: of what they are compiled with. precision: how exactly float32 matrices are multiplied.
        deviation: of hidden states and gradients, relative norm. tolerance: what of that is allowed.
        networks, batch, nonlinearity: of the passes.
    """

    backend: str
    device: str
    processor: str
    gpu: str | None
    versions: dict[str, str]
    dtype: str
    precision: str
    deviation: Annotated[dict[str, FiniteFloat], Field(min_length=1)]
    tolerance: Positive
    networks: list[str]
    batch: list[int]
    nonlinearity: list[str]


class Machine(Part):
    """The machine that the study was started on."""

    system: str
    cpu: str
    cores: int
    memory_gib: float
    gpus: list[str]


class Git(Part):
    """The commit of the code that ran, and whether files had changes that it does not hold."""

    commit: str
    dirty: bool


class Data(Part):
    """Where a connectome was read from, see `biotune.connectome.Provenance`."""

    kind: str
    path: str | None
    url: str | None
    sha256: str | None
    licence: str


class Environment(Part):
    """environment.json.

    Attributes:
        packages: name -> version, None if it is not installed.
        git: None if the code is in no checkout. command: that started the study.
        data: connectome -> its source. nodes: the resources of each, in Ray's words.
        kernels: that were seen to compute what they should. kernels_left_out: why others were not used.
    """

    python: str
    packages: dict[str, str | None]
    machine: Machine
    git: Git | None
    command: str
    data: dict[str, Data]
    nodes: list[dict[str, float]]
    kernels: list[SeenKernels]
    kernels_left_out: list[str]


def checked(content: Any, model: type[Document], file: str) -> Document:
    """What a file holds, as its model.

    Raises:
        UserError: a key is missing, or has a value that this version does not write.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        key = ".".join(map(str, found["loc"]))
        what = f"lacks {key}" if found["type"] == "missing" else f"{key or 'its content'}: {found['msg']}"
        raise UserError(
            f"{file}: {what}; was it written by another version? run the study again with this one"
        ) from None
