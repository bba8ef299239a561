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

POINTERS = ("inputs", "bias", "hidden_0", "hidden", "grad", "grad_pre", "weight_ih", "weights", "transposed")


@pytest.fixture
def compiled() -> Callable[..., Any]:
    """compiled(kernel, constants, capability, weights="*fp32", pointers, **options): the kernel, compiled by Triton.

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
        weights: str = "*fp32",
        pointers: Mapping[str, str] = MappingProxyType({}),
        **options: int,
    ) -> Any:
        types = dict.fromkeys(POINTERS, "*fp32") | dict.fromkeys(("weight_ih", "weights", "transposed"), weights)
        types |= pointers
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
