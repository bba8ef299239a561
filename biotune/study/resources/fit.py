"""How many cores and GPUs one trial gets, how many trials run at once, and whether the nodes have what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biotune.errors import UserError
from biotune.study.cluster.connect import places


@dataclass(frozen=True)
class Resources:
    """What one trial gets, and how many run at once.

    Attributes:
        cpus: cores per trial, which is also its number of threads.
        gpus: GPUs per trial; with a fraction, trials share one.
        concurrency: trials at once.
        dashboard: address of Ray's dashboard, or None.
    """

    cpus: int
    gpus: float
    concurrency: int
    dashboard: str | None

    @property
    def device(self) -> str:
        """The device that a trial's networks are on."""
        return "cuda" if self.gpus > 0 else "cpu"


def fit_resources(
    nodes: Sequence[Mapping[str, float]],
    cpus: int | None,
    gpus: float | None,
    concurrency: int | None,
    dashboard: str | None = None,
    grows: bool = False,
) -> Resources:
    """What one trial gets of the nodes, and how many trials they have room for.

    Args:
        nodes: what each has, by Ray's names ("CPU", "GPU").
        cpus: cores per trial; None: one.
        gpus: GPUs per trial; None: a quarter of one, or none if no node has any.
        concurrency: trials at once; None: as many as fit.
        dashboard: address of Ray's dashboard.
        grows: whether nodes may be added when more is to be done than fits; as many trials as `concurrency` says are
            then handed to Ray, and wait there for room.

    Raises:
        UserError: no node has as many cores and GPUs as one trial asks for; Ray would wait for ever.
    """
    most_gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
    most_cpus = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    gpus = (0.25 if most_gpus else 0.0) if gpus is None else gpus
    cpus = 1 if cpus is None else cpus
    if gpus > most_gpus:
        raise UserError(f"--gpus-per-trial {gpus:g}: the largest node has {most_gpus:g} GPUs; ask for at most that")
    if gpus > 1 and gpus != int(gpus):
        raise UserError(f"--gpus-per-trial {gpus:g}: above one GPU, ask for a whole number")
    if cpus > most_cpus:
        raise UserError(f"--cpus-per-trial {cpus}: the largest node has {most_cpus:g} cores; ask for at most that")
    fitting = sum(places(node, cpus, gpus) for node in nodes)
    if not fitting:
        cores = max(node.get("CPU", 0.0) for node in nodes if node.get("GPU", 0.0) >= gpus)
        raise UserError(
            f"--cpus-per-trial {cpus}, --gpus-per-trial {gpus:g}: no node has both; those with the GPUs have at most "
            f"{cores:g} cores: ask for at most that"
        )
    if concurrency is not None:
        fitting = concurrency if grows else min(fitting, concurrency)
    return Resources(cpus=cpus, gpus=gpus, concurrency=fitting, dashboard=dashboard)
