"""Where a study ran: versions, hardware, the state of the code, the data: what it takes to do it again."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from biotune.connectome import Connectome
from biotune.machine import memory, processor
from biotune.results.documents import Data, Environment, Git, Machine, SeenKernels

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


def environment(
    connectomes: Mapping[str, Connectome],
    nodes: list[dict[str, float]],
    kernels: list[SeenKernels],
    left_out: Iterable[str],
) -> Environment:
    """Where a study is started: what this process can see, and what it is given.

    Args:
        connectomes: of each arm.
        nodes: of the cluster. kernels, left_out: see `Environment`.
    """
    provenances = {c.name: c.provenance for c in connectomes.values()}
    return Environment(
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        machine=Machine(
            system=platform.platform(),
            cpu=processor(),
            cores=os.cpu_count() or 1,
            memory_gib=round(memory(), 1),
            gpus=[torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        ),
        git=_git(),
        command=shlex.join(sys.argv),
        data={
            name: Data(kind=p.kind, path=p.path, url=p.url, sha256=p.sha256, licence=p.licence)
            for name, p in provenances.items()
        },
        nodes=nodes,
        kernels=kernels,
        kernels_left_out=list(left_out),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> Git | None:
    """The commit of the code that runs; None if it isn't in a git checkout, or there is no git."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout

    try:
        return Git(commit=git("rev-parse", "HEAD").strip(), dirty=bool(git("status", "--porcelain").strip()))
    except (OSError, subprocess.CalledProcessError):
        return None
