"""The backends: one module or folder each, named as the backend is; `contract.py` says what a backend is."""

import importlib
from functools import cache
from typing import cast

from biotune_kernels.contract import Backend

NAMES = ("reference", "dense", "torch_csr", "torch_sparse", "cpu", "cuda_graph", "triton")
"""Every backend, by the name of its module."""

DEFINITION = "reference"
"""The backend that all others are compared with; autograd differentiates it as often as asked."""


@cache
def load(name: str) -> Backend:
    """The module of a backend; it imports even if what the backend needs is missing (see `unusable`)."""
    return cast(Backend, importlib.import_module(f"biotune_kernels.backends.{name}"))
