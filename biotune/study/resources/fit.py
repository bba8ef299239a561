"""How many cores and GPUs one trial gets, how many trials run at once, and whether the nodes have what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
        engines: that train the networks of all trials, which then need no GPU; 0: each trial trains its own.
        engine_gpus: GPUs per engine.
    """

    cpus: int
    gpus: float
    concurrency: int
    dashboard: str | None
    engines: int = 0
    engine_gpus: int = 0

    @property
    def device(self) -> str:
        """The device that a trial's networks are on."""
        return "cuda" if self.gpus > 0 or self.engine_gpus > 0 else "cpu"

    @property
    def of_training(self) -> "Resources":
        """What is needed where networks are trained: by an engine, or by a trial itself."""
        return replace(self, gpus=float(self.engine_gpus)) if self.engines else self


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


def fit_engines(
    nodes: Sequence[Mapping[str, float]],
    cpus: int | None,
    concurrency: int | None,
    dashboard: str | None = None,
    grows: bool = False,
) -> Resources:
    """An engine on each GPU of the nodes, or one on the cores if there is no GPU, and trials that hand theirs over.

    Engines on GPUs need a core each for themselves. Arguments and errors are as of `fit_resources`.
    """
    fitting = fit_resources(nodes, cpus, 0.0, concurrency, dashboard, grows)
    gpus = int(sum(node.get("GPU", 0.0) for node in nodes))
    at_once = fitting.concurrency if concurrency is not None else max(fitting.concurrency - gpus, 1)
    return replace(fitting, concurrency=at_once, engines=max(gpus, 1), engine_gpus=min(gpus, 1))
