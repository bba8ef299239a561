"""What each arm's trials are made from, loaded once, and the plans of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from biotune.connectome import Connectome, load_connectome
from biotune.errors import UserError
from biotune.study.study import Setting, Study
from biotune.study.transfer import TrainedNetworks, trained_networks
from biotune.training import TrialPlan, draw_topology


@dataclass(frozen=True)
class Plans:
    """The plans of a study's trials; it is sent to the workers whole.

    Attributes:
        study: whose trials.
        connectomes: of each arm.
        trained: of each arm, the trained networks it starts from, or None.
        backends: phase -> arm -> kernel backend; "auto" where it is not decided yet.
        device: where the networks live.
    """

    study: Study
    connectomes: Mapping[str, Connectome]
    trained: Mapping[str, TrainedNetworks | None]
    backends: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    device: str = "cpu"

    @classmethod
    def load(cls, study: Study) -> "Plans":
        """Reads each connectome, once where arms share it, and tries the first topology of each arm.

        Raises:
            UserError: a connectome can't be had, or an arm's null or options don't fit it.
        """
        connectomes = load_connectomes(study)
        trained = {arm: trained_networks(study, arm, connectomes[arm]) for arm in study.arms}
        plans = cls(study, connectomes, trained)
        for arm in study.arms:
            try:
                draw_topology(plans.plan(arm, {}, "confirm", [0]), 0)
            except (UserError, ValueError) as error:
                raise UserError(f"arm {arm}: {error}") from error
        return plans

    def plan(self, arm: str, setting: Setting, phase: str, replicates: Sequence[int]) -> TrialPlan:
        """The plan of an arm at a setting, on replicates of a phase ("search", "confirm")."""
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
        )

    def search(self, arm: str, setting: Setting) -> TrialPlan:
        """The plan of a search trial: all of the search's replicates."""
        return self.plan(arm, setting, "search", range(self.study.config.search.replicates))


def load_connectomes(study: Study) -> dict[str, Connectome]:
    """The connectome of each arm, read once where arms share it.

    Raises:
        UserError: one can't be had.
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
    return connectomes
