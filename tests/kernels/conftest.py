"""A process that has measured nothing yet; Triton kernels compiled for a GPU that this machine need not have."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import biotune_kernels.select
import biotune_kernels.verification

POINTERS = {
    "*fp32": "inputs bias hidden_0 hidden grad grad_pre weight_ih scale values of_values of_weight_ih of_bias",
    "*fp16": "pairs passed",
    "*i32": "edge_at largest",
    "*u8": "kinds",
}


@pytest.fixture
def compiled() -> Callable[..., Any]:
    """compiled(kernel, constants, capability, pointers, **options): the kernel, compiled by Triton.

    `pointers`: the types of those that kernels of `tile` don't have.
    """
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton isn't installed")
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("interpreted kernels aren't compiled")
    import triton
    from triton.backends.compiler import GPUTarget

    def compile_it(
        kernel: Any,
        constants: dict[str, Any],
        capability: int,
        pointers: Mapping[str, str] = MappingProxyType({}),
        **options: int,
    ) -> Any:
        types = {name: kind for kind, those in POINTERS.items() for name in those.split()} | pointers
        names = kernel.arg_names
        source = triton.compiler.ASTSource(
            fn=kernel,
            signature={name: "constexpr" if name in constants else types.get(name, "i32") for name in names},
            constexprs={(names.index(name),): value for name, value in constants.items() if name in names},
            attrs={
                (names.index(name),): [["tt.divisibility", 16]] for name in names if name in types or name == "batch"
            },
        )
        return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)

    return compile_it


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As in a process that has measured nothing yet; gives its own, empty cache folder."""
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(biotune_kernels.select, "_chosen", {})
    monkeypatch.setattr(biotune_kernels.verification, "_verified", {})
    return tmp_path / "cache"
