"""Weight matrices from files: `.npy` and `.npz`, MATLAB's `.mat`, and text. Nothing that is read can run code."""

import io
import math
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse

from biotune.connectome.readers.edges import RawEdges, check_weights, summed, with_directions
from biotune.connectome.readers.reading import MISSING, Reading, number
from biotune.errors import UserError

Matrix = np.ndarray | scipy.sparse.coo_array

MOST_BYTES = 16 * 2**30
"""Of one array: more is refused before memory is taken for it."""

MOST_NODES = 10_000_000
"""Of a sparse matrix: every node becomes a neuron at least."""


def read_npy(content: bytes, where: str) -> np.ndarray:
    """The array of a `.npy` file.

    Raises:
        UserError: it is cut short, larger than `MOST_BYTES`, or holds anything but plain numbers (a pickle is refused
            unread).
    """
    return _array(io.BytesIO(content), len(content), where)


def read_npz(content: bytes, where: str, variable: str | None) -> Matrix:
    """The matrix of a SciPy sparse `.npz`, or one array of a NumPy `.npz`.

    Raises:
        UserError: it is damaged, larger than `MOST_BYTES`, holds anything but plain numbers, or has several arrays and
            `variable` names none.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = {one.filename.removesuffix(".npy"): one.file_size for one in archive.infolist()}

        def array(name: str) -> np.ndarray:
            with archive.open(f"{name}.npy") as member:
                return _array(member, sizes[name], where)

        if {"format", "shape", "data"} <= set(sizes):
            return _sparse(str(array("format").astype(str)), array, sizes, where)
        return array(_choose(list(sizes), variable, where))


def _array(stream: Any, size: int, where: str) -> np.ndarray:
    """An array, after a look at how large its head says that it is.

    Args:
        stream: of the file's bytes. size: how many there are.
    """
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise UserError(f"{where}: holds Python objects, which could run code; save plain numbers")
    needed = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or needed > size:
        raise UserError(f"{where}: its head says {shape} of {dtype}, and less than that is there; is it cut short?")
    if needed > MOST_BYTES:
        raise UserError(f"{where}: takes {_gib(needed)}; at most {_gib(MOST_BYTES)} are read")
    data = stream.read(needed)
    if len(data) < needed:
        raise UserError(f"{where}: its head says {shape} of {dtype}, and less than that is there; is it cut short?")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


def _sparse(kind: str, array: Any, names: Iterable[str], where: str) -> scipy.sparse.coo_array:
    """SciPy's sparse formats from their arrays, each index looked at: its own code reads beyond arrays that lie."""
    shape = tuple(int(length) for length in array("shape").ravel())
    data = array("data")
    if kind == "coo":
        row, column = (array("row"), array("col")) if "row" in names else array("coords")
    elif kind in ("csr", "csc"):
        row, column = _compressed(array("indptr"), array("indices"), shape[kind == "csc"], where)
        row, column = (row, column) if kind == "csr" else (column, row)
    else:
        raise UserError(f"{where}: a sparse matrix of the format {kind}; save it as csr, csc or coo")
    return _checked(data, row, column, shape, where)


def _compressed(start: np.ndarray, inner: np.ndarray, length: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    whole = start.dtype.kind in "iu" and inner.dtype.kind in "iu" and start.ndim == inner.ndim == 1
    if not (whole and len(start) == length + 1 and start[0] == 0 and start[-1] <= len(inner)):
        raise UserError(f"{where}: a sparse matrix whose indptr doesn't fit its shape; it is damaged")
    counts = np.diff(start.astype(np.int64)).astype(np.int64)
    if (counts < 0).any():
        raise UserError(f"{where}: a sparse matrix whose indptr falls; it is damaged")
    return np.repeat(np.arange(length), counts), inner[: start[-1]]


def _checked(
    data: np.ndarray, row: np.ndarray, column: np.ndarray, shape: tuple[int, ...], where: str
) -> scipy.sparse.coo_array:
    if len(shape) != 2 or max(shape) > MOST_NODES:
        raise UserError(f"{where}: a sparse matrix of the shape {shape}; at most {MOST_NODES:,} nodes are read")
    entries = row.shape == column.shape and row.ndim == 1 and data.ndim == 1 and len(data) >= len(row)
    if not (entries and row.dtype.kind in "iu" and column.dtype.kind in "iu"):
        raise UserError(f"{where}: a sparse matrix with {data.shape} values at {row.shape} places; it is damaged")
    for name, index, length in (("row", row, shape[0]), ("column", column, shape[1])):
        if len(index) and not (index.min() >= 0 and index.max() < length):
            raise UserError(f"{where}: a sparse matrix with a {name} index outside its shape {shape}; it is damaged")
    ends = (row.astype(np.int64), column.astype(np.int64))
    return scipy.sparse.coo_array((data[: len(row)], ends), shape=shape)


def read_mat(content: bytes, where: str, variable: str | None) -> Matrix:
    """A matrix of a MATLAB file, versions 4 to 7.2; the field of a struct as `struct.field`.

    Raises:
        UserError: it is damaged, or has several matrices and `variable` names none.
    """
    outer, _, inner = (variable or "").partition(".")
    file: Any = io.BytesIO(content)  # SciPy also reads open files, though its type hints don't say so
    there = scipy.io.whosmat(file)
    for name, shape, _ in there:
        if math.prod(shape) * 8 > MOST_BYTES:
            raise UserError(f"{where}: {name} takes {_gib(math.prod(shape) * 8)}; at most {_gib(MOST_BYTES)} are read")
    structs = [name for name, _, kind in there if kind == "struct"]
    if inner and outer in structs:
        struct = scipy.io.loadmat(file, variable_names=[outer])[outer]
        fields = struct.dtype.names or ()
        if inner not in fields or struct.size != 1:
            raise UserError(f"{where}: {outer} has no field {inner!r}; it has {', '.join(fields)}")
        found = struct.ravel()[0][inner]
    else:
        names = [name for name, shape, kind in there if kind != "struct" and _may_be_matrix(shape)]
        if not names and variable is None and structs:
            fields = scipy.io.loadmat(file, variable_names=structs[:1])[structs[0]].dtype.names or ()
            raise UserError(
                f"{where}: holds the struct {structs[0]} with {', '.join(fields) or 'no fields'}; name the field that "
                f"is the matrix, such as connectome.variable: {structs[0]}.{(*fields, '...')[0]}"
            )
        chosen = _choose(names, variable, where)
        found = scipy.io.loadmat(file, variable_names=[chosen])[chosen]
    if isinstance(found, scipy.sparse.csc_matrix | scipy.sparse.csc_array):
        # MATLAB stores columns; their indices are looked at before SciPy's own code uses them
        column, row = _compressed(found.indptr, found.indices, found.shape[1], where)
        return _checked(found.data, row, column, found.shape, where)
    return np.asarray(found)


def _may_be_matrix(shape: Sequence[int]) -> bool:
    return len(shape) in (2, 3) and min(shape[:2]) > 1


def _choose(names: Sequence[str], variable: str | None, where: str) -> str:
    if variable is not None and variable not in names:
        raise UserError(f"{where}: has no matrix {variable!r}; it has {', '.join(names) or 'none'}")
    if variable is None and len(names) != 1:
        raise UserError(
            f"{where}: has {len(names)} matrices ({', '.join(names) or 'none'}); name one as connectome.variable"
        )
    return variable if variable is not None else names[0]


def read_text_matrix(
    rows: Sequence[Sequence[str]], reading: Reading, where: str
) -> tuple[np.ndarray, tuple[str, ...] | None, tuple[str, ...]]:
    """A matrix written as text, with or without labels.

    The first row holds the columns' labels if it is one field shorter than the others, if any field of it but the first
    is a name, or if its fields are those that the rows begin with. The rows have labels if any of them begins with a
    name, or if the first row is one field shorter or has an empty corner.

    Args:
        rows: the fields of each row.
        reading: how to read the file.
        where: the file's name, for errors.

    Returns:
        float64 `[rows, columns]`, the labels, and notes.

    Raises:
        UserError: a row has another length, a field is no number, or the labels of rows and columns differ.
    """

    def is_name(field: str) -> bool:
        return field not in MISSING and number(field) is None and number(field, ",") is None

    if all(row[-1] == "" for row in rows) and len(rows[0]) > len(rows):
        rows = [row[:-1] for row in rows]  # each row ends with a separator
    first, below = list(rows[0]), [list(row) for row in rows[1:]]
    side = [row[0] for row in below]
    repeated = bool(below) and first[1:] == side
    short = bool(below) and len(first) == len(below[0]) - 1
    head = short or any(map(is_name, first[1:])) or (repeated and not reading.is_number(first[0]))
    body = below if head else [first, *below]
    numbered = side in ([str(place + start) for place in range(len(side))] for start in (0, 1))
    corner = head and (short or first[0] == "" or repeated or _squared(first, side))
    labelled = bool(body) and (corner or any(is_name(row[0]) for row in body))
    labels: tuple[str, ...] | None = tuple(row[0] for row in body) if labelled else None
    notes: tuple[str, ...] = ()
    if labelled:
        body = [row[1:] for row in body]
    if head:
        columns = tuple(first if short or not labelled else first[1:])
        if labels is not None and columns != labels:
            if not numbered:
                raise UserError(f"{where}: the labels of its columns are not those of its rows, in the same order")
            notes = ("its rows are numbered: the labels are those of its columns",)
        labels = columns
    return _numbers(body, reading, where), labels, notes


def _squared(first: Sequence[str], side: Sequence[str]) -> bool:
    """Whether rows that are numbered make a square matrix if the numbers are none of it."""
    return len(first) == len(side) + 1 and all(field.isdigit() for field in side)


def _numbers(body: Sequence[Sequence[str]], reading: Reading, where: str) -> np.ndarray:
    """float64 `[rows, columns]`; what is missing is NaN, or 0 if the user says that it is no edge."""
    matrix = np.empty((len(body), len(body[0]) if body else 0))
    for place, row in enumerate(body):
        if len(row) != matrix.shape[1]:
            raise UserError(
                f"{where}: row {place + 1} has {len(row)} numbers, the rows before it {matrix.shape[1]}; cut short?"
            )
        try:
            if reading.decimal == "." and "_" not in "".join(row):
                matrix[place] = row  # much faster, and right for nearly all rows
                if not np.isnan(matrix[place]).any():
                    continue
        except ValueError:
            pass  # which field it is, or what it means, is found below
        for column, field in enumerate(row):
            value = number(field, reading.decimal)
            if value is None and field not in MISSING:
                raise UserError(
                    f"{where}: row {place + 1}, column {column + 1} is {field!r}; a number is needed"
                    f"{reading.decimal_hint(field)}"
                )
            if (value is None or math.isnan(value)) and reading.missing == "error":
                raise UserError(
                    f"{where}: row {place + 1}, column {column + 1} is {field!r}; a number is needed; if that means "
                    "that there is no edge, set connectome.missing to none"
                )
            matrix[place, column] = 0.0 if value is None or math.isnan(value) else value
    return matrix


def edges_of_matrix(
    matrix: Matrix, labels: tuple[str, ...] | None, reading: Reading, where: str, notes: tuple[str, ...] = ()
) -> RawEdges:
    """The entries of a square matrix `[source, target]` that aren't 0, or of one of a stack.

    Args:
        matrix: dense or sparse.
        labels: one per row.
        reading: how to read the file.
        where: the file's name, for errors.
        notes: what a user has to know already.

    Raises:
        UserError: it isn't a square matrix of real numbers, or has entries that are not finite, or (unless
            `reading.signed`) negative ones.
    """
    if matrix.dtype.kind not in "biuf":
        raise UserError(f"{where}: holds {matrix.dtype}; a matrix of real numbers is needed")
    if isinstance(matrix, np.ndarray):
        if reading.missing == "none" and matrix.dtype.kind == "f" and np.isnan(matrix).any():
            notes = (*notes, f"{np.count_nonzero(np.isnan(matrix))} entries are NaN and are no edges")
            matrix = np.where(np.isnan(matrix), 0, matrix)
        if matrix.ndim == 3:
            matrix, note = _of_stack(matrix, reading.subject, where)
            notes = (*notes, note)
        elif reading.subject is not None:
            raise UserError(f"{where}: connectome.subject means nothing for one matrix; leave it out")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UserError(f"{where}: has shape {matrix.shape}; a square matrix is needed")
    row: np.ndarray
    column: np.ndarray
    if isinstance(matrix, np.ndarray):
        row, column = np.nonzero(matrix)  # a NaN is not 0
        value = matrix[row, column].astype(np.float64)
    else:
        row, column, value = matrix.row, matrix.col, matrix.data.astype(np.float64)
        if reading.missing == "none":
            value = np.where(np.isnan(value), 0, value)
    check_weights(value, reading, where, lambda at: f"entry [{row[at]}, {column[at]}]")
    source, target = (column, row) if reading.transposed else (row, column)
    return with_directions(summed(matrix.shape[0], source, target, value, labels, notes), reading.undirected, where)


def _of_stack(stack: np.ndarray, subject: int | str | None, where: str) -> tuple[np.ndarray, str]:
    """One matrix of a stack; the subjects are along the axis that differs from the other two, or the last."""
    shape = stack.shape
    axis = next((a for a in (2, 0, 1) if shape[(a + 1) % 3] == shape[(a + 2) % 3]), None)
    if axis is None:
        raise UserError(f"{where}: has shape {shape}; a square matrix is needed, or a stack of them")
    subjects = np.moveaxis(stack, axis, 0).astype(np.float64)
    if subject is None:
        raise UserError(
            f"{where}: has shape {shape}, a stack of {len(subjects)} matrices; take one as connectome.subject: 0 (to "
            f"{len(subjects) - 1}), or mean, or consensus"
        )
    if isinstance(subject, int):
        if not 0 <= subject < len(subjects):
            raise UserError(f"{where}: connectome.subject: {subject} is none of 0 to {len(subjects) - 1}")
        return subjects[subject], f"the matrix of subject {subject} of {len(subjects)}"
    if subject == "mean":
        return subjects.mean(axis=0), f"the mean of the matrices of {len(subjects)} subjects"
    have = (subjects != 0).sum(axis=0)
    mean = np.divide(subjects.sum(axis=0), have, out=np.zeros(have.shape), where=have > 0)
    note = f"the edges that at least half of {len(subjects)} subjects have, with the mean of their weights"
    return np.where(2 * have >= len(subjects), mean, 0), note


def first_sentence(error: BaseException) -> str:
    """The first sentence of an error's message, in one line."""
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__
