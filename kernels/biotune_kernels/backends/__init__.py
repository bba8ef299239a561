"""Which backends there are: a module or folder here each, by the name it goes by; `contract.py` says what one is."""

import importlib
from functools import cache
from typing import cast

from biotune_kernels.contract import Backend

NAMES = ("reference", "dense", "torch_csr", "torch_sparse", "cpu", "cuda_graph", "triton")
"""Every backend, by the module that holds it."""

DEFINITION = "reference"
"""The backend that all others are compared with; autograd differentiates it as often as asked."""


@cache
def load(name: str) -> Backend:
    """The module of a backend; importing it never fails for what the backend itself needs (see `unusable`)."""
    return cast(Backend, importlib.import_module(f"biotune_kernels.backends.{name}"))
