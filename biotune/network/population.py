"""A population of Elman networks, one per replicate, trained together as one block-diagonal sparse matrix.

    h_t = f(W_ih x_t + b + W_hh h_{t-1}),  h_0 = 0,  y_t = W_out h_t + b_out

W_hh has entries only at the topology's edges, so no other connection can be trained. W_out has columns only for the
neurons that the readout sees; if these are not all, h_t in the last equation stands for theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from biotune.errors import UserError
from biotune.network.initialise import recurrent_values, uniform_bound
from biotune.network.options import NetworkOptions
from biotune.network.readout import read_neurons, states_of
from biotune.network.signs import edge_signs, keep_signs
from biotune.network.sums import readout
from biotune.topology import Topology
from biotune_kernels import SparsePattern, sparse_rnn


@dataclass(frozen=True)
class Draws:
    """The generators that one replicate's weights come from."""

    input_weights: np.random.Generator
    recurrent_weights: np.random.Generator
    readout_weights: np.random.Generator
    ties: np.random.Generator
    signs: np.random.Generator
    readout_neurons: np.random.Generator


class Population(nn.Module):
    """The replicates of one trial.

    Args:
        topologies: one per replicate, all with the same number of neurons and of edges.
        input_size: inputs per step.
        output_size: readout units.
        options: nonlinearity, initialisation, remapping, spectral radius or norm, the share of the neurons that is
            read, whether the recurrent weights are frozen.
        draws: one per replicate.
        backend: name of a kernel backend, or "auto".
        dtype: of the parameters.

    Attributes:
        values: [population, edges], the recurrent weights in the order of each topology's edges.
        weight_ih: [population, neurons, input_size]. bias: [population, neurons].
        weight_out: [population, output_size, read]. bias_out: [population, output_size].
        read: int64 [population, read], the neurons that the columns of `weight_out` are for, in ascending order; None
            if the readout sees all.
        sign: [population, edges], 1 or -1, if Dale's law is kept; else None.

    Raises:
        UserError: the topologies differ in neurons or number of edges, or the readout would see no neuron.
    """

    sign: Tensor | None
    read: Tensor | None

    def __init__(
        self,
        topologies: Sequence[Topology],
        *,
        input_size: int,
        output_size: int,
        options: NetworkOptions,
        draws: Sequence[Draws],
        backend: str = "auto",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        shapes = sorted({(topology.size, len(topology.target)) for topology in topologies})
        if len(shapes) != 1:
            found = ", ".join(f"{edges} edges over {size} neurons" for size, edges in shapes)
            raise UserError(
                f"the replicates of an arm must have equal numbers of edges, found {found}; with regions of different "
                "sizes, rewire at level: neuron, which keeps the number of edges"
            )
        size, _ = shapes[0]
        self.nonlinearity: str | Tensor = options.nonlinearity
        self.backend = backend
        self.pattern = SparsePattern(
            torch.from_numpy(np.stack([topology.target for topology in topologies])),
            torch.from_numpy(np.stack([topology.source for topology in topologies])),
            size,
        )

        signs = [
            edge_signs(topology, options.signs, options.dale, draw.signs)
            for topology, draw in zip(topologies, draws, strict=True)
        ]
        values = [
            recurrent_values(
                topology,
                initialisation=options.initialisation,
                remap=options.remap,
                radius=options.radius,
                norm=options.norm,
                gain=options.gain,
                signs=sign,
                values=draw.recurrent_weights,
                ties=draw.ties,
            )
            for topology, draw, sign in zip(topologies, draws, signs, strict=True)
        ]
        bias_bound = uniform_bound("default", size, size, size)
        input_bound = uniform_bound(options.initialisation, size, input_size, size)
        drawn = [read_neurons(size, options.readout, draw.readout_neurons) for draw in draws]
        read = [neurons for neurons in drawn if neurons is not None]
        reads = len(read[0]) if read else size
        # a layer with the read neurons for its inputs, as torch.nn.Linear
        output_bound = uniform_bound(options.initialisation, output_size, reads, reads)
        output_bias_bound = uniform_bound("default", output_size, reads, reads)

        def parameter(arrays: Sequence[np.ndarray]) -> nn.Parameter:
            return nn.Parameter(torch.from_numpy(np.stack(arrays)).to(dtype))

        self.values = parameter(values).requires_grad_(not options.freeze_recurrent)
        kept = [sign for sign in signs if sign is not None] if options.dale else []
        # not saved in checkpoints: when training is resumed, signs and read neurons are drawn again from the seeds
        self.register_buffer("sign", torch.from_numpy(np.stack(kept)).to(dtype) if kept else None, persistent=False)
        self.register_buffer("read", torch.from_numpy(np.stack(read)) if read else None, persistent=False)
        self.weight_ih = parameter(
            [d.input_weights.uniform(-input_bound, input_bound, (size, input_size)) for d in draws]
        )
        self.bias = parameter([d.input_weights.uniform(-bias_bound, bias_bound, size) for d in draws])
        self.weight_out = parameter(
            [d.readout_weights.uniform(-output_bound, output_bound, (output_size, reads)) for d in draws]
        )
        self.bias_out = parameter(
            [d.readout_weights.uniform(-output_bias_bound, output_bias_bound, output_size) for d in draws]
        )

    @classmethod
    def blank(
        cls,
        pattern: SparsePattern,
        *,
        input_size: int,
        output_size: int,
        reads: int | None,
        frozen: bool,
        backend: str,
        dtype: torch.dtype,
    ) -> "Population":
        """Networks whose weights are 0, on the device of their edges, to be given those of others.

        Each has a nonlinearity of its own (uint8 [population], tanh at first), and may keep Dale's law or not: where
        `sign` is 0, it isn't kept.

        Args:
            pattern: the edges. input_size, output_size, backend, dtype: as of a population.
            reads: neurons that the readout sees; None: all.
            frozen: whether the recurrent weights are.
        """
        blank = cls.__new__(cls)
        nn.Module.__init__(blank)
        count, size, device = pattern.population, pattern.size, pattern.device

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(count, *shape, dtype=dtype, device=device))

        blank.pattern, blank.backend = pattern, backend
        blank.nonlinearity = torch.zeros(count, dtype=torch.uint8, device=device)
        blank.values = parameter(pattern.nnz).requires_grad_(not frozen)
        read = None if reads is None else torch.arange(reads, device=device).repeat(count, 1)
        blank.register_buffer("sign", torch.zeros_like(blank.values, requires_grad=False), persistent=False)
        blank.register_buffer("read", read, persistent=False)
        blank.weight_ih, blank.bias = parameter(size, input_size), parameter(size)
        blank.weight_out, blank.bias_out = parameter(output_size, reads or size), parameter(output_size)
        return blank

    def __len__(self) -> int:
        return self.values.shape[0]

    def _apply(self, function, recurse=True):  # type: ignore[no-untyped-def]
        super()._apply(function, recurse)
        self.pattern = self.pattern.to(self.values.device)
        return self

    def constrain(self) -> None:
        """After an update, brings the recurrent weights back to their neurons' signs if Dale's law is kept."""
        if self.sign is not None:
            keep_signs(self.values, self.sign)

    def states(self, inputs: Tensor, first: int = 0) -> Tensor:
        """The states h_t of all neurons.

        Args:
            inputs: [population, trials, time, input_size].
            first: the first step whose states are wanted.

        Returns:
            [time - first, population, neurons, trials], the order in which kernels store it, so that nothing is copied.
        """
        hidden = sparse_rnn(
            inputs,
            self.values,
            self.pattern,
            self.weight_ih,
            self.bias,
            nonlinearity=self.nonlinearity,
            backend=self.backend,
            first=first,
        )
        return hidden.permute(2, 0, 3, 1)

    def forward(self, inputs: Tensor, scored: slice | Tensor) -> Tensor:
        """Outputs at the scored steps.

        Args:
            inputs: [population, trials, time, input_size].
            scored: the scored steps: a slice, or indices [steps].

        Returns:
            [population, trials, steps, output_size].
        """
        first, all_of_them = 0, False
        if isinstance(scored, slice):
            first, stop, stride = scored.indices(inputs.shape[2])
            all_of_them = (stop, stride) == (inputs.shape[2], 1)  # the last steps, as usual: autograd need not copy
            scored = slice(0, stop - first, stride)
        states = self.states(inputs, first)
        if not all_of_them:
            states = states[scored]
        if self.read is not None:
            states = states_of(self.read, states)
        return readout(states, self.weight_out, self.bias_out).permute(1, 3, 0, 2)
