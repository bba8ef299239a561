"""Eigenvalues of a sparse matrix: how much its recurrent activity grows a step, and how far it is from normal."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

DENSE_SIZE = 1000
"""Largest size at which all eigenvalues are computed: about a second there, and growing with the cube."""


def spectral_radius(size: int, target: np.ndarray, source: np.ndarray, value: np.ndarray) -> float:
    """Largest modulus of an eigenvalue, `rho(W) = max_i |lambda_i|`, in float64.

    All eigenvalues up to a size of 1,000, Arnoldi iteration (ARPACK, a fixed start vector) above; where that fails,
    as on a matrix without a nonzero eigenvalue, all of them there too.

    Args:
        size: n, of the matrix `[n, n]`.
        target, source: int64 `[edges]`, its rows and columns.
        value: `[edges]`, its entries.
    """
    if size <= DENSE_SIZE:
        return float(np.abs(eigenvalues(size, target, source, value)).max(initial=0.0))
    matrix = scipy.sparse.csr_array((np.asarray(value, np.float64), (target, source)), shape=(size, size))
    start = np.random.default_rng(0).standard_normal(size)
    try:  # several, since the largest of a near tie, such as a conjugate pair, can be missed if only one is asked for
        largest = scipy.sparse.linalg.eigs(matrix, k=6, ncv=60, v0=start, return_eigenvectors=False)
    except scipy.sparse.linalg.ArpackError:
        largest = eigenvalues(size, target, source, value)
    return float(np.abs(largest).max())


def eigenvalues(size: int, target: np.ndarray, source: np.ndarray, value: np.ndarray) -> np.ndarray:
    """All eigenvalues, complex128 `[size]`, by way of the dense matrix. Arguments as of `spectral_radius`."""
    matrix = np.zeros((size, size))
    matrix[target, source] = value
    return np.linalg.eigvals(matrix)
