"""Training: one trial from start to end, its replicates trained together, each scored against the criterion."""

from biotune.training.criterion import updates_to_criterion
from biotune.training.loop import TrainingLoop
from biotune.training.memory import free_memory, keep_freed_memory
from biotune.training.optimizers import OPTIMIZERS, WITH_MOMENTUM, make_optimizer
from biotune.training.start import Start
from biotune.training.trial import Convergence, Trial, TrialPlan, draw_topology

__all__ = [
    "OPTIMIZERS",
    "WITH_MOMENTUM",
    "Convergence",
    "Start",
    "TrainingLoop",
    "Trial",
    "TrialPlan",
    "draw_topology",
    "free_memory",
    "keep_freed_memory",
    "make_optimizer",
    "updates_to_criterion",
]
