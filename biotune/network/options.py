"""The options of networks and of their training: what a study's `network` section resolves to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkOptions:
    """Options of a trial's networks; see `docs/study.md` for each.

    Attributes:
        initialisation: see `biotune.network.initialise`.
        remap: how drawn recurrent values follow the topology's weights: "signed" or "magnitude"; None: they don't.
        radius: spectral radius of the initial recurrent matrix; None: it is not set.
        norm: Frobenius norm of it instead; None: it is not set.
        gain: factor of it, after radius or norm were set.
        signs: "none", "data", or the share of inhibitory neurons; see `biotune.network.signs`.
        dale: whether training keeps the sign of every neuron's outgoing weights.
        nonlinearity: "tanh" or "relu".
        readout: share of the neurons that the readout sees; see `biotune.network.readout`.
        freeze_recurrent: whether the recurrent weights stay as they were drawn.
        optimizer, learning_rate, weight_decay, momentum: see `biotune.training.optimizers`.
        gradient_clip: largest norm of one replicate's gradient.
    """

    initialisation: str = "default"
    remap: str | None = "signed"
    radius: float | None = 0.9
    norm: float | None = None
    gain: float = 1.0
    signs: str | float = "none"
    dale: bool = False
    nonlinearity: str = "tanh"
    readout: float = 1.0
    freeze_recurrent: bool = False
    optimizer: str = "Adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    gradient_clip: float = 1.0
