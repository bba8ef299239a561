"""Early stopping within one arm: the rungs of ASHA."""

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from biotune.study.definition.phases import SearchConfig


class Rungs:
    """ASHA within one arm (Li et al. 2020): at each rung a trial goes on if it is among the best 1/reduction so far.

    What they are compared by at a rung is the objective of the search, as far as it is known there: a network that has
    not met the criterion yet counts with the whole budget. So trials in which more networks have met it, and sooner,
    go on; where none has, those of the least loss.

    Ray's scheduler is used without Tune: as seen in Ray 2.60, it needs no controller, and of a trial only the id.
    """

    def __init__(self, search: SearchConfig) -> None:
        self.rungs = set(search.rungs)
        self.asha = ASHAScheduler(
            time_attr="epoch",
            metric="objective",
            mode="min",
            # half an epoch less than the budget, so that there is no rung at it; and never exactly at a rung, whose
            # number ASHA computes by a logarithm that could be rounded down
            max_t=max(search.max_epochs - 0.5, search.grace),  # type: ignore[arg-type]
            grace_period=search.grace,
            reduction_factor=search.reduction,
            stop_last_trials=False,
        )
        self.known: set[str] = set()

    def verdict(self, trial: str, epoch: int, objective: float) -> str:
        """Whether a trial that reports its objective goes on: "continue" or "stop"."""
        if epoch not in self.rungs:
            return "continue"
        stand_in: Any = SimpleNamespace(trial_id=trial)
        if trial not in self.known:
            self.known.add(trial)
            self.asha.on_trial_add(None, stand_in)  # type: ignore[arg-type]
        result = {"epoch": epoch, "objective": objective}
        decision = self.asha.on_trial_result(None, stand_in, result)  # type: ignore[arg-type]
        return "stop" if decision == TrialScheduler.STOP else "continue"
