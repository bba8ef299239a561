"""Reads files into edges. The format is found from a file's content, not from its suffix. No file can run code."""

import csv
import io
import pickle
import xml.etree.ElementTree
import zipfile
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import scipy.sparse

from biotune.connectome.readers.edge_lists import PAIRS, edges_of_table, find_roles, has_roles, read_text_table
from biotune.connectome.readers.edges import RawEdges, check_weights, summed
from biotune.connectome.readers.matrices import (
    edges_of_matrix,
    first_sentence,
    read_mat,
    read_npy,
    read_npz,
    read_text_matrix,
)
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}
"""First bytes -> compression."""

_MATRIX = ("transposed", "signed")
_TABLE = ("columns", "rows", "signed", "transmitters")


def read_edges(content: bytes, where: str, reading: Reading | None = None) -> RawEdges:
    """The edges of a file: a matrix as `.npy`, `.npz`, `.mat` or text, an edge list, or GraphML.

    Args:
        content: the file's bytes.
        where: its name, for errors.
        reading: how to read it.

    Raises:
        UserError: it is none of these, is damaged or compressed, or doesn't hold a connectome.
    """
    reading = reading or Reading()
    edges = _read(content, where, reading)
    if len(edges.source) == 0:
        raise UserError(f"{where}: has no edges")
    return edges if reading.keep is None else edges.kept(reading.keep, where)


def _read(content: bytes, where: str, reading: Reading) -> RawEdges:
    for magic, compression in COMPRESSED.items():
        if content.startswith(magic):
            raise UserError(f"{where}: is compressed ({compression}); decompress it first")
    if content.startswith(b"\x93NUMPY"):
        reading.fits("a .npy file", _MATRIX, where)
        return _of_matrix(read_npy(content, where), None, where, reading)
    if content.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise UserError(f"{where}: a zip archive that is cut short")
        if not any(name.endswith(".npy") for name in zipfile.ZipFile(io.BytesIO(content)).namelist()):
            raise UserError(f"{where}: is compressed (zip); unzip it first")
        reading.fits("an .npz file", (*_MATRIX, "variable"), where)
        return _of_matrix(read_npz(content, where, reading.variable), None, where, reading)
    if content.startswith(b"MATLAB 5.0"):
        reading.fits("a .mat file", (*_MATRIX, "variable"), where)
        return _of_matrix(read_mat(content, where, reading.variable), None, where, reading)
    if content.startswith((b"\x89HDF", b"MATLAB 7.3")):
        raise UserError(f"{where}: an HDF5 file, as MATLAB's version 7.3; save it with -v7")
    if content.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        return _read_arrow(content, where, reading)
    if content.startswith(b"\x80"):
        raise UserError(f"{where}: a pickle, which could run code, so it isn't read; save plain numbers, as .npy")
    try:
        start = content[:100_000].decode("utf-8-sig", "ignore" if len(content) > 100_000 else "strict")
    except UnicodeDecodeError:
        start = "\0"
    if "\0" in start or not start.strip():
        what = "is empty" if not content.strip() else "its content is of no known kind"
        raise UserError(f"{where}: {what}; .npy, .npz, .mat, text, CSV, TSV, Parquet, Feather and GraphML can be read")
    if start.lstrip().startswith("<"):
        return _read_graphml(content, where, reading)
    return _read_text(content, start, where, reading)


def _of_matrix(
    matrix: np.ndarray | scipy.sparse.coo_array, labels: tuple[str, ...] | None, where: str, reading: Reading
) -> RawEdges:
    return edges_of_matrix(matrix, labels, where, transposed=reading.transposed, signed=reading.signed)


def _read_arrow(content: bytes, where: str, reading: Reading) -> RawEdges:
    """Parquet and Feather: the columns that are needed, and no others."""
    reading.fits("an edge list", _TABLE, where)
    source = pa.BufferReader(content)
    try:
        if content.startswith(b"PAR1"):
            names = pa.parquet.read_schema(source).names
        elif content.startswith(b"ARROW1"):
            names = pa.ipc.open_file(source).schema.names
        else:
            names = pa.feather.read_table(source).column_names
        roles = find_roles(names, reading.columns, reading.signed, where)
        needed = _columns_to_read((roles.source, roles.target, roles.weight, roles.transmitter), names, reading, where)
        read = pa.parquet.read_table if content.startswith(b"PAR1") else pa.feather.read_table
        table = read(pa.BufferReader(content), columns=needed)
    except (pa.ArrowException, OSError) as error:
        kind = "Parquet" if content.startswith(b"PAR1") else "Feather"
        raise UserError(f"{where}: not readable as {kind}, cut short? ({first_sentence(error)})") from None
    return edges_of_table(table, roles, where, keep=_rows(reading), transmitters=reading.transmitters)


def _columns_to_read(of_edges: Sequence[str | None], names: Sequence[str], reading: Reading, where: str) -> list[str]:
    for column in reading.rows:
        if column not in names:
            raise UserError(f"{where}: has no column {column!r} (connectome.rows); it has {', '.join(names)}")
    return list(dict.fromkeys(name for name in (*of_edges, *reading.rows) if name is not None))


def _rows(reading: Reading) -> dict[str, list[str]]:
    """Column -> the values that are read, as text."""
    return {
        column: [str(values)] if isinstance(values, str | int) else [str(value) for value in values]
        for column, values in reading.rows.items()
    }


def _read_text(content: bytes, start: str, where: str, reading: Reading) -> RawEdges:
    """An edge list if its first line, or the user, names the columns of an edge's two ends; otherwise a matrix."""
    lines = start.splitlines()
    skip = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if skip is None:
        raise UserError(f"{where}: has comments alone, so no edges")
    separator = next((mark for mark in "\t,;" if mark in lines[skip]), None)
    names = _fields(lines[skip], separator)
    by_number = any(isinstance(column, int) for column in reading.columns.values())
    if not (reading.columns or reading.rows or has_roles(names)):
        reading.fits("a matrix", _MATRIX, where)
        return _read_matrix(content, separator, where, reading)
    reading.fits("an edge list", _TABLE, where)
    if by_number:
        names = [f"column {place}" for place in range(len(names))]
    roles = find_roles(names, reading.columns, reading.signed, where)
    _columns_to_read((), names, reading, where)
    try:
        table = read_text_table(content, names, skip + (not by_number), separator, roles, list(reading.rows))
    except (ValueError, OSError) as error:  # pyarrow's and pandas' errors are ValueErrors
        raise UserError(f"{where}: {first_sentence(error)} (is it cut short, or is a weight no number?)") from None
    return edges_of_table(table, roles, where, keep=_rows(reading), transmitters=reading.transmitters)


def _read_matrix(content: bytes, separator: str | None, where: str, reading: Reading) -> RawEdges:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not text in UTF-8 ({error.reason} at byte {error.start})") from None
    lines = [_fields(line, separator) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        matrix, labels = read_text_matrix(lines, where)
    except UserError as error:
        known = ", ".join(f"{source}/{target}" for source, target in PAIRS)
        raise UserError(
            f"{error} (read as a matrix: an edge list has columns {known}, or those that connectome.columns names)"
        ) from None
    return _of_matrix(matrix, labels, where, reading)


def _fields(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return [field.strip() for field in next(csv.reader([line], delimiter=separator))]


def _read_graphml(content: bytes, where: str, reading: Reading) -> RawEdges:
    """GraphML; an edge without direction goes both ways."""
    import networkx as nx  # takes a while, and nothing else here needs it

    reading.fits("GraphML", ("columns", "signed"), where)
    try:
        graph = nx.read_graphml(io.BytesIO(content), node_type=str)
    except (xml.etree.ElementTree.ParseError, nx.NetworkXError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not readable as GraphML ({first_sentence(error)})") from None
    key = reading.columns.get("weight", "weight")
    labels = tuple(graph.nodes)
    place = {label: index for index, label in enumerate(labels)}
    ends, weights = [], []
    for source, target, data in graph.edges(data=True):
        if key is not None and key not in data:
            raise UserError(
                f"{where}: edge {source} -> {target} has no {key}; it has {', '.join(data) or 'nothing'}; name it as "
                "connectome.columns.weight, or set that to null, so that each edge counts 1"
            )
        weight = 1.0 if key is None else data[key]
        if not isinstance(weight, int | float):
            raise UserError(f"{where}: edge {source} -> {target} has the {key} {weight!r}; a number is needed")
        ends.append((place[source], place[target]))
        weights.append(float(weight))
        if not graph.is_directed() and source != target:
            ends.append((place[target], place[source]))
            weights.append(float(weight))
    notes = () if graph.is_directed() else ("its edges have no direction: each was taken both ways",)
    pairs, weight = np.array(ends, np.int64).reshape(-1, 2), np.array(weights)
    check_weights(weight, reading.signed, where, lambda at: f"edge {' -> '.join(labels[end] for end in pairs[at])}")
    return summed(len(labels), pairs[:, 0], pairs[:, 1], weight, labels, notes)


def read_names(content: bytes, where: str) -> tuple[str, ...]:
    """Region names from a pickled list of strings, read by an unpickler that refuses every global.

    Raises:
        UserError: it isn't a pickle, asks for anything but literals, or isn't a list of strings.
    """
    try:
        names = _LiteralUnpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise UserError(f"{where}: not a pickled list of strings ({first_sentence(error)})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where}: not a pickled list of strings")
    return tuple(names)


class _LiteralUnpickler(pickle.Unpickler):
    """A pickle can only call what `find_class` returns; this one always refuses."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_cell_types(content: bytes, where: str) -> tuple[str, ...]:
    """Labels of cells from a text with the type of one cell per line: the type and a running number, `K1`, `K2`, ...

    Raises:
        UserError: it isn't text.
    """
    try:
        types = content.decode().split()
    except UnicodeDecodeError:
        raise UserError(f"{where}: not a text with the type of one cell per line") from None
    return tuple(f"{kind}{types[: place + 1].count(kind)}" for place, kind in enumerate(types))
