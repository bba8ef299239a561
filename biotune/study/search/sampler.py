"""The settings that an arm tries: first the common ones, which all arms try, then what TPE proposes.

The common settings are a Sobol sequence; with a grid they are every combination, and no others follow.

Each arm has its own sampler, since arms must not influence each other's search. A proposal depends only on the seed,
the arm, the trial's index and the trials of the arm that have ended, so a resumed study proposes what it would have
proposed without the interruption.

The time that TPE needs for a proposal grows with the number of trials it considers. It ranks at most `BEST` of them as
good, whatever their number, and gives the others less weight the older they are. So once an arm's sampler has `MOST`
ended trials, it drops all but the `BEST` best and the `LATEST` latest: its group of good trials stays that of all
trials, and the group that they are compared with becomes the recent ones.
"""

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from biotune.errors import UserError
from biotune.seeds import derived_seed, stream
from biotune.study.definition.phases import Domain, SearchConfig

optuna.logging.set_verbosity(optuna.logging.WARNING)

BEST = 25
"""The most trials that TPE ranks as good: by Optuna's default a tenth of all, but no more than this."""
LATEST = 250
MOST = 500


def distribution(domain: Domain) -> BaseDistribution:
    """A domain in Optuna's terms."""
    if domain.loguniform:
        return FloatDistribution(domain.loguniform[0], domain.loguniform[1], log=True)
    if domain.uniform:
        return FloatDistribution(domain.uniform[0], domain.uniform[1])
    if domain.int:
        return IntDistribution(domain.int[0], domain.int[1])
    return CategoricalDistribution(domain.choice or [])


def at(domain: Domain, share: float) -> Any:
    """The value that lies `share` (0 to 1) of the way through a domain."""
    if domain.loguniform:
        low, high = map(math.log, domain.loguniform)
        return min(max(rounded(math.exp(low + share * (high - low))), domain.loguniform[0]), domain.loguniform[1])
    if domain.uniform:
        low, high = domain.uniform
        return min(max(rounded(low + share * (high - low)), low), high)
    if domain.int:
        low, high = domain.int
        return min(low + int(share * (high - low + 1)), high)
    choices = domain.choice or []
    return choices[min(int(share * len(choices)), len(choices) - 1)]


def sobol_settings(tune: Mapping[str, Domain], count: int, seed: int) -> list[dict[str, Any]]:
    """The first `count` settings of a scrambled Sobol sequence over the tuned hyperparameters (Owen 1998)."""
    engine = qmc.Sobol(len(tune), scramble=True, rng=stream(seed, "shared_settings"))
    points = engine.random_base2(max(count - 1, 0).bit_length())[:count]
    return [{key: at(tune[key], float(share)) for key, share in zip(tune, point, strict=True)} for point in points]


def grid_settings(tune: Mapping[str, Domain]) -> list[dict[str, Any]]:
    """Every combination of the choices; the last key changes fastest."""
    combinations = itertools.product(*(domain.choice or [] for domain in tune.values()))
    return [dict(zip(tune, values, strict=True)) for values in combinations]


def shared_settings(tune: Mapping[str, Domain], search: SearchConfig, seed: int) -> list[dict[str, Any]]:
    """The first settings of every arm."""
    return grid_settings(tune) if search.sampler == "grid" else sobol_settings(tune, search.shared_settings, seed)


class ArmSampler:
    """Proposes the settings of one arm, and learns how good they were.

    Args:
        arm: its name, part of the seed.
        tune: the tuned hyperparameters.
        search: how many settings are common, and which sampler proposes those after them.
        seed: of the study.
    """

    def __init__(self, arm: str, tune: Mapping[str, Domain], search: SearchConfig, seed: int) -> None:
        self.search = search
        self.arm, self.seed = arm, seed
        self.distributions = {key: distribution(domain) for key, domain in tune.items()}
        self.study = optuna.create_study(direction="minimize")
        for setting in shared_settings(tune, search, seed):
            self.study.enqueue_trial(setting)
        self.proposed, self.held, self.bounded = 0, 0, False
        self.numbers: dict[int, int] = {}  # index of each running trial -> Optuna's number for it
        self.unasked = RandomSampler()  # used if the setting is known: a TPE sampler takes much longer to make

    def propose(self, index: int) -> tuple[dict[str, Any], str]:
        """The setting of the arm's trial `index` (from 0, in order), and its origin."""
        return self._ask(index, self._sampler(index))

    def _ask(
        self, index: int, sampler: BaseSampler, setting: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], str]:
        if index != self.proposed:
            raise ValueError(f"trial {index} was proposed out of order, after {self.proposed} others")
        ended = self.held - len(self.numbers)
        if ended >= MOST and self.search.sampler == "tpe" and index >= self.search.shared_settings:
            self._let_go()
        if setting is not None and index >= self.search.shared_settings:
            self.study.enqueue_trial(dict(setting))
        self.study.sampler = sampler
        trial = self.study.ask(self.distributions)
        self.numbers[index] = trial.number
        self.proposed, self.held = self.proposed + 1, self.held + 1
        if index < self.search.shared_settings:
            return dict(trial.params), "shared"
        return dict(trial.params), f"{self.search.sampler}_bounded" if self.bounded else self.search.sampler

    def repeat(self, index: int, setting: Mapping[str, Any]) -> None:
        """Proposes a setting again that was proposed before the study was resumed.

        Raises:
            UserError: a common setting comes out otherwise here.
        """
        proposed, _ = self._ask(index, self.unasked, setting)
        if proposed != dict(setting):
            raise UserError(
                f"arm {self.arm}: trial {index} had the setting {dict(setting)}, and here it would have {proposed}; "
                "use the versions of SciPy and Optuna in environment.json, or start the study again from the beginning"
            )

    def learn(self, index: int, status: str, objective: float | None) -> None:
        """Takes in how a trial ended, and its objective, see `Standing`.

        A diverged trial counts as worse than all that have one; a failed one says nothing about its setting.
        """
        number = self.numbers.pop(index)
        if status == "failed":
            self.study.tell(number, state=TrialState.FAIL)
        elif objective is None or not math.isfinite(objective):
            self.study.tell(number, state=TrialState.PRUNED)  # which TPE ranks last, while it ignores failed ones
        else:
            self.study.tell(number, objective)

    def _let_go(self) -> None:
        """Keeps only the best, the latest and the running trials, renumbered in the same order."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        best = heapq.nsmallest(BEST, (t for t in trials if t.value is not None), key=lambda t: t.value or 0.0)
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        keep: dict[int, FrozenTrial] = {t.number: t for t in (*best, *trials[-LATEST:], *running)}
        renumbered = {number: new for new, number in enumerate(sorted(keep))}
        self.study = optuna.create_study(direction="minimize")
        self.study.add_trials(keep[number] for number in renumbered)
        self.numbers = {index: renumbered[number] for index, number in self.numbers.items()}
        self.held, self.bounded = len(keep), True

    def _sampler(self, index: int) -> BaseSampler:
        seed = derived_seed(self.seed, "sampler", self.arm, index)
        if self.search.sampler != "tpe":  # a grid too: all its settings are common, so none is drawn
            return Rounded(RandomSampler(seed=seed))
        startup = self.search.shared_settings
        return Rounded(TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True))


class Rounded(BaseSampler):
    """A sampler whose numbers are rounded by `rounded`.

    Args:
        sampler: that proposes the numbers.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self.sampler = sampler

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        found = self.sampler.sample_relative(study, trial, search_space)
        return {name: _within(value, search_space[name]) for name, value in found.items()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return _within(
            self.sampler.sample_independent(study, trial, param_name, param_distribution), param_distribution
        )

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self.sampler.after_trial(study, trial, state, values)


def _within(value: Any, distribution: BaseDistribution) -> Any:
    if not isinstance(distribution, FloatDistribution):
        return value
    return min(max(rounded(value), distribution.low), distribution.high)


def rounded(value: float) -> float:
    """Rounds to six significant digits, because the last bit of a logarithm differs between machines."""
    return float(f"{value:.6g}")
