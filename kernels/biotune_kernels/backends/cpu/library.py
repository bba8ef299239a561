"""The compiled library: where it is found, and its structures and functions as ctypes sees them (interface.h)."""

import ctypes
from ctypes import POINTER, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path

from torch import Tensor

from biotune_kernels.backends.cpu.layout import Lines

_VERSION = 4


class CLines(ctypes.Structure):
    _fields_ = (
        ("other", c_void_p),
        ("slot", c_void_p),
        ("start", c_void_p),
        ("blocks", c_int64),
        ("block", c_int64),
    )

    @classmethod
    def of(cls, lines: Lines) -> "CLines":
        return cls(lines.other.data_ptr(), lines.slot.data_ptr(), lines.start.data_ptr(), lines.blocks, lines.block)


class CShape(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("population", "size", "nnz", "batch", "time", "input_size")),
        ("relu", c_void_p),
    )


class CStrided(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("time", c_int64),
        ("population", c_int64),
        ("row", c_int64),
        ("batch", c_int64),
    )

    @classmethod
    def of(cls, tensor: Tensor | None) -> "CStrided":
        """Of a tensor [time, population, rows, batch], or [population, rows, batch] for a single time step."""
        if tensor is None:
            return cls()
        stride = tensor.stride()
        return cls(tensor.data_ptr(), *((0,) if len(stride) == 3 else ()), *stride)


class CForward(ctypes.Structure):
    _fields_ = (
        ("shape", CShape),
        ("lines", CLines),
        ("values", c_void_p),
        ("weight_ih", c_void_p),
        ("bias", c_void_p),
        ("inputs", CStrided),
        ("hidden_0", CStrided),
        ("hidden", c_void_p),
    )


class CBackward(ctypes.Structure):
    _fields_ = (
        ("shape", CShape),
        ("lines", CLines),
        ("values", c_void_p),
        ("hidden", c_void_p),
        ("grad", CStrided),
        ("grad_steps", c_int64),
        ("grad_pre", c_void_p),
        ("grad_hidden_0", c_void_p),
    )


class CWeights(ctypes.Structure):
    _fields_ = (
        ("shape", CShape),
        ("lines", CLines),
        ("hidden", c_void_p),
        ("grad_pre", c_void_p),
        ("inputs", CStrided),
        ("hidden_0", c_void_p),
        ("grad_values", c_void_p),
        ("grad_weight_ih", c_void_p),
        ("grad_bias", c_void_p),
    )


@cache
def library() -> ctypes.CDLL | None:
    """The compiled library; None if none, or one of another version, was built."""
    built = Path(__file__).parent.glob("_sparse_rnn*.so")
    for file in sorted(built, key=lambda one: one.stat().st_mtime, reverse=True):  # an older one may lie beside it
        found = ctypes.CDLL(str(file))
        if found.sparse_rnn_version() != _VERSION:
            continue
        for number in ("float", "double"):
            for name, structure in (("forward", CForward), ("backward", CBackward)):
                function = getattr(found, f"sparse_rnn_{name}_{number}")
                function.argtypes, function.restype = (POINTER(structure), c_void_p, c_void_p, c_int64), c_int
            function = getattr(found, f"sparse_rnn_weights_{number}")
            function.argtypes, function.restype = (POINTER(CWeights), c_void_p, c_int64), c_int
        found.sparse_rnn_instructions.argtypes, found.sparse_rnn_instructions.restype = (c_int,), c_int
        return found
    return None
