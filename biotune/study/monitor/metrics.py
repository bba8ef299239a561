"""What Prometheus is told of a running study: by arm and phase, not by trial, whose series would outlive it.

Only the driver publishes, from its record. Ray puts `ray_` before the names, serves them beside its own, and forgets a
series that has not been published for 20 seconds; so those of a phase or study that is over disappear.
"""

import time
from collections import deque
from dataclasses import dataclass

import ray
from ray.util.metrics import Gauge

from biotune.results import STATUSES
from biotune.study.definition.study import Study
from biotune.study.history.record import Record

PUBLISH_SECONDS = 2.0
WINDOW_SECONDS = 60.0
"""Epochs and updates per second are means over this long; a confirmed block counts when it ends."""


@dataclass(frozen=True)
class Standing:
    """How far an arm has come in a phase.

    Attributes:
        trials: by status; only of the search.
        replicates: how many have been trained, or are being trained. converged, diverged: how many of them.
        best: least score of a trial (search) or least validation loss of a replicate (confirm); None if there is none.
        epochs: of a replicate, summed over replicates.
    """

    trials: dict[str, int]
    replicates: int
    converged: int
    diverged: int
    best: float | None
    epochs: int


def standing(record: Record, arm: str, phase: str) -> Standing:
    """The standing of an arm in `search` or `confirm`."""
    if phase == "search":
        tally = record.tally(arm)
        return Standing(
            trials={status: tally[status] for status in STATUSES},
            replicates=sum(tally[status] for status in STATUSES) * record.search_replicates,
            converged=tally["replicates_converged"],
            diverged=tally["replicates_diverged"],
            best=record.best(arm),
            epochs=tally["epochs"] * record.search_replicates,
        )
    blocks = [block for block in record.blocks if block.cell.arm == arm]
    outcomes = [outcome for block in blocks for outcome in block.convergence]
    return Standing(
        trials={},
        replicates=len(outcomes),
        converged=sum(outcome.converged for outcome in outcomes),
        diverged=sum(outcome.diverged for outcome in outcomes),
        best=min((one.best_loss for one in outcomes if one.best_loss is not None), default=None),
        epochs=sum((len(block.curves.validation) - 1) * len(block.replicates) for block in blocks),
    )


class Metrics:
    """Publishes the standing of every arm through `ray.util.metrics`, labelled study, arm and phase.

    Args:
        study: what runs. record: how far it has come.
        gpus: whether trials use GPUs.
    """

    def __init__(self, study: Study, record: Record, gpus: bool) -> None:
        self.study, self.record, self.gpus = study, record, gpus
        labels = ("study", "arm", "phase")
        self.trials = Gauge("biotune_trials", "Search trials by state.", (*labels, "state"))
        self.gauges = {
            name: Gauge(f"biotune_{name}", description, labels)
            for name, description in (
                ("best_validation_loss", "Least validation loss so far; of a search trial, its replicates' median."),
                ("replicates", "Replicates trained, or being trained."),
                ("replicates_converged", "Replicates that met the criterion."),
                ("replicates_diverged", "Replicates whose loss was not a finite number."),
                ("epochs_per_second", "Epochs of one replicate per second, over all replicates, in the last minute."),
                ("updates_per_second", "Updates of one replicate per second, over all replicates, in the last minute."),
            )
        }
        self.gpu_share = Gauge("biotune_gpu_share", "Share of the cluster's GPUs that is taken.", ("study",))
        self.past: dict[tuple[str, str], deque[tuple[float, int]]] = {}
        self.published = -PUBLISH_SECONDS

    def publish(self, phase: str, ended: bool = False) -> None:
        """Publishes the standing in a phase, every `PUBLISH_SECONDS` at most.

        Args:
            phase: search or confirm.
            ended: the phase is over, so its rates are zero, and it is published at once.
        """
        now = time.monotonic()
        if not ended and now - self.published < PUBLISH_SECONDS:
            return
        self.published = now
        for arm in self.study.arms:
            now_at = standing(self.record, arm, phase)
            labels = {"study": self.study.config.name, "arm": arm, "phase": phase}
            for state, count in now_at.trials.items():
                self.trials.set(count, {**labels, "state": state})
            rate = 0.0 if ended else self._epochs_per_second(arm, phase, now, now_at.epochs)
            values = {
                "best_validation_loss": now_at.best,
                "replicates": now_at.replicates,
                "replicates_converged": now_at.converged,
                "replicates_diverged": now_at.diverged,
                "epochs_per_second": rate,
                "updates_per_second": rate * self.record.updates_per_epoch[self.record.primary],
            }
            for name, value in values.items():
                if value is not None:
                    self.gauges[name].set(value, labels)
        if self.gpus:
            there, free = (
                resources().get("GPU", 0.0) for resources in (ray.cluster_resources, ray.available_resources)
            )
            self.gpu_share.set(0.0 if not there else 1 - free / there, {"study": self.study.config.name})

    def _epochs_per_second(self, arm: str, phase: str, now: float, epochs: int) -> float:
        # the first point is what had been done before, which a resumed study must not count as done just now
        points = self.past.setdefault((arm, phase), deque())
        points.append((now, epochs))
        while len(points) > 2 and points[1][0] <= now - WINDOW_SECONDS:
            points.popleft()
        (start, before), (end, after) = points[0], points[-1]
        # fewer than before, if a trial went back to its checkpoint
        return max(after - before, 0) / (end - start) if end > start else 0.0
