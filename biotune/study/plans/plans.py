"""The plans of a study's trials, and what they are made from: connectomes and trained networks, loaded once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from biotune.connectome import Connectome, load_connectome, with_neuron_density
from biotune.connectome.readers.child import CHILD
from biotune.errors import UserError
from biotune.network import edge_signs, read_neurons
from biotune.results.documents import Cell, Reading
from biotune.study.definition.networks import NeuronDensityConfig
from biotune.study.definition.study import Setting, Study
from biotune.study.plans.memory import needs_of_drawing, needs_of_record, needs_of_training, require_memory
from biotune.study.plans.transfer import TrainedNetworks, trained_networks
from biotune.topology import Topology
from biotune.training import Trial, TrialPlan, draw_topology, first_network_digest
from biotune.training.topologies import DRAWN


@dataclass(frozen=True)
class Plans:
    """Makes the plans of a study's trials; the whole object is sent to the workers.

    Attributes:
        study: that the trials are of.
        connectomes: arm -> its connectome.
        trained: arm -> the trained networks it starts from, or None.
        backends: phase -> arm -> kernel backend; "auto" if it is not decided yet.
        device: that the networks are on.
        topologies: arm -> digest of its first confirmed replicate's topology, at the first setting.
        same: condition -> the arms whose networks are those of the reference arm under it.
    """

    study: Study
    connectomes: Mapping[str, Connectome]
    trained: Mapping[str, TrainedNetworks | None]
    backends: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    device: str = "cpu"
    topologies: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, study: Study, trains_here: bool = True) -> "Plans":
        """Reads the connectomes, each once, and draws the first network of each arm to see that it can be drawn.

        Args:
            study: that the plans are of.
            trains_here: whether trials are trained on this machine, so that they must fit into its memory.

        Raises:
            UserError: a connectome is not available, an arm's null or options don't fit it, or memory does not suffice.
        """
        require_memory(needs_of_record(study))
        connectomes = load_connectomes(study)
        trained = {arm: trained_networks(study, arm, connectomes[arm]) for arm in study.arms}
        plans = cls(study, connectomes, trained)
        topologies, same = plans._first_networks(trains_here)
        return replace(plans, topologies=topologies, same=same)

    def _first_networks(self, trains_here: bool) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Draws the first network of each arm under each condition, to see that it can be drawn; what `topologies` and
        `same` say of them.

        Whether the values follow the topology's weights may be tuned: then arms are equal if they are whichever is
        chosen.

        Args:
            trains_here: see `load`.

        Raises:
            UserError: an arm's networks don't fit into memory, or can't be drawn under a condition.
        """
        study, reference = self.study, self.study.config.reference_arm
        remappings = study.config.tune["remap"].ends if "remap" in study.config.tune else []
        first = dict(study.first_setting)
        settings = [first | {"remap": remap} for remap in remappings] or [first]
        topologies: dict[str, str] = {}
        held: dict[str, str] = {}
        same: dict[str, list[str]] = {}
        for condition in study.conditions:
            drawn: dict[str, list[str]] = {}
            for arm in study.arms_under(condition):
                trained = self.trained[arm] is not None
                if trained and condition != study.primary:
                    continue  # they are the same under every condition
                try:
                    topology = self._first_topology(arm, condition, trains_here)
                    topologies.setdefault(arm, topology.digest)
                    for setting in [] if trained else settings:
                        plan = self.plan(arm, setting, "confirm", [0], condition)
                        start, training = plan.start_and_training()
                        held[start] = held.get(start) or first_network_digest(plan)
                        drawn.setdefault(arm, []).append(held[start] + training)
                except (UserError, ValueError) as error:
                    under = "" if condition == study.primary else f"condition {condition}, "
                    raise UserError(f"{under}arm {arm}: {error}") from error
            same[condition] = [arm for arm in drawn if arm != reference and drawn[arm] == drawn.get(reference)]
        return topologies, same

    def _first_topology(self, arm: str, condition: str, trains_here: bool) -> Topology:
        """The topology of an arm's first confirmed replicate under a condition, at the first setting.

        Args:
            arm, condition: of the networks. trains_here: see `load`.

        Raises:
            UserError, ValueError: its networks don't fit into memory, or can't be drawn.
        """
        needs = needs_of_training if trains_here else needs_of_drawing
        require_memory(needs(self.study, arm, condition, self.connectomes[arm]))
        setting = self.study.first_setting
        plan = self.plan(arm, setting, "confirm", [0], condition)
        if plan.start is None:
            first = DRAWN.of(plan, 0)
            _require_equal_edges(first, self.plan(arm, setting, "confirm", [1], condition))
            _require_another_draw(first, plan)
        else:
            [first] = plan.start.load().topologies
        edge_signs(first, plan.network.signs, plan.network.dale, plan.generator(0, "signs"))
        read_neurons(first.size, plan.network.readout, plan.generator(0, "readout_neurons"))
        return first

    def plan(
        self, arm: str, setting: Setting, phase: str, replicates: Sequence[int], condition: str | None = None
    ) -> TrialPlan:
        """The plan of an arm at a setting, on replicates of a phase; under the primary condition if none is named."""
        trained = self.trained[arm]
        return self.study.plan(
            arm,
            setting,
            phase=phase,
            replicates=replicates,
            connectome=self.connectomes[arm],
            backend=self.backends.get(phase, {}).get(arm, "auto"),
            device=self.device,
            start=None if trained is None else trained.start(phase, list(replicates)),
            condition=condition,
        )

    def require_room(self, available: float, where: str) -> None:
        """Refuses a study whose trials don't fit into the memory of where they are trained.

        Args:
            available: bytes.
            where: whose memory that is.

        Raises:
            UserError: naming the arm, the key that takes most, the estimate and what there is.
        """
        for condition in self.study.conditions:
            for name in self.study.arms_under(condition):
                needs = needs_of_training(self.study, name, condition, self.connectomes[name])
                try:
                    require_memory(needs, available, where)
                except UserError as error:
                    raise UserError(f"condition {condition}, arm {name}: {error}") from error

    def try_draws(self, seconds: float) -> dict[str, int]:
        """Draws confirmed replicates of each arm, with their initial values, as a worker would.

        Args:
            seconds: spent on each arm, at least; one replicate is drawn in any case.

        Returns:
            how many were drawn of each arm.

        Raises:
            UserError: naming the arm and the replicate that cannot be drawn.
        """
        drawn = dict.fromkeys(self.study.arms, 0)
        for arm in self.study.arms:
            end = time.monotonic() + seconds
            for replicate in range(self.study.config.confirm.replicates):
                try:
                    Trial(self.plan(arm, self.study.first_setting, "confirm", [replicate]))
                except (UserError, ValueError) as error:
                    raise UserError(f"arm {arm}, replicate {replicate}: {error}") from error
                drawn[arm] += 1
                if time.monotonic() > end:
                    break
        return drawn

    def confirm(self, cell: Cell, replicates: Sequence[int]) -> TrialPlan:
        """The plan of some replicates of a cell."""
        plan = self._read_as(cell.arm, cell.setting, cell.readings[0], replicates)
        return replace(plan, until_met=not cell.whole)

    def digest(self, arm: str, setting: Setting, reading: Reading) -> str:
        """What the replicates of an arm at a setting are known by, read under a condition: `TrialPlan.digest`."""
        return self._read_as(arm, setting, reading, [0]).digest

    def _read_as(self, arm: str, setting: Setting, reading: Reading, replicates: Sequence[int]) -> TrialPlan:
        phase = "search" if reading.phase == "gain_search" else "confirm"
        plan = self.plan(arm, setting, phase, replicates, reading.condition)
        return replace(plan, max_epochs=self.study.config.confirm.max_epochs)

    def search(self, arm: str, setting: Setting) -> TrialPlan:
        """The plan of a search trial: all of the search's replicates."""
        return self.plan(arm, setting, "search", range(self.study.config.search.replicates))


def _require_equal_edges(first: Topology, another: TrialPlan) -> None:
    """Refuses a null of regions of different sizes if its draws have different numbers of edges."""
    sizes = np.bincount(first.region)
    if another.null is None or another.null["level"] == "neuron" or sizes.min() == sizes.max():
        return
    edges = DRAWN.of(another, another.replicates[0]).edges
    if edges != first.edges:
        raise UserError(
            f"null {another.null['name']}: with regions of {sizes.min()} to {sizes.max()} neurons each draw has "
            f"another number of edges ({first.edges}, {edges}); give level: neuron, or regions of one size"
        )


def _require_another_draw(first: Topology, plan: TrialPlan) -> None:
    """Refuses another draw if nothing is random: the arm would be the same as the one it is compared with."""
    if not plan.draw:
        return
    if first.digest == draw_topology(replace(plan, draw=0), 0).digest:
        raise UserError(
            f"topology.draw: {plan.draw} gives the same topology as 0: nothing is random in this arm, which has one "
            "neuron per region and no null"
        )


def load_connectomes(study: Study) -> dict[str, Connectome]:
    """The connectome of each arm; one that arms share is read once.

    Raises:
        UserError: one is not available.
    """
    loaded: dict[str, Connectome] = {}
    connectomes = {}
    for name, arm in study.arms.items():
        key = arm.connectome.model_dump_json()
        if key not in loaded:
            wanted = arm.connectome
            loaded[key] = load_connectome(
                wanted.name, otherwise=wanted.otherwise, seed=study.config.seed, path=wanted.path, **wanted.options
            )
        connectomes[name] = loaded[key]
        if isinstance(arm.topology.neurons_per_region, NeuronDensityConfig):
            connectomes[name] = with_neuron_density(loaded[key])
    CHILD.close()  # nothing more is read from files
    return connectomes
