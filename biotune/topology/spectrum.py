"""Eigenvalues and norm of a sparse matrix: the growth of recurrent activity per step, and how far it is from normal."""

import math

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from biotune.errors import UserError

KRYLOV_VECTORS = (60, 120, 240)
"""Number of Arnoldi vectors of the first attempt, and of each retry."""

MAX_RESTARTS = 1000

DENSE_SIZE = 1000
"""Largest size at which all eigenvalues are computed: it takes about half a second there, and grows with its cube."""


def spectral_radius(size: int, target: np.ndarray, source: np.ndarray, value: np.ndarray) -> float:
    """Largest modulus of an eigenvalue, `rho(W) = max_i |lambda_i|`, in float64.

    Up to a size of 1,000 from all eigenvalues; above, by Arnoldi iteration (ARPACK, from a fixed start vector), which
    is retried with more vectors, 240 at most, if it doesn't converge.

    Args:
        size: n, of the matrix `[n, n]`.
        target, source: int64 `[edges]`, its rows and columns.
        value: `[edges]`, its entries.

    Raises:
        UserError: the iteration doesn't converge.
    """
    return float(moduli(leading_eigenvalues(size, target, source, value)).max(initial=0.0))


def frobenius_norm(value: np.ndarray) -> float:
    """Frobenius norm `|W|_F = sqrt(sum_ij W[i, j]^2)`, in float64, of a matrix with the entries `value` `[edges]`."""
    value = np.asarray(value, np.float64)
    return math.sqrt(math.fsum(value * value))  # the order of a sum differs between processors; fsum's doesn't matter


def moduli(eigenvalues: np.ndarray) -> np.ndarray:
    """`|lambda|`, computed by operations that every processor rounds alike, unlike `np.abs` of complex numbers."""
    return np.sqrt(eigenvalues.real * eigenvalues.real + eigenvalues.imag * eigenvalues.imag)


def leading_eigenvalues(size: int, target: np.ndarray, source: np.ndarray, value: np.ndarray) -> np.ndarray:
    """All eigenvalues up to a size of 1,000, the six of largest modulus above: complex128.

    Arguments and errors as of `spectral_radius`.
    """
    matrix = _cyclic_part(size, target, source, value)
    if matrix.nnz == 0:
        return np.zeros(size, np.complex128)
    if size <= DENSE_SIZE:
        return np.linalg.eigvals(matrix.toarray()).astype(np.complex128)
    start = np.random.default_rng(0).standard_normal(size)
    for vectors in KRYLOV_VECTORS:
        try:  # six: if one alone is asked for, the largest of several of nearly equal modulus can be missed
            return scipy.sparse.linalg.eigs(
                matrix, k=6, ncv=min(vectors, size), v0=start, maxiter=MAX_RESTARTS, return_eigenvectors=False
            )
        except scipy.sparse.linalg.ArpackError:
            continue
    raise UserError(
        f"the eigenvalues of a matrix of {size:,} neurons were not found with {KRYLOV_VECTORS[-1]} Arnoldi vectors and "
        f"{MAX_RESTARTS} restarts; topology.spectral_radius: as_it_comes needs none"
    )


def _cyclic_part(size: int, target: np.ndarray, source: np.ndarray, value: np.ndarray) -> scipy.sparse.csr_array:
    """The matrix without the edges that lie on no cycle: they change no eigenvalue, but make them hard to compute.

    An edge lies on a cycle if its two ends are in one strongly connected component. A feed-forward network has no such
    edge, so all its eigenvalues are 0; computed from the whole matrix, rounding alone can make them as large as 0.5.
    """
    value = np.asarray(value, np.float64)
    whole = scipy.sparse.csr_array((value, (target, source)), shape=(size, size))
    _, component = scipy.sparse.csgraph.connected_components(whole, directed=True, connection="strong")
    cyclic = component[target] == component[source]
    return scipy.sparse.csr_array((value[cyclic], (target[cyclic], source[cyclic])), shape=(size, size))
