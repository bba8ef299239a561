"""Training: one trial from start to end, its replicates trained together, each scored against the criterion."""

from biotune.training.criterion import updates_to_criterion
from biotune.training.loop import OPTIMIZERS, TrainingLoop
from biotune.training.trial import Convergence, Trial, TrialPlan, draw_topology

__all__ = [
    "OPTIMIZERS",
    "Convergence",
    "TrainingLoop",
    "Trial",
    "TrialPlan",
    "draw_topology",
    "updates_to_criterion",
]
