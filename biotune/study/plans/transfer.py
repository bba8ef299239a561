"""Transfer between tasks: arms whose networks start from networks that another study trained, with a new readout."""

from dataclasses import dataclass

from biotune.connectome import Connectome
from biotune.errors import UserError
from biotune.io.storage import Place
from biotune.results import Results
from biotune.results.documents import Cell
from biotune.study.definition.load import load_study
from biotune.study.definition.study import Study
from biotune.study.directory.mirror import checkpoints_of
from biotune.training import Start


@dataclass(frozen=True)
class TrainedNetworks:
    """The networks that a study confirmed for one of its arms, at the arm's own best setting.

    Attributes:
        checkpoints: where the networks are. study, cell: what was trained.
        connectome: the arm's.
        search_replicates: how many of the last networks are for the search of the new study; the confirm phase takes
            the first ones, so that no network is used in both.
    """

    checkpoints: Place
    study: Study
    cell: Cell
    connectome: Connectome
    search_replicates: int

    @property
    def for_confirm(self) -> int:
        """How many there are for the confirm phase."""
        return self.study.config.confirm.replicates - self.search_replicates

    def start(self, phase: str, replicates: list[int]) -> Start:
        """The networks that some replicates of a phase start from."""
        offset = self.for_confirm if phase == "search" else 0
        places = [offset + replicate for replicate in replicates]
        block = self.study.config.confirm.population
        plan = self.study.plan(
            self.cell.arm,
            self.cell.setting,
            phase="confirm",
            replicates=places,
            connectome=self.connectome,
            backend="reference",
            device="cpu",
        )
        files = [
            (self.checkpoints / f"{self.cell.checkpoint(place // block * block)}.pt", place % block) for place in places
        ]
        return Start(plan, tuple(files))


def trained_networks(study: Study, arm: str, connectome: Connectome) -> TrainedNetworks | None:
    """The networks that an arm starts from; None if it draws its own.

    Args:
        study: the study that starts from them.
        arm: one of its arms.
        connectome: of the arm; they must have been trained with the same.

    Raises:
        UserError: there is no such study, it isn't finished, lacks the arm, has too few networks, or they don't fit.
    """
    asked = study.arms[arm].network.start_from
    if asked is None:
        return None
    if "://" in asked.results:
        raise UserError(
            f"arm {arm}: start_from {asked.results}: results are read from a folder; copy them from the storage, "
            "without the checkpoints, which are read from there"
        )
    where = f"arm {arm}: start_from {asked.results}"
    results = Results.open(asked.results)
    results.require_whole()
    source, state = load_study(results.path / "study.yaml"), results.read_state()
    name = asked.arm or arm
    if name not in source.arms:
        raise UserError(f"{where}: it has no arm {name!r}; name one of {', '.join(source.arms)} as start_from.arm")
    if state.phase != "finished" or state.selection is None:
        raise UserError(f"{where}: it is not finished; go on with it first (--resume {asked.results})")
    needed = study.config.search.replicates + study.config.confirm.replicates
    if source.config.confirm.replicates < needed:
        raise UserError(
            f"{where}: it has {source.config.confirm.replicates} trained networks per arm; "
            f"this study's search and confirm phases need {needed}"
        )
    if source.task.input_size != study.task.input_size:
        raise UserError(
            f"{where}: its task {source.task.name} has {source.task.input_size} inputs, {study.task.name} has "
            f"{study.task.input_size}; its networks can't be used"
        )
    if state.connectomes[name].digest != connectome.digest:
        raise UserError(f"{where}: was trained with {state.connectomes[name].name}, not with {connectome.name}")
    return TrainedNetworks(
        checkpoints_of(results) / "confirm",
        source,
        state.selection.cell(name, "own_best"),
        connectome,
        study.config.search.replicates,
    )
