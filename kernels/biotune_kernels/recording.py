"""Whether a pass will be recorded in a CUDA graph by the caller; then its launches cost no time of Python's.

A pass that is asked for launch by launch takes as long as Python needs to ask, and another backend may be best.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
