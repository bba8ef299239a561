"""Weight matrices from files: `.npy` and `.npz`, MATLAB's `.mat`, and text. Nothing that is read can run code."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse
from scipy.io.matlab import MatReadError

from biotune.connectome.readers.edges import RawEdges, check_weights, summed
from biotune.errors import UserError


def read_npy(content: bytes, where: str) -> np.ndarray:
    """The array of a `.npy` file.

    Raises:
        UserError: it is cut short, or holds anything but plain numbers (a pickle is refused unread).
    """
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{where}: not a .npy file of plain numbers ({first_sentence(error)})") from error
    return array


def read_npz(content: bytes, where: str, variable: str | None) -> np.ndarray | scipy.sparse.coo_array:
    """The matrix of a SciPy sparse `.npz`, or one array of a NumPy `.npz`.

    Raises:
        UserError: it is damaged, holds anything but plain numbers, or has several arrays and `variable` names none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            if {"format", "shape", "data"} <= set(archive.files):
                return _coo(scipy.sparse.load_npz(io.BytesIO(content)))
            return archive[_choose(archive.files, variable, where)]
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{where}: not an .npz archive of plain numbers ({first_sentence(error)})") from error


def read_mat(content: bytes, where: str, variable: str | None) -> np.ndarray | scipy.sparse.coo_array:
    """A matrix of a MATLAB file, versions 5 to 7.2.

    Raises:
        UserError: it is damaged, or has several matrices and `variable` names none.
    """
    try:
        file: Any = io.BytesIO(content)  # SciPy also reads open files, though its type hints don't say so
        names = [name for name, shape, _ in scipy.io.whosmat(file) if len(shape) == 2 and min(shape) > 1]
        chosen = _choose(names, variable, where)
        found = scipy.io.loadmat(file, variable_names=[chosen])[chosen]
    except (ValueError, TypeError, KeyError, EOFError, OSError, NotImplementedError, MatReadError, zlib.error) as error:
        raise UserError(f"{where}: not readable as a MATLAB file ({first_sentence(error)})") from error
    return _coo(found) if scipy.sparse.issparse(found) else np.asarray(found)


def _coo(matrix: Any) -> scipy.sparse.coo_array:
    return scipy.sparse.coo_array(matrix)


def _choose(names: Sequence[str], variable: str | None, where: str) -> str:
    if variable is not None and variable not in names:
        raise UserError(f"{where}: has no matrix {variable!r}; it has {', '.join(names) or 'none'}")
    if variable is None and len(names) != 1:
        raise UserError(
            f"{where}: has {len(names)} matrices ({', '.join(names) or 'none'}); name one as connectome.variable"
        )
    return variable if variable is not None else names[0]


def read_text_matrix(lines: Sequence[Sequence[str]], where: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """A matrix written as text, with or without labels.

    Rows have labels if the first field of any row isn't a number, or if the first line's first field (the corner) is
    empty. Columns have labels if any other field of the first line isn't a number, or if the corner is empty. So labels
    that are numbers are recognised by an empty corner alone.

    Args:
        lines: the fields of each line, without blank and comment lines.
        where: the file's name, for errors.

    Returns:
        float64 `[rows, columns]`, and the labels.

    Raises:
        UserError: a row has another length, a field is no number, or the labels of rows and columns differ.
    """
    rows = [list(line) for line in lines]
    corner = rows[0][0] == ""
    head = corner or any(not _is_number(field) for field in rows[0][1:])
    body = rows[1:] if head else rows
    side = corner or any(not _is_number(row[0]) for row in body)
    labels = tuple(row[0] for row in body) if side else None
    if head:
        header = rows[0][1:] if side and len(rows[0]) == len(body[0] if body else []) else rows[0]
        if labels is not None and tuple(header) != labels:
            raise UserError(f"{where}: the labels of its columns are not those of its rows, in the same order")
        labels = tuple(header)
    if side:
        body = [row[1:] for row in body]
    matrix = np.empty((len(body), len(body[0]) if body else 0))
    for number, row in enumerate(body):
        if len(row) != matrix.shape[1]:
            raise UserError(
                f"{where}: row {number + 1} has {len(row)} numbers, the rows before it {matrix.shape[1]}; cut short?"
            )
        try:
            matrix[number] = row
        except ValueError:
            column = next(index for index, field in enumerate(row) if not _is_number(field))
            raise UserError(
                f"{where}: row {number + 1}, column {column + 1} is {row[column]!r}; a number is needed"
            ) from None
    return matrix, labels


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def edges_of_matrix(
    matrix: np.ndarray | scipy.sparse.coo_array,
    labels: tuple[str, ...] | None,
    where: str,
    *,
    transposed: bool,
    signed: bool,
) -> RawEdges:
    """The entries of a square matrix `[source, target]` that aren't 0.

    Args:
        matrix: dense or sparse.
        labels: one per row.
        where: the file's name, for errors.
        transposed: whether it is stored `[target, source]`.
        signed: whether negative entries mean inhibition.

    Raises:
        UserError: it isn't a square matrix of real numbers, or has entries that are not finite, or (unless
            `signed`) negative ones.
    """
    if matrix.dtype.kind not in "biuf":
        raise UserError(f"{where}: holds {matrix.dtype}; a matrix of real numbers is needed")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UserError(f"{where}: has shape {matrix.shape}; a square matrix is needed")
    row: np.ndarray
    column: np.ndarray
    if isinstance(matrix, np.ndarray):
        row, column = np.nonzero(matrix)  # a NaN is not 0
        value = matrix[row, column].astype(np.float64)
    else:
        row, column, value = matrix.row, matrix.col, matrix.data.astype(np.float64)
    check_weights(value, signed, where, lambda at: f"entry [{row[at]}, {column[at]}]")
    source, target = (column, row) if transposed else (row, column)
    return summed(matrix.shape[0], source, target, value, labels)


def first_sentence(error: Exception) -> str:
    """The first sentence of an error's message, in one line."""
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__
