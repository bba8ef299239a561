"""What a search trial runs on a worker: trained from its checkpoint if it has one, reporting to Tune."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from traceback import clear_frames
from typing import Any

import torch
from ray import tune

from biotune.io.storage import Place
from biotune.study.ray_internals import name_process
from biotune.study.worker.train import REPORT_SECONDS, train
from biotune.training import Engines, Trial, TrialPlan, TrialReport, free_memory


def search_trial(
    config: Mapping[str, Any],
    plan: Callable[[str, Mapping[str, Any]], TrialPlan],
    checkpoints: Place,
    rungs: list[int],
    study: str,
    threads: int,
    every: float,
    engines: Engines | None = None,
) -> None:
    """Ray Tune's trainable: one search trial, reporting at every rung, at its end, and about once a second between.

    A report to Tune is {"objective": what is minimised, "report": a `TrialReport`}.
    """
    torch.set_num_threads(threads)
    name = f"{study}/{config['arm']}/{config['trial']}"
    print(f"{name} begins", flush=True)  # into its actor's log, which is of several trials
    made_from = plan(config["arm"], config["setting"])
    steps = train(made_from, checkpoints / f"{config['trial']}.pt", every, engines, rungs)
    try:
        _report(steps, rungs, title=f"ray::{name}")
    finally:  # Tune stops a trial by an exception out of `report`, which would keep the trial's tensors alive
        steps.close()
        clear_frames(sys.exc_info()[2])
        free_memory(made_from.device)


def _report(steps: Iterable[tuple[Trial, float]], rungs: list[int], title: str) -> None:
    # an actor trains one trial after another under its first name; the title of its process says which one it is
    name_process(title)
    reported, last = 0, time.monotonic()
    for trial, seconds in steps:
        max_epochs = trial.plan.max_epochs
        epoch, now = trial.loop.epoch, time.monotonic()
        # nothing is reported between the budget and the end, since those evaluations only confirm a crossing. A trial
        # that diverged is reported at once, so that the epoch at which it is stopped does not depend on the time
        if trial.finished or trial.diverged or epoch in rungs or (now - last >= REPORT_SECONDS and epoch < max_epochs):
            report = TrialReport.of(trial, reported, seconds)
            tune.report({"objective": report.standing.objective, "report": report})
            name_process(title)  # again, since Ray sets its own when `report` returns
            reported, last = len(trial.loop.validation_losses), now
        if trial.finished:
            trial.loop.close()
