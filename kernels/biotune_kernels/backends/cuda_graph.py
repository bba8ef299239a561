"""Backend `cuda_graph`: the launches of `triton`, recorded once for a shape and asked for as one.

A GPU waits for Python whenever a launch takes less time than asking for it. A CUDA graph replays a whole pass, but
always at the addresses at which it was recorded: so a call copies its arguments there, and its results from there. Who
records more than a pass, such as a whole update, does better without: while a graph is recorded, this is `triton`.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from threading import Lock

import torch
from torch import Tensor

from biotune_kernels.backends import triton
from biotune_kernels.contract import MIXED, Gradients, Nonlinearity
from biotune_kernels.pattern import SparsePattern
from biotune_kernels.recording import is_for_recording, record

_MOST = 8
"""Graphs kept per pattern, the most recently used ones; each holds its arguments and its results."""

_WARM_UPS = 3
"""Runs before recording, for libraries to set up what can't be set up while a graph is recorded."""

_one_at_a_time = Lock()

Steps = Callable[..., Sequence[Tensor | None]]


def unusable(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cuda" or torch.version.cuda is None:
        return "it needs an NVIDIA GPU; use device cuda"
    return triton.unusable(device, dtype)


def unsuitable(pattern: SparsePattern, batch: int, time: int) -> str | None:
    return "the caller records its launches, so `triton` does as well" if is_for_recording() else None


def independent(device: torch.device, size: int, dtype: torch.dtype) -> bool:
    return triton.independent(device, size, dtype)


def forward(
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
) -> Tensor:
    name, each = _told_apart(nonlinearity)

    def steps(*given: Tensor | None) -> Sequence[Tensor | None]:
        return (triton.forward(*given[:-1], pattern, given[-1] if name == MIXED else name),)  # type: ignore[call-arg,arg-type]

    (hidden,) = _launch(steps, (inputs, values, weight_ih, bias, hidden_0, each), pattern, ("forward", name))
    assert hidden is not None
    return hidden


def backward(
    grad: Tensor,
    hidden: Tensor,
    inputs: Tensor,
    values: Tensor,
    weight_ih: Tensor,
    hidden_0: Tensor | None,
    pattern: SparsePattern,
    nonlinearity: Nonlinearity,
    wanted: frozenset[str],
) -> Gradients:
    name, each = _told_apart(nonlinearity)

    def steps(*given: Tensor | None) -> Sequence[Tensor | None]:
        return triton.backward(*given[:-1], pattern, given[-1] if name == MIXED else name, wanted)  # type: ignore[call-arg,arg-type]

    tensors = grad, hidden, inputs, values, weight_ih, hidden_0, each
    return Gradients(*_launch(steps, tensors, pattern, ("backward", name, wanted)))


def _told_apart(nonlinearity: Nonlinearity) -> tuple[str, Tensor | None]:
    """What a graph is known by, and what is copied to it: the nonlinearity of each network, if they differ."""
    return (MIXED, nonlinearity) if isinstance(nonlinearity, Tensor) else (nonlinearity, None)


def _launch(
    steps: Steps, tensors: Sequence[Tensor | None], pattern: SparsePattern, what: tuple[Hashable, ...]
) -> Sequence[Tensor | None]:
    """steps(*tensors) by the graph for these shapes, which is recorded first if there is none."""
    with torch.cuda.device_of(pattern.target):
        if (stream := _stream()) is None:
            return steps(*tensors)
        shapes = tuple(None if tensor is None else (tensor.shape, tensor.dtype) for tensor in tensors)
        key = *what, shapes, stream, torch.get_float32_matmul_precision()
        with _one_at_a_time:
            # rewritten edges are read where they were: by what `triton` keeps, which is brought up to date in place
            kept: OrderedDict[Hashable, _Recorded] = pattern.kept("cuda_graph", OrderedDict, lambda *_: None)
            if key not in kept:
                kept[key] = _Recorded(steps, tensors)
            kept.move_to_end(key)
            if len(kept) > _MOST:
                kept.popitem(last=False)
            return kept[key](tensors)


def _stream() -> int | None:
    """The current stream, or None while a caller records a graph of its own.

    Each stream has graphs of its own: two streams must not write to one graph's arguments at once.
    """
    return None if torch.cuda.is_current_stream_capturing() else torch.cuda.current_stream().cuda_stream


class _Recorded:
    """A pass whose arguments, results and kernels are fixed."""

    def __init__(self, steps: Steps, tensors: Sequence[Tensor | None]) -> None:
        # tensors made in inference mode could not be written to outside of it
        with torch.inference_mode(False), torch.no_grad():
            self.arguments = [
                None if t is None else torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in tensors
            ]
            self._fill(tensors)
            self.replay, self.results = _record(steps, self.arguments)

    def __call__(self, tensors: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        self._fill(tensors)
        self.replay()
        return [None if result is None else result.clone() for result in self.results]

    def _fill(self, tensors: Sequence[Tensor | None]) -> None:
        for argument, tensor in zip(self.arguments, tensors, strict=True):
            if argument is not None and tensor is not None:
                argument.copy_(tensor)


def _record(steps: Steps, arguments: Sequence[Tensor | None]) -> tuple[Callable[[], None], Sequence[Tensor | None]]:
    """A function that replays steps(*arguments), and the tensors in which it leaves its results."""
    aside, here = torch.cuda.Stream(), torch.cuda.current_stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            steps(*arguments)
    here.wait_stream(aside)
    return record(partial(steps, *arguments), aside)
