"""Sums in a fixed order, so that a network's numbers do not depend on which networks are trained beside it.

PyTorch chooses the order of a sum by the shape of the whole tensor, its address in memory, the number of threads and
the processor. A network in a population of four would then differ in the last bits from the same network alone. Here
the upper half of a tensor is added to its lower half, element by element, which every processor rounds alike. An NVIDIA
GPU, on which that would be many launches, has kernels for it: `biotune_kernels.fused`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from biotune_kernels import fused_kernels


def add_halves_(scratch: Tensor, dim: int) -> Tensor:
    """The sum over one dimension of length 1 or more, by adding its upper half to its lower half until one is left.

    Args:
        scratch: what is summed; it is overwritten.
        dim: the dimension.

    Returns:
        A view of `scratch` without that dimension.
    """
    count = scratch.shape[dim]
    while count > 1:
        half = (count + 1) // 2
        scratch.narrow(dim, 0, count - half).add_(scratch.narrow(dim, half, count - half))
        count = half
    return scratch.select(dim, 0)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.shape = values.shape
        if (kernels := fused_kernels("sums", values.device, values.dtype)) is not None:
            return kernels.row_sums(values)
        return add_halves_(values.clone(), -1).clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad[..., None].expand(ctx.shape)


def fixed_order_sum(values: Tensor) -> Tensor:
    """The sum over the last dimension, differentiable; the bits of one row's sum don't depend on the other rows.

    Args:
        values: [..., count], count 1 or more.

    Returns:
        [...].
    """
    return _Sum.apply(values)


class _Readout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(states, weight)
        if (kernels := fused_kernels("sums", states.device, states.dtype)) is not None:
            return kernels.readout(states, weight, bias)
        outputs = [add_halves_(states * of_output, 2) for of_output in weight[..., None].unbind(1)]
        return torch.stack(outputs, 2) + bias[:, :, None]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, weight = ctx.saved_tensors
        if (kernels := fused_kernels("sums", states.device, states.dtype)) is not None:
            return kernels.readout_gradients(grad, states, weight)
        to_states = torch.zeros_like(states) if grad.shape[2] > 1 else None
        to_weight = torch.empty_like(weight)
        for output, of_output in enumerate(grad.unbind(2)):
            from_output = weight[:, output, :, None] * of_output[:, :, None]
            to_states = from_output if to_states is None else to_states.add_(from_output)
            over_steps = add_halves_(states * of_output[:, :, None], 0)
            to_weight[:, output] = add_halves_(over_steps, 2)
        to_bias = fixed_order_sum(grad.permute(1, 2, 0, 3).flatten(2))
        return to_states, to_weight, to_bias


def readout(states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear readout of a population, `y = W h + b`; it and its gradients are summed in a fixed order.

    Args:
        states: [steps, population, neurons, trials], of the neurons that are read.
        weight: [population, output_size, neurons].
        bias: [population, output_size].

    Returns:
        [steps, population, output_size, trials].
    """
    return _Readout.apply(states, weight, bias)


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of what each network has of all tensors together, summed in a fixed order.

    Args:
        tensors: each [population, ...].

    Returns:
        [population].
    """
    if (kernels := fused_kernels("sums", tensors[0].device, tensors[0].dtype)) is not None:
        return kernels.norms(tensors)
    squares = torch.cat([tensor.flatten(1).square() for tensor in tensors], dim=1)
    return add_halves_(squares, 1).sqrt()
