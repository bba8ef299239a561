"""The sparse core: populations of small recurrent networks whose recurrent matrices are sparse, trained fast.

    pattern = SparsePattern(target, source, size)       # integer tensors [population, nnz]; W[target, source]
    hidden = sparse_rnn(inputs, values, pattern, weight_ih, bias, nonlinearity="tanh", backend="auto")

It knows nothing of brains, tasks or Ray; `README.md` beside this file says how the pieces fit.
"""

from biotune_kernels.fused import fused_kernels
from biotune_kernels.layer import sparse_rnn
from biotune_kernels.pattern import SparsePattern
from biotune_kernels.recording import for_recording, record
from biotune_kernels.select import Choice, available_backends, choose, choose_backend, require_backend
from biotune_kernels.verification import Verification, verify

__all__ = [
    "Choice",
    "SparsePattern",
    "Verification",
    "available_backends",
    "choose",
    "choose_backend",
    "for_recording",
    "fused_kernels",
    "record",
    "require_backend",
    "sparse_rnn",
    "verify",
]
