"""A study that isn't run: everything about it is checked, and what it will take and can show is estimated."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from biotune.statistics import detectable_ratio, equivalence_power, look_confidence
from biotune.study.definition.study import Study
from biotune.study.plans.memory import needs_of_record, needs_of_training, spelled_size
from biotune.study.plans.plans import Plans
from biotune.study.resources import timing
from biotune.study.resources.estimate import Span, estimate, total
from biotune.study.resources.fit import fit_resources
from biotune.study.resources.kernels import all_on
from biotune.topology import rounding_of

TYPICAL_SPREADS = (0.15, 0.35)
"""Standard deviations of a pair's log ratio, about the least and the greatest that studies of marmoset had."""


@dataclass(frozen=True)
class Estimate:
    """What a study takes on a machine like this one, and what it can show.

    Attributes:
        parts: each part of it -> how long that takes. concurrency: trials at once. device: "cpu" or "cuda".
        memory: bytes of the trials that run at once, and of what is recorded until the end.
        drawn: arm -> how many of its confirmed networks were drawn to try.
        sizes: in words: how many trials and networks. design: in words: which ratios can be told apart.
    """

    parts: Mapping[str, Span]
    concurrency: int
    device: str
    memory: tuple[float, float]
    drawn: Mapping[str, int]
    sizes: tuple[str, str]
    design: str
    replicates: int

    @property
    def time(self) -> Span:
        """From the command to the end of the report."""
        return total(self.parts.values())

    def __str__(self) -> str:
        search, confirm = self.sizes
        besides = ", ".join(f"{name} {span}" for name, span in self.parts.items() if name not in ("search", "confirm"))
        where = "cores" if self.device == "cpu" else "GPUs, as if each had one to itself"
        trials, record = map(spelled_size, self.memory)
        tried = ", ".join(f"{count} of {self.replicates} {arm}" for arm, count in self.drawn.items())
        return (
            f"search: {search}; {self.parts['search']}\n"
            f"confirm: {confirm}{self.parts['confirm']}\n"
            f"besides: {besides}\n"
            f"in all {self.time}, {self.concurrency} at once on {where}, as fast as this machine\n"
            f"memory: about {trials} for the trials that run at once, and up to {record} for all that is recorded\n"
            f"networks drawn to see that they can be: {tried}\n"
            f"{self.design}"
        )

    __repr__ = __str__


class DryRun:
    """Everything that a study needs, loaded and checked.

    Args:
        study: that is not run.
        elsewhere: whether it will run on a cluster, which isn't joined.
        cpus, gpus, concurrency: see `biotune.study.resources.fit.Resources`; None: they are chosen.
        kernels: the backend that all networks run on.

    Attributes:
        notes: what a user has to know about what was read.

    Raises:
        UserError: a connectome is not available, networks can't be drawn, or memory does not suffice.
    """

    def __init__(
        self,
        study: Study,
        *,
        elsewhere: bool = False,
        cpus: int | None = None,
        gpus: float | None = None,
        concurrency: int | None = None,
        kernels: str = "auto",
    ) -> None:
        start = time.monotonic()
        self.study, self.kernels = study, kernels
        self.plans = Plans.load(study, trains_here=not elsewhere)
        prepared = study.task.prepare()
        self.reading = time.monotonic() - start
        here = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
        self.threads = min(cpus or 1, int(here["CPU"]))  # the trials may be another machine's, larger
        self.room = max(int(here["CPU"]) // self.threads, 1)
        if elsewhere:
            self.concurrency, self.device = concurrency or self.room, "cpu"
        else:  # a dry run may be about another machine, on which more trials run at once than fit here
            fitting = fit_resources([here], cpus, gpus, concurrency, grows=True)
            self.concurrency, self.device = fitting.concurrency, fitting.device
        self.notes = self._notes(prepared)

    def estimate(self) -> Estimate:
        """Draws networks to try, and times a trial of each arm, in processes like a study's workers.

        Raises:
            UserError: networks can't be drawn or made. KernelError: the kernels cannot be used.
        """
        study, search, confirm = self.study, self.study.config.search, self.study.config.confirm
        drawn = self.plans.try_draws(seconds=2.0)
        plans = replace(self.plans, device=self.device, backends=all_on(self.kernels, study.arms))
        together = min(self.concurrency, self.room) if self.device == "cpu" else 1
        measured = timing.measure(plans, self.reading, together=together, threads=self.threads)
        arms = len(study.arms)
        return Estimate(
            parts=estimate(study, measured, self.concurrency),
            concurrency=self.concurrency,
            device=self.device,
            memory=(self.concurrency * self._largest_trial(), sum(need for need, _ in needs_of_record(study).values())),
            drawn=drawn,
            sizes=(
                f"{arms} arms × {search.trials_per_arm} trials of {search.replicates} networks, "
                f"{arms * search.trials_per_arm} trials",
                f"{arms} arms × {confirm.replicates} networks at the setting of its pair, as many at its own best, "
                f"and {study.config.reference_arm} at the setting of every pair; {_under(study)}",
            ),
            design=what_can_be_decided(study),
            replicates=confirm.replicates,
        )

    def _largest_trial(self) -> float:
        """Bytes that the largest trial or block takes."""
        return max(
            sum(need for need, _ in needs_of_training(self.study, arm, condition, self.plans.connectomes[arm]).values())
            for condition in self.study.conditions
            for arm in self.study.arms_under(condition)
        )

    def _notes(self, prepared: str | None) -> list[str]:
        connectomes = self.plans.connectomes
        different = list({id(one): one for one in connectomes.values()}.values())
        notes = [
            f"arm {arm}: {connectome.name} instead of {connectome.provenance.substitutes}"
            for arm, connectome in connectomes.items()
            if connectome.provenance.substitutes
        ]
        notes += [*self.study.notes, *_realised_sparsity(self.study)]
        notes += [f"{c.name}: {text}" for c in different for text in c.provenance.notes]
        return [*notes, prepared] if prepared else notes


def _under(study: Study) -> str:
    """How much is confirmed under further conditions."""
    declared, swept = len(study.config.conditions) - 1, sum(one.gain is not None for one in study.conditions.values())
    parts = [f"under {declared} further conditions"] if declared else []
    parts += [f"at {swept} points of the gain sweep"] if swept else []
    return f"and {' and '.join(parts)}, until the criterion is met; " if parts else ""


def _realised_sparsity(study: Study) -> list[str]:
    """A line for each target_sparsity that the number of neurons per region rounds to another share."""
    asked = dict.fromkeys(
        (arm.topology.neurons_per_region, arm.topology.target_sparsity)
        for arm in study.arms.values()
        if isinstance(arm.topology.neurons_per_region, int)
    )
    return [
        f"topology.target_sparsity: {sparsity:g} of {neurons} neurons is {came}"
        for neurons, sparsity in asked
        if isinstance(neurons, int) and (came := rounding_of(sparsity, neurons))
    ]


def what_can_be_decided(study: Study) -> str:
    """Which ratios the first look can show, at spreads of the log ratio that such studies have."""
    confirm, margin = study.config.confirm, study.config.equivalence_margin
    pairs, looks = confirm.replicates, confirm.planned
    more = "confirm.replicates" if len(looks) == 1 else "the numbers of confirm.looks"
    if pairs < 2:
        return f"WARNING: one pair has no interval, so nothing can be decided; raise {more} to 8 or more"
    confidence = look_confidence(looks, pairs, len(study.config.arms) - 1)
    ratios = [detectable_ratio(spread, pairs, confidence, margin) for spread in TYPICAL_SPREADS]
    equal = [equivalence_power(spread, pairs, confidence, margin) for spread in TYPICAL_SPREADS]
    least, most = TYPICAL_SPREADS
    those = "" if len(looks) == 1 else f", those of the first of {len(looks)} planned looks,"
    sentence = (
        f"{pairs} pairs{those} show, with a power of 80 %, a true ratio of {ratios[0]:.2f} as slower by more than the "
        f"margin, and equal arms as practically equivalent in {100 * equal[0]:.0f} % of studies, if the standard "
        f"deviation of a pair's log ratio is {least}; {ratios[1]:.2f} and {100 * equal[1]:.0f} % if it is {most}"
    )
    hardly = equal[0] < 0.2 and ratios[0] > 1.5
    what = "that" if len(looks) == 1 else "the first look"
    return f"WARNING: {what} can hardly decide anything, raise {more}: {sentence}" if hardly else sentence
