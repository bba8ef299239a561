"""CUDA graphs: recording work, and whether the caller will; then a pass's launches cost no time of Python's.

A pass that is asked for launch by launch takes as long as Python needs to ask, and another backend may be best.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

Found = TypeVar("Found")

_for_recording: ContextVar[bool] = ContextVar("for_recording", default=False)


@contextmanager
def for_recording() -> Iterator[None]:
    """Inside, "auto" stands for what is fastest on a GPU once its launches are recorded."""
    token = _for_recording.set(True)
    try:
        yield
    finally:
        _for_recording.reset(token)


def is_for_recording() -> bool:
    """Whether this is inside `for_recording`."""
    return _for_recording.get()


def record(work: Callable[[], Found], stream: torch.cuda.Stream | None = None) -> tuple[Callable[[], None], Found]:
    """A function that replays `work` on the current GPU, and what it returned, which every replay overwrites.

    Args:
        work: it was run before, since kernels can't be compiled and libraries not set up while it is recorded. It isn't
            kept.
        stream: on which it is recorded; by default one of PyTorch's own.
    """
    graph = torch.cuda.CUDAGraph()
    # other threads of this process may use the GPU meanwhile
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        found = work()
    return graph.replay, found
