"""Training: one trial from start to end, its replicates trained together, each scored against the criterion."""

from biotune.criterion import updates_to_criterion
from biotune.training.engine import Engine, EngineError, EngineLost, Engines, Handed, Heard
from biotune.training.loop import Loop, TrainingLoop
from biotune.training.memory import free_memory, keep_freed_memory
from biotune.training.networks import Networks, edges, load_networks
from biotune.training.optimizers import OPTIMIZERS, WITH_MOMENTUM, Optimizer
from biotune.training.plan import Start, TrialPlan, updates_per_epoch
from biotune.training.propagation import lyapunov_exponent, measure_propagation
from biotune.training.report import UNREPORTED, BlockReport, Evaluations, Standing, TrialReport
from biotune.training.topologies import DRAWN, draw_topology
from biotune.training.trial import Convergence, ForeignState, Trial, first_network_digest

__all__ = [
    "DRAWN",
    "OPTIMIZERS",
    "UNREPORTED",
    "WITH_MOMENTUM",
    "BlockReport",
    "Convergence",
    "Engine",
    "EngineError",
    "EngineLost",
    "Engines",
    "Evaluations",
    "ForeignState",
    "Handed",
    "Heard",
    "Loop",
    "Networks",
    "Optimizer",
    "Standing",
    "Start",
    "TrainingLoop",
    "Trial",
    "TrialPlan",
    "TrialReport",
    "draw_topology",
    "edges",
    "first_network_digest",
    "free_memory",
    "keep_freed_memory",
    "load_networks",
    "lyapunov_exponent",
    "measure_propagation",
    "updates_per_epoch",
    "updates_to_criterion",
]
