"""One trained network as arrays: run on new inputs, looked into, kept in a file, handed to PyTorch."""

import json
import warnings
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from biotune.errors import UserError
from biotune.io.files import replacing
from biotune.topology import Topology

if TYPE_CHECKING:
    from torch import nn

    from biotune.tasks import Task
    from biotune.training import Networks

MOST_DENSE = 4096
"""Neurons up to which a network is handed to PyTorch as a dense one: its matrix then has 64 MiB."""

FORMAT = 1
"""Of the files that `Network.save` writes."""

_ARRAYS = ("values", "W_in", "bias", "W_out", "bias_out")


@dataclass(frozen=True, eq=False)
class Network:
    """A trained Elman network whose recurrent matrix has entries only where its topology has edges.

        h_t = f(W_in x_t + bias + W h_{t-1}),  h_0 = 0,  y_t = W_out h_t + bias_out

    Attributes:
        topology: its edges, with the weights that they had before values were drawn.
        values: float32 `[edges]`, the trained entries of W in the order of the topology's edges.
        W_in: `[neurons, input_size]`. bias: `[neurons]`.
        W_out: `[output_size, neurons]`, 0 for neurons that the readout doesn't see. bias_out: `[output_size]`.
        nonlinearity: f, "tanh" or "relu".
        read: int64, the neurons that the readout sees; None: all.
        signs: 1 or -1 `[edges]`, if it was trained under Dale's law; else None.
        regions: the names of the regions, in the order of their numbers, if they have any.
        details: what it was trained on and how, in plain values: `task`, `network`, `replicate`, ...

    Source: Elman 1990, Cognitive Science 14:179.
    """

    topology: Topology
    values: np.ndarray = field(repr=False)
    W_in: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    W_out: np.ndarray = field(repr=False)
    bias_out: np.ndarray = field(repr=False)
    nonlinearity: str = "tanh"
    read: np.ndarray | None = field(default=None, repr=False)
    signs: np.ndarray | None = field(default=None, repr=False)
    regions: tuple[str, ...] | None = field(default=None, repr=False)
    details: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, networks: "Networks", place: int, regions: tuple[str, ...] | None = None) -> "Network":
        """One of the networks of a checkpoint.

        Args:
            networks: as `biotune.training.load_networks` reads them. place: of the one among them.
            regions: their names.
        """
        topology, held = networks.topologies[place], networks.plan
        read = None if networks.read is None else networks.read[place].numpy()
        seen = networks.weight_out[place].numpy()
        W_out = np.zeros((len(seen), topology.size), seen.dtype)
        W_out[:, slice(None) if read is None else read] = seen
        details = {key: value for key, value in held.items() if key != "replicates"}
        return cls(
            topology,
            networks.values[place].numpy(),
            networks.weight_ih[place].numpy(),
            networks.bias[place].numpy(),
            W_out,
            networks.bias_out[place].numpy(),
            nonlinearity=held["network"]["nonlinearity"],
            read=read,
            signs=None if networks.sign is None else networks.sign[place].numpy(),
            regions=regions,
            details={**details, "replicate": held["replicates"][place]},
        )

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.topology.size

    @cached_property
    def W(self) -> sparse.csr_array:
        """The recurrent matrix, `[target, source]`: stored entries are edges, also where training has made them 0."""
        where = (self.topology.target, self.topology.source)
        return sparse.csr_array((self.values, where), shape=(self.size, self.size))

    @property
    def labels(self) -> list[str]:
        """A name for each neuron, its region's and its place in it: `V1.0`; without names `3.0`, by number."""
        region = self.topology.region
        first = np.searchsorted(region, region)  # neurons of a region follow each other
        names = [str(one) for one in range(region.max() + 1)] if self.regions is None else self.regions
        return [f"{names[r]}.{place}" for r, place in zip(region, np.arange(self.size) - first, strict=True)]

    @property
    def task(self) -> "Task":
        """The task that it was trained on; `net.task.trials(100, rng)` draws trials of it.

        Raises:
            UserError: the file of a user's own task is not there any more.
        """
        from biotune.tasks import make_task

        return make_task(**{key: value for key, value in self.details["task"].items() if key != "sha256"})

    def states(self, inputs: ArrayLike) -> np.ndarray:
        """The states h_t of all neurons.

        Args:
            inputs: `[trials, time, input_size]`, or `[time, input_size]` of one trial.

        Returns:
            `[trials, time, neurons]`, without the first axis for one trial; in the precision of the weights.

        Raises:
            UserError: the inputs have another shape.
        """
        try:
            given = np.asarray(inputs, self.values.dtype)
        except (TypeError, ValueError):
            given = np.empty(0)
        if given.ndim not in (2, 3) or given.shape[-1] != self.W_in.shape[1]:
            needed = f"[trials, time, {self.W_in.shape[1]}], or [time, {self.W_in.shape[1]}] of one trial"
            found = list(np.shape(inputs)) if given.size else type(inputs).__name__
            raise UserError(f"inputs: {needed} is needed, found {found}")
        trials = given[None] if given.ndim == 2 else given
        driven = trials @ self.W_in.T + self.bias
        states = np.empty_like(driven)
        state = np.zeros((self.size, len(trials)), driven.dtype)
        for step in range(driven.shape[1]):
            total = driven[:, step].T + self.W @ state
            state = np.tanh(total) if self.nonlinearity == "tanh" else np.maximum(total, 0)
            states[:, step] = state.T
        return states[0] if given.ndim == 2 else states

    def __call__(self, inputs: ArrayLike) -> np.ndarray:
        """The outputs y_t at every step, also those that the task doesn't score (`net.task.scored` are those it does).

        Args:
            inputs: as of `states`.

        Returns:
            `[trials, time, output_size]`, without the first axis for one trial.
        """
        return self.states(inputs) @ self.W_out.T + self.bias_out

    def save(self, file: str | Path) -> Path:
        """Writes the network to a `.npz` file, which `load_network` reads: arrays and text, nothing that could run.

        Returns:
            The file.

        Raises:
            UserError: the name doesn't end in `.npz`. StorageError: it can't be written.
        """
        file = Path(file).expanduser()
        if file.suffix != ".npz":
            raise UserError(f"{file}: networks are kept as .npz files; name it {file.name}.npz")
        known = {"size": self.topology.size, "nonlinearity": self.nonlinearity, "regions": self.regions}
        known |= {"rewired": self.topology.rewired, "entries_changed": self.topology.entries_changed}
        arrays = {name: getattr(self.topology, name) for name in ("target", "source", "weight", "region")}
        arrays |= {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {name: held for name in ("read", "signs") if (held := getattr(self, name)) is not None}
        text = json.dumps({"format": FORMAT, **known, "details": self.details})
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, network=np.array(text), **arrays)
        return file

    def to_torch(self) -> "tuple[nn.RNN, nn.Linear]":
        """The network as a dense `torch.nn.RNN` and its readout, a `torch.nn.Linear`.

        Their outputs are the same; but to PyTorch an absent edge is a weight like any other, 0 at first: what is
        trained further there doesn't keep the wiring. A warning says so.

        >>> rnn, readout = net.to_torch()  # doctest: +SKIP
        >>> outputs = readout(rnn(torch.from_numpy(inputs))[0])  # doctest: +SKIP

        Raises:
            UserError: it has more than 4,096 neurons, so that its matrix would be large and nearly empty.
        """
        import torch
        from torch import nn

        if self.size > MOST_DENSE:
            raise UserError(
                f"to_torch: {self.size:,} neurons make a dense matrix of {self.size**2:,} weights; this is for up to "
                f"{MOST_DENSE:,} neurons, use net.W (sparse) for more"
            )
        absent = self.size**2 - self.topology.edges
        warnings.warn(
            f"to_torch: the {absent:,} edges that the wiring doesn't have are weights of 0 in a dense nn.RNN, and are "
            "trained like all others",
            stacklevel=2,
        )
        outputs, inputs = self.W_out.shape[0], self.W_in.shape[1]
        kind = torch.from_numpy(self.values).dtype
        rnn = nn.RNN(inputs, self.size, nonlinearity=self.nonlinearity, batch_first=True, dtype=kind)
        readout = nn.Linear(self.size, outputs, dtype=kind)
        given: tuple[tuple[Any, np.ndarray], ...] = (
            (rnn.weight_ih_l0, self.W_in),
            (rnn.weight_hh_l0, self.W.toarray()),
            (rnn.bias_ih_l0, self.bias),
            (rnn.bias_hh_l0, np.zeros_like(self.bias)),
            (readout.weight, self.W_out),
            (readout.bias, self.bias_out),
        )
        for parameter, value in given:
            parameter.data = torch.from_numpy(np.array(value))
        return rnn, readout

    def __repr__(self) -> str:
        task, arm = self.details.get("task", {}).get("name"), self.details.get("arm")
        told = [f"{self.size} neurons", f"{self.topology.edges} edges", self.nonlinearity]
        told += [f"{arm} {self.details['replicate']}"] if arm else []
        return f"<Network: {', '.join(told)}{f', trained on {task}' if task else ''}>"


def load_network(file: str | Path) -> Network:
    """Reads a network that `Network.save` wrote.

    Args:
        file: the `.npz` file.

    Returns:
        The network, equal to the one that was saved to the last bit.

    Raises:
        UserError: there is no such file, or it holds no network.
    """
    file = Path(file).expanduser()
    try:
        with np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        known = json.loads(str(arrays.pop("network")))
        topology = Topology(
            **{name: arrays.pop(name) for name in ("target", "source", "weight", "region")},
            **{name: known[name] for name in ("size", "rewired", "entries_changed")},
        )
        if known["format"] != FORMAT:
            raise UserError(f"{file}: was written in format {known['format']}; this version reads {FORMAT}")
        return Network(
            topology,
            **{name: arrays[name] for name in _ARRAYS},
            nonlinearity=known["nonlinearity"],
            read=arrays.get("read"),
            signs=arrays.get("signs"),
            regions=known["regions"] and tuple(known["regions"]),
            details=known["details"],
        )
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: holds no network that Network.save wrote ({error})") from error
