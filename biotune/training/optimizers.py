"""Optimisers of a population: working element by element, one over the stacked parameters is one per replicate."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
    "SGD": torch.optim.SGD,
}

WITH_MOMENTUM = ("RMSprop", "SGD")


def make_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """An optimiser of `OPTIMIZERS` over the parameters that are trained, with torch's defaults for the rest.

    Args:
        name: a key of `OPTIMIZERS`.
        parameters: frozen ones are left out.
        learning_rate: of the optimiser.
        weight_decay: added to the gradient; for AdamW, taken off the weights (Loshchilov & Hutter 2019).
        momentum: for those of `WITH_MOMENTUM`.

    Raises:
        ValueError: momentum for an optimiser that takes none.
    """
    if momentum and name not in WITH_MOMENTUM:
        raise ValueError(f"momentum {momentum} is for {' and '.join(WITH_MOMENTUM)}; {name} has no such option")
    options: dict[str, Any] = {"momentum": momentum} if name in WITH_MOMENTUM else {}
    # torch's fused loops round the last few elements of a tensor otherwise than the rest: a network's numbers would
    # depend on its place in the population
    options |= {"fused": False, "foreach": False} if name != "RMSprop" else {"foreach": False}
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return OPTIMIZERS[name](trained, lr=learning_rate, weight_decay=weight_decay, **options)
