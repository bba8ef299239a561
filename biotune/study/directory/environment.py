"""Where a study ran: versions, hardware, the state of the code, the data: what it takes to do it again."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from biotune.connectome import Connectome
from biotune.machine import memory, processor

PACKAGES = (
    "biotune",
    "torch",
    "ray",
    "optuna",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "lifelines",
    "scikit-learn",
)


def environment(connectomes: Mapping[str, Connectome]) -> dict[str, Any]:
    """The content of `environment.json`, less the cluster's nodes.

    Args:
        connectomes: of each arm.
    """
    provenances = {c.name: c.provenance for c in connectomes.values()}
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "machine": {
            "system": platform.platform(),
            "cpu": processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory(), 1),
            "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        },
        "git": _git(),
        "command": shlex.join(sys.argv),
        "data": {
            name: {"kind": p.kind, "path": p.path, "url": p.url, "sha256": p.sha256, "licence": p.licence}
            for name, p in provenances.items()
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """The commit of the code that runs; None where it isn't in a git checkout, or there is no git."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None
