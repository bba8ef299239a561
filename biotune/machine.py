"""A description of this machine, for benchmarks."""

import os
import platform
from pathlib import Path

import torch


def processor() -> str:
    """The processor's model name if the system gives it, else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def memory() -> float:
    """Size of the main memory, GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def machine() -> str:
    """One line: the processor, its cores, the memory, and the versions of Python and torch."""
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory():.0f} GiB, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )
