"""What was found out about the kernels on this machine, remembered on disk.

Each finding is a small JSON file in the folder `kernels/` of `cache_folder()`. A finding is only used again if its
whole key is the same: the key names the machine, the versions and the content of this package, so that a change in any
of them leads to a new measurement. If the folder can't be written, findings last as long as the process.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger("biotune_kernels")


class Finding:
    """One finding, by its key.

    Args:
        kind: what is found out.
        device: where.
        key: what else it depends on; what JSON holds.
    """

    def __init__(self, kind: str, device: torch.device, **key: Any) -> None:
        self.key = {
            "finding": kind,
            "machine": describe_machine(device),
            "versions": versions(),
            "kernels": _digest(),
            "threads": torch.get_num_threads(),
            "precision": torch.get_float32_matmul_precision(),
            **key,
        }
        name = hashlib.sha256(json.dumps(self.key).encode()).hexdigest()[:32]
        self.file = cache_folder() / "kernels" / f"{kind}-{name}.json"

    def read(self) -> dict[str, Any] | None:
        """What is remembered; None where nothing is, or nothing that can be read."""
        try:
            content = json.loads(self.file.read_text())
            if content["key"] == self.key:
                return dict(content["found"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.debug("%s is not readable and is found out anew (%s)", self.file, error)
        return None

    def write(self, found: Mapping[str, Any]) -> None:
        """Remembers it."""
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}.tmp")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"key": self.key, "found": found}, indent=1) + "\n")
            temporary.replace(self.file)
        except OSError as error:
            logger.debug("this is known to this process alone, %s can't be written (%s)", self.file, error)


def cache_folder() -> Path:
    """Where files are kept that can be made again: `$BIOTUNE_CACHE`, or `biotune` in the platform's cache folder."""
    if named := os.environ.get("BIOTUNE_CACHE"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "biotune"


@cache
def describe_machine(device: torch.device) -> str:
    """The processor, as it calls itself, and the instructions that PyTorch takes of it; or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{platform.machine()} {name}, {os.cpu_count()} CPUs, {torch.backends.cpu.get_cpu_capability()}"


@cache
def versions() -> dict[str, str]:
    """Of what the kernels are made with: PyTorch, CUDA and Triton, where they are there."""
    found = {"torch": str(torch.__version__)}
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    with suppress(importlib.metadata.PackageNotFoundError):
        found["triton"] = importlib.metadata.version("triton")
    return found


@cache
def _digest() -> str:
    """Of this package's files, so that what another version of them does is found out anew."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".py", ".cpp", ".h", ".so", ".dylib"):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
