"""Training one population of networks in this process, without Ray: for notebooks, and for a first look at a wiring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from biotune.errors import UserError
from biotune.library.network import Network
from biotune.library.wiring import Random, seed_of
from biotune.network import NetworkOptions
from biotune.study.definition.mistakes import Mistakes, every_mistake, validated
from biotune.study.definition.networks import NetworkConfig, TopologyConfig
from biotune.study.definition.section import Section
from biotune.study.definition.task import TaskConfig
from biotune.study.worker.verification import require_known
from biotune.tasks import make_task
from biotune.topology import Topology
from biotune.training import Networks, Trial, TrialPlan

AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, eq=False)
class Training:
    """What became of the networks that `train` trained.

    Attributes:
        curves: a row per network and epoch: `network`, `epoch`, `updates`, `training_loss` (none at epoch 0),
            `validation_loss`, and `accuracy` if the task has one.
        convergence: a row per network: `converged`, `diverged`, `updates` to criterion (the budget if it was not met),
            `budget`, `best_loss`, `final_loss`, `test_loss`.
        networks: trained, in the order of their topologies.
        criterion: the validation loss that had to be met.
    """

    curves: pd.DataFrame = field(repr=False)
    convergence: pd.DataFrame = field(repr=False)
    networks: list[Network] = field(repr=False)
    criterion: float

    def _repr_html_(self) -> str:
        return self.convergence.to_html(border=0)

    def __repr__(self) -> str:
        met = int(self.convergence["converged"].sum())
        return f"<Training: {met} of {len(self.networks)} met the criterion, a loss of {self.criterion:.3g}>"


def train(
    topologies: Sequence[Topology] | Topology,
    task: str | Mapping[str, Any] = "seq_mem",
    *,
    epochs: int = 50,
    network: Mapping[str, Any] | None = None,
    spectral_radius: float | None = 0.9,
    fraction_of_null: float = 0.1,
    sustain: int = 3,
    rng: Random = 0,
    regions: Sequence[str] | None = None,
    device: str = "cpu",
    kernels: str = "auto",
) -> Training:
    """Trains one network per topology, all of them together as one population.

    Network number r of two calls with the same `rng` shares its data, input weights and initial values, whatever its
    topology: to compare two wirings in pairs, train each in a call of its own.

    >>> import biotune as bt
    >>> topology = bt.expand(bt.load_connectome("distance_rule:marmoset", rng=1), neurons_per_region=1, rng=1)
    >>> trained = bt.train([topology], {"name": "seq_mem", "pattern_length": 3, "trials": 200}, epochs=2)
    >>> trained.curves.shape, trained.networks[0].W.shape
    ((5, 5), (55, 55))

    Args:
        topologies: with equal numbers of neurons and of edges.
        task: its name, or the keys of a study's `task` section: `{"name": "seq_mem", "pattern_length": 5,
            "trials": 500, "train_share": 0.8, "batch": 128}`.
        epochs: the budget; a criterion met at its very end is watched for `sustain - 1` more.
        network: keys of a study's `network` section, such as `{"learning_rate": 3e-3}`.
        spectral_radius: of the initial recurrent matrix; None: as it comes.
        fraction_of_null: the criterion, as a share of the loss that guessing gives.
        sustain: evaluations in a row that must meet it.
        rng: where data, weights and the order of trials come from: a seed, or a `numpy.random.Generator`; None: others
            each time.
        regions: names of the regions, such as a connectome's `labels`: the networks then have them.
        device: "cpu", or "cuda".
        kernels: a backend (`kernels/README.md`), or "auto", the fastest that computes the right result here.

    Returns:
        Curves, convergence and the trained networks.

    Raises:
        UserError: an option is unknown or out of range, or the topologies don't fit together.
    """
    topologies = list(topologies) if isinstance(topologies, Sequence) else [topologies]
    for topology in topologies:
        if not isinstance(topology, Topology):
            found = type(topology).__name__
            raise UserError(f"topologies: Topology objects are needed, found a {found}; bt.expand makes them")
    if not topologies:
        raise UserError("topologies: none is given; bt.expand makes them from a connectome")
    shapes = [(topology.size, topology.edges) for topology in topologies]
    if len(set(shapes)) > 1:
        found = "; ".join(f"{size} neurons and {edges} edges" for size, edges in dict.fromkeys(shapes))
        raise UserError(f"topologies: found {found}; those of one call have equal numbers, train each kind in its own")
    if regions is not None and len(regions) <= max(int(topology.region.max()) for topology in topologies):
        raise UserError(f"regions: {len(regions)} names for more regions; give the labels of the connectome")
    if not isinstance(epochs, int | np.integer) or epochs < 1:
        raise UserError(f"epochs: a whole number of at least 1 is needed, found {epochs!r}")
    if not 0 < fraction_of_null < 1 or sustain < 1:
        raise UserError(
            f"fraction_of_null and sustain: within (0, 1), and at least 1; found {fraction_of_null!r} and {sustain!r}"
        )
    require_known(kernels)
    content = {
        "task": {"name": task} if isinstance(task, str) else dict(task),
        "network": dict(network or {}),
        "topology": {"spectral_radius": "as_it_comes" if spectral_radius is None else spectral_radius},
    }
    data, options, scale = _checked(content)
    drawn = make_task(**data.options)
    seed = seed_of(rng)
    plan = TrialPlan(
        task=data.options,
        trials=data.trials,
        train_share=data.train_share,
        batch=data.batch,
        connectome=None,
        topology={},
        null=None,
        network=NetworkOptions(
            **options.model_dump(exclude={"start_from"}), radius=scale.spectral_radius, norm=scale.frobenius_norm
        ),
        seed=seed,
        phase="confirm",
        replicates=tuple(range(len(topologies))),
        max_epochs=int(epochs),
        level=fraction_of_null * drawn.null_loss,
        sustain=int(sustain),
        backend=kernels,
        device=_usable(device),
    )
    trial = Trial(plan, topologies)
    while not trial.finished:
        trial.run_epoch()
    return Training(_curves(trial), _convergence(trial), _networks(trial, regions), plan.level)


def _checked(content: dict[str, Any]) -> tuple[TaskConfig, NetworkConfig, TopologyConfig]:
    """The sections as a study has them.

    Raises:
        UserError: a line for each mistake.
    """

    def check(rest: dict[str, Any]) -> tuple[TaskConfig, NetworkConfig, TopologyConfig]:
        def section(model: type[AnySection], name: str) -> AnySection:
            return validated(model, rest.get(name, {}), rest, lambda location: (name, *location))

        network = section(NetworkConfig, "network")
        if network.start_from is not None:
            raise UserError("network.start_from: networks of another study are started from in a study alone")
        return section(TaskConfig, "task"), network, section(TopologyConfig, "topology")

    try:
        return every_mistake(content, check, lambda rest, gone: rest)
    except Mistakes as mistakes:
        lines = [mistake.line(content, lambda keys: "") for mistake in mistakes.found]
        raise UserError("\n".join(lines)) from None


def _usable(device: str) -> str:
    """The device, if it is there.

    Raises:
        UserError: it isn't.
    """
    if device == "cpu" or (device.partition(":")[0] == "cuda" and torch.cuda.is_available()):
        return device
    there = "cpu, cuda" if torch.cuda.is_available() else "cpu"
    raise UserError(f"device: {device!r} is not there; this machine has {there}")


def _curves(trial: Trial) -> pd.DataFrame:
    loop = trial.loop
    columns = {"validation_loss": loop.validation_losses}
    columns |= {"accuracy": loop.accuracies} if loop.accuracies else {}
    epochs, networks = len(loop.validation_losses), len(trial.topologies)
    table = pd.DataFrame(
        {
            "network": np.repeat(np.arange(networks), epochs),
            "epoch": np.tile(np.arange(epochs), networks),
            "updates": np.tile(np.arange(epochs) * trial.plan.updates_per_epoch, networks),
            "training_loss": _column([torch.full((networks,), torch.nan), *loop.training_losses]),
        }
    )
    return table.assign(**{name: _column(values) for name, values in columns.items()})


def _column(values: list[torch.Tensor]) -> np.ndarray:
    """[epochs] of [population] as one column, network after network."""
    return torch.stack([one.double() for one in values]).T.reshape(-1).numpy()


def _convergence(trial: Trial) -> pd.DataFrame:
    table = pd.DataFrame([vars(one) for one in trial.convergence()]).drop(columns="left_empty")
    losses = ["best_loss", "final_loss", "test_loss"]
    return table.astype(dict.fromkeys(losses, np.float64)).rename_axis("network")


def _networks(trial: Trial, regions: Sequence[str] | None) -> list[Network]:
    population = trial.loop.population
    names = ("values", "weight_ih", "bias", "weight_out", "bias_out")
    held = Networks(
        tuple(trial.topologies),
        **{name: getattr(population, name).detach().cpu() for name in names},
        read=None if population.read is None else population.read.cpu(),
        sign=None if population.sign is None else population.sign.cpu().to(torch.int8),
        plan=trial.plan.identity(),
    )
    labels = None if regions is None else tuple(regions)
    return [Network.of(held, place, labels) for place in range(len(held))]
