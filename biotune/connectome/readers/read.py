"""Files into edges, each read by what it holds, never by its suffix. Nothing that is read can run code."""

import codecs
import io
import pickle
from collections.abc import Callable

import psutil
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from biotune.connectome.readers.edge_lists import (
    columns_hint,
    edges_of_table,
    find_roles,
    has_roles,
    read_text_table,
)
from biotune.connectome.readers.edges import RawEdges
from biotune.connectome.readers.graphs import graph_kind, read_graph, read_matrix_market
from biotune.connectome.readers.kinds import is_old_matlab, refused
from biotune.connectome.readers.matrices import (
    edges_of_matrix,
    first_sentence,
    read_mat,
    read_npy,
    read_npz,
    read_text_matrix,
)
from biotune.connectome.readers.reading import Reading
from biotune.connectome.readers.text import Text, parse
from biotune.errors import UserError

_MATRIX = ("transposed", "signed", "missing", "subject")
_TEXT = ("encoding", "decimal")
_TABLE = ("columns", "rows", "signed", "transmitters", "missing")

BYTES_PER_ROW = 24
"""Of a table in memory, at least: both ends of an edge, and its weight."""

READ = ".npy, .npz, .mat, text, CSV, TSV, Parquet, Feather, GraphML, GEXF, GML, Pajek and MatrixMarket can be read"


def read_edges(content: bytes, where: str, reading: Reading | None = None) -> RawEdges:
    """The edges of a file, whatever its format: a matrix, an edge list or a graph.

    Args:
        content: the file's bytes.
        where: the file's name, for errors.
        reading: how to read it.

    Raises:
        UserError: it has none of these formats, is damaged or compressed, or what it holds is no connectome.
        MemoryError: it takes more memory than there is.
    """
    reading = reading or Reading()
    advice = refused(content)
    if advice is not None:
        raise UserError(f"{where}: {advice}")
    kind, read = _reader(content, where, reading)
    try:
        edges = read()
    except (UserError, MemoryError):
        raise
    except Exception as error:  # what libraries raise at a damaged file has no end of types
        raise UserError(
            f"{where}: not readable as {kind} ({first_sentence(error)}); is it damaged, or cut short?"
        ) from error
    if len(edges.source) == 0:
        raise UserError(f"{where}: has no edges")
    return edges if reading.keep is None else edges.kept(reading.keep, where)


def _reader(content: bytes, where: str, reading: Reading) -> tuple[str, Callable[[], RawEdges]]:
    """What the file is, and what reads it."""

    def matrix(kind: str, read: Callable, *known: str) -> tuple[str, Callable[[], RawEdges]]:
        reading.fits(kind, (*_MATRIX, *known), where)
        return kind, lambda: edges_of_matrix(read(), None, reading, where)

    if content.startswith(b"\x93NUMPY"):
        return matrix("a .npy file", lambda: read_npy(content, where))
    if content.startswith(b"PK\x03\x04"):
        return matrix("an .npz file", lambda: read_npz(content, where, reading.variable), "variable")
    if content.startswith(b"MATLAB 5.0") or is_old_matlab(content):
        return matrix("a .mat file", lambda: read_mat(content, where, reading.variable), "variable")
    if content.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        reading.fits("an edge list", _TABLE, where)
        return "Parquet" if content.startswith(b"PAR1") else "Feather", lambda: _read_arrow(content, where, reading)
    start = content[:100_000]
    may_hold_zeros = reading.encoding is not None or start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not start.strip() or (b"\0" in start and not may_hold_zeros):
        what = "is empty" if not content.strip() else "its content is of no known kind"
        raise UserError(f"{where}: {what}; {READ}")
    kind = graph_kind(start.decode("utf-8", "replace"))
    if kind == "MatrixMarket":
        return matrix("MatrixMarket", lambda: read_matrix_market(content, where))
    if kind is not None:
        reading.fits(kind, ("columns", "signed", "labels", "encoding"), where)
        return kind, lambda: read_graph(content, kind, where, reading)
    return "text", lambda: _read_text(content, where, reading)


def _read_arrow(content: bytes, where: str, reading: Reading) -> RawEdges:
    """Parquet and Feather: the columns that are needed, and no others."""
    source = pa.BufferReader(content)
    if content.startswith(b"PAR1"):
        declared = pa.parquet.read_metadata(source)
        names = declared.schema.to_arrow_schema().names
        free = psutil.virtual_memory().available
        if declared.num_rows * BYTES_PER_ROW > free:  # compressed, few bytes may be billions of rows
            raise UserError(
                f"{where}: has {declared.num_rows:,} rows, which take at least "
                f"{declared.num_rows * BYTES_PER_ROW / 2**30:,.3g} GiB of memory, and {free / 2**30:,.3g} GiB are free"
            )
    elif content.startswith(b"ARROW1"):
        names = pa.ipc.open_file(source).schema.names
    else:
        names = pa.feather.read_table(source).column_names
    roles = find_roles(names, reading, where)
    needed = list(dict.fromkeys([*roles.needed, *_columns_of_rows(names, reading, where)]))
    read = pa.parquet.read_table if content.startswith(b"PAR1") else pa.feather.read_table
    table = read(pa.BufferReader(content), columns=needed)
    table.validate(full=True)
    return edges_of_table(table, roles, reading, where)


def _columns_of_rows(names: list[str], reading: Reading, where: str) -> list[str]:
    for column in reading.rows:
        if column not in names:
            raise UserError(f"{where}: has no column {column!r} (connectome.rows); it has {', '.join(names)}")
    return list(reading.rows)


def _read_text(content: bytes, where: str, reading: Reading) -> RawEdges:
    """An edge list if its header, or the user, names an edge's ends; otherwise a matrix."""
    text = parse(content, where, reading.encoding)
    first = text.first
    by_name = [column for column in reading.columns.values() if isinstance(column, str)]
    by_number = any(isinstance(column, int) for column in reading.columns.values())
    header = next((names for names in (first, text.above) if names and _is_header(names, by_name)), None)
    if header is None and not (reading.columns or reading.rows):
        reading.fits("a matrix", (*_MATRIX, *_TEXT), where)
        return _read_matrix(text, where, reading)
    reading.fits("an edge list", (*_TABLE, *_TEXT), where)
    if header is None:
        header = [f"column {number}" for number in range(len(first))] if by_number else first
    rows = text.without_first() if header is first else text
    roles = find_roles(header, reading, where)
    _columns_of_rows(header, reading, where)
    if not rows.body:
        raise UserError(f"{where}: has a header and no rows, so no edges")
    table, notes = read_text_table(rows, header, roles, reading, where)
    return edges_of_table(table, roles, reading, where, (*text.notes, *notes))


def _is_header(names: list[str], by_name: list[str]) -> bool:
    lower = {name.lower() for name in names}
    return has_roles(names) or (bool(by_name) and {name.lower() for name in by_name} <= lower)


def _read_matrix(text: Text, where: str, reading: Reading) -> RawEdges:
    rows = list(text.rows())
    width = len(rows[0])
    notes = text.notes
    if text.above is not None and len(text.above) == width and not any(map(reading.is_number, text.above)):
        rows = [text.above, *rows]
        notes = (*notes, "its labels are those of the comment above its first row")
    try:
        matrix, labels, more = read_text_matrix(rows, reading, where)
        return edges_of_matrix(matrix, labels, reading, where, (*notes, *more))
    except UserError as error:
        if any(map(reading.is_number, rows[0])):
            columns = columns_hint(list(range(width)))
        else:
            columns = f"{columns_hint(rows[0])}; its columns are {', '.join(map(repr, rows[0][:12]))}"
        raise UserError(f"{error} (it was read as a matrix; for an edge list, name its columns: {columns})") from None


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
