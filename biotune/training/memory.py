"""Memory that a training step frees is kept for the next one, instead of going back to the system each time."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_LARGEST = 2**30  # bytes


def keep_freed_memory() -> None:
    """Has the C library serve blocks of up to 1 GiB from memory that it keeps.

    A step allocates and frees the same few large tensors; glibc would map and unmap each, and every page of them would
    be faulted in anew. Does nothing where the C library is another.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
            library.mallopt(_M_TRIM_THRESHOLD, _LARGEST)
