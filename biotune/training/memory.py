"""Memory that a training step frees is kept for the next one, and given back when a trial ends."""

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_LARGEST_BLOCK = 2**25  # bytes; glibc takes no more
_KEPT = 2**27


def keep_freed_memory() -> None:
    """Has the C library keep up to 128 MiB of freed memory, and serve blocks of up to 32 MiB from it.

    A step allocates and frees the same few large tensors; glibc would map and unmap each, and every page of them would
    be faulted in anew. Does nothing if the C library is another one.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
            library.mallopt(_M_TRIM_THRESHOLD, _KEPT)


def free_memory(device: str) -> None:
    """Gives what ended trials have left on a GPU back to it, for the other trials that share it."""
    if device == "cuda":
        torch.cuda.empty_cache()
