"""What a network is and how it is trained, apart from its topology: what a study's `network` section comes down to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkOptions:
    """Options of a trial's networks; see `docs/study.md` for each.

    Attributes:
        initialisation: see `biotune.network.initialise`.
        remap: None, or how drawn recurrent values follow the connectome's weights: "signed" or "magnitude".
        radius: spectral radius of the initial recurrent matrix; None leaves it as it comes.
        signs: "none", "data", or the share of inhibitory neurons; see `biotune.network.signs`.
        dale: keep every neuron's outgoing weights at its sign while they are trained.
        nonlinearity: "tanh" or "relu".
        freeze_recurrent: leave the recurrent weights as they were drawn.
        optimizer, learning_rate, weight_decay, momentum: see `biotune.training.optimizers`.
        gradient_clip: largest norm of one replicate's gradient.
    """

    initialisation: str = "default"
    remap: str | None = "signed"
    radius: float | None = 0.9
    signs: str | float = "none"
    dale: bool = False
    nonlinearity: str = "tanh"
    freeze_recurrent: bool = False
    optimizer: str = "Adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    gradient_clip: float = 1.0
