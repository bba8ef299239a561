"""Edge lists: tables with one row per edge, as CSV, TSV or other text, Parquet and Feather.

Ids are whole numbers of 64 bits or names, never floating-point numbers: FlyWire's ids are above 2^53, and from there on
floating-point numbers leave out some whole numbers. Rows of the same pair are summed, since data sets have one row for
each neuropil or synapse.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from biotune.connectome.readers.edges import RawEdges, both_ways, check_weights, summed, with_directions
from biotune.connectome.readers.reading import MISSING, Reading
from biotune.connectome.readers.text import Text
from biotune.errors import UserError

PAIRS = (
    ("Presynaptic_Index", "Postsynaptic_Index"),
    ("bodyId_pre", "bodyId_post"),
    ("body_pre", "body_post"),
    ("pre_root_id", "post_root_id"),
    ("pre_pt_root_id", "post_pt_root_id"),
    ("pre_id", "post_id"),
    ("presynaptic", "postsynaptic"),
    ("pre", "post"),
    ("source_id", "target_id"),
    ("source", "target"),
    ("from_id", "to_id"),
    ("from", "to"),
    ("src", "dst"),
)
"""Column names that the field uses for an edge's two ends; capitals, blanks and underscores don't count."""

SIGNED_WEIGHTS = ("Excitatory x Connectivity",)
"""Columns of weights that have signs; they are preferred to those without."""

WEIGHTS = ("weight", "syn_count", "synapses", "synapse_count", "strength", "weights")
"""Columns of weights without signs, unless the user says that they have signs."""

TRANSMITTERS = ("nt_type",)
"""Columns that name the neurotransmitter."""

SIGNS = {"ACH": 1, "GABA": -1, "GLUT": -1}
"""Transmitter -> sign, as in the fly's brain, where glutamate mostly inhibits (Liu & Wilson 2013,
https://doi.org/10.1073/pnas.1220560110)."""

UNNAMED = "unknown"
"""The name under which a user gives the sign of rows without a transmitter."""

DIRECTIONS = ("directed", "undirected")
"""What a column `Type` holds that says of each row whether it has a direction, as Gephi writes it."""

_ROW_NAMES = "row names"


@dataclass(frozen=True)
class Roles:
    """Which column has which role: names as in the file."""

    source: str
    target: str
    weight: str | None
    """None: each row counts 1."""
    transmitter: str | None
    signed: bool
    """Whether the weights have signs of their own."""
    direction: str | None = None
    """The column that may say which rows are undirected."""

    @property
    def needed(self) -> list[str]:
        """The columns that have a role."""
        return [n for n in (self.source, self.target, self.weight, self.transmitter, self.direction) if n is not None]


def has_roles(names: Sequence[str]) -> bool:
    """Whether these columns include two that are known for an edge's two ends."""
    plain = {_plain(name) for name in names}
    return any({_plain(source), _plain(target)} <= plain for source, target in PAIRS)


def find_roles(names: Sequence[str], reading: Reading, where: str) -> Roles:
    """Which column has which role, by the names that the field uses, or as `reading.columns` says.

    Args:
        names: of the file's columns.
        reading: how to read the file.
        where: the file's name, for errors.

    Raises:
        UserError: a column is missing or stands there twice, or it is not clear which column is meant.
    """
    columns = reading.columns
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{where}: has the column {twice[0]!r} twice; each needs a name of its own")
    there = f"it has {', '.join(map(repr, names))}"

    def given(role: str) -> str | None:
        column = columns[role]
        if column is None:
            return None
        if isinstance(column, int) and 0 <= column < len(names):
            return names[column]
        found = [name for name in names if name.lower() == str(column).lower()]
        if not found:
            raise UserError(f"{where}: has no column {column!r} (connectome.columns.{role}); {there}")
        return found[0]

    def known(candidates: Sequence[str], role: str) -> str | None:
        found = _matching(candidates, names)
        if len(found) > 1:
            raise UserError(f"{where}: {' or '.join(found)} may be the {role}; say which in connectome.columns.{role}")
        return found[0] if found else None

    if "source" in columns and "target" in columns:
        source, target = given("source"), given("target")
    else:
        pairs = [(a, b) for one in PAIRS for a in _matching(one[:1], names) for b in _matching(one[1:], names)]
        if len(pairs) != 1:
            several = " and ".join(f"{a}/{b}" for a, b in pairs)
            what = f"has both {several}" if pairs else f"has no columns known for an edge's two ends; {there}"
            raise UserError(f"{where}: {what}; name them, such as {columns_hint(names)}")
        source, target = pairs[0]
        source = given("source") if "source" in columns else source
        target = given("target") if "target" in columns else target
    if source is None or target is None or source == target:
        raise UserError(
            f"{where}: connectome.columns: source and target must be two columns, not {source} and {target}"
        )

    transmitter = given("transmitter") if "transmitter" in columns else known(TRANSMITTERS, "transmitter")
    signed = reading.signed
    if "weight" in columns:
        weight = given("weight")
        signed = signed or weight in SIGNED_WEIGHTS
    else:
        weight = known(SIGNED_WEIGHTS, "weight")
        signed = signed or weight is not None
        weight = weight or known([name for name in WEIGHTS if name not in (source, target)], "weight")
        if weight is None:
            raise UserError(
                f"{where}: has no column known for the weight; {there}; name it as connectome.columns.weight, or set "
                "that to null, so that each row counts 1"
            )
    if signed and transmitter is not None:
        raise UserError(
            f"{where}: both the weights ({weight}) and the transmitters ({transmitter}) would give signs; "
            "set connectome.columns.transmitter to null, or connectome.signed to false"
        )
    direction = next(iter(_matching(("type",), names)), None)
    return Roles(source, target, weight, transmitter, signed, direction if reading.undirected is None else None)


def columns_hint(names: Sequence[str | int]) -> str:
    """A `columns` to copy, if the columns stand in the usual order.

    Args:
        names: of the file's columns, or their numbers from 0.
    """
    source, target, *weight = names[:3] if len(names) > 1 else ("...", "...")
    return f"connectome.columns: {{source: {source}, target: {target}, weight: {weight[0] if weight else 'null'}}}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _matching(candidates: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns that have one of these names, apart from capitals, blanks and underscores."""
    plain = {_plain(candidate) for candidate in candidates}
    return [name for name in names if _plain(name) in plain]


def read_text_table(
    text: Text, names: Sequence[str], roles: Roles, reading: Reading, where: str
) -> tuple[pa.Table, tuple[str, ...]]:
    """The columns of an edge list in text, ids and others as strings, weights as float64; and notes.

    Rows that all have one field more than there are names begin with a name of their own, as R writes them: a number,
    or in quotes, and no two the same.

    Args:
        text: the rows, without a header.
        names: the columns' names.
        roles: which column has which role.
        reading: how to read the file.
        where: the file's name, for errors.

    Raises:
        UserError: naming the row (counted from 1, below the header) and what was found there.
    """
    body, separator = text.delimited()
    row_names = len(text.first) == len(names) + 1
    there = [_ROW_NAMES, *names] if row_names else list(names)
    strings = list(dict.fromkeys(name for name in (*roles.needed, *reading.rows) if name != roles.weight))
    types = {name: pa.dictionary(pa.int32(), pa.string()) for name in strings}
    types |= {_ROW_NAMES: pa.string()} if row_names else {}
    types |= {roles.weight: pa.float64()} if roles.weight else {}
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(body),
            read_options=pa.csv.ReadOptions(column_names=there),
            parse_options=pa.csv.ParseOptions(delimiter=separator),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                decimal_point=reading.decimal,
                null_values=list(MISSING),
            ),
        )
    except pa.ArrowInvalid as error:
        raise _first_wrong_row(text, there, roles, reading, where) or UserError(
            f"{where}: not readable as a table ({' '.join(str(error).split())})"
        ) from None
    if not row_names:
        return table, ()
    own = table[_ROW_NAMES].to_pylist()
    if len(set(own)) < len(own) or not (body.startswith(b'"') or all(name and name.isdigit() for name in own)):
        raise UserError(_length(where, 1, len(there), len(names)))
    note = f"its rows have one field more than its header has names: the first, such as {own[0]!r}, names the row"
    return table.drop_columns([_ROW_NAMES]), (note,)


def _first_wrong_row(text: Text, names: Sequence[str], roles: Roles, reading: Reading, where: str) -> UserError | None:
    """What is wrong with the first row that a table can't have."""
    for number, fields in enumerate(text.rows(), start=1):
        if len(fields) != len(names):
            return UserError(_length(where, number, len(fields), len(names)))
        if roles.weight:
            weight = fields[names.index(roles.weight)]
            if weight not in MISSING and not reading.is_number(weight):
                return UserError(
                    f"{where}: row {number}, column {roles.weight}, is {weight!r}; a number is needed"
                    f"{reading.decimal_hint(weight)}"
                )
    return None


def _length(where: str, row: int, fields: int, names: int) -> str:
    return (
        f"{where}: row {row} has {fields} fields, not {names} as its header; is it cut short, or does a name hold the "
        "separator? Names that do must be in double quotes"
    )


def edges_of_table(
    table: pa.Table, roles: Roles, reading: Reading, where: str, notes: tuple[str, ...] = ()
) -> RawEdges:
    """The edges of a table with one row per edge.

    Args:
        table: the columns that have a role, and those of `reading.rows`.
        roles: which column has which role.
        reading: how to read the file.
        where: the file's name, for errors.
        notes: what a user has to know already.

    Raises:
        UserError: naming the row (counted from 1, below the header) and what was found there.
    """
    row = np.arange(len(table))
    for column, wanted in reading.rows.items():
        values = [str(value) for value in ([wanted] if isinstance(wanted, str | int) else wanted)]
        coded = _strings(table[column])
        chosen = np.isin(coded.names, values)[coded.code]
        if not chosen.any():
            there = coded.names[np.unique(coded.code)][:10].tolist()
            raise UserError(f"{where}: no row has {column} {' or '.join(values)}; there are {', '.join(there)}")
        table, row = table.filter(pa.array(chosen)), row[chosen]
    if roles.weight is not None:
        column = table[roles.weight]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise UserError(f"{where}: column {roles.weight} holds {column.type}; a weight must be a number")
        weight = column.cast(pa.float64(), safe=False).to_numpy()
        if reading.missing == "none" and np.isnan(weight).any():
            there_is = ~np.isnan(weight)
            notes = (*notes, f"{np.count_nonzero(~there_is)} rows without a weight are no edges")
            table, row, weight = table.filter(pa.array(there_is)), row[there_is], weight[there_is]
    if len(table) == 0:
        raise UserError(f"{where}: has no rows, so no edges")
    source, target, labels = _ids(table[roles.source], table[roles.target], where, (roles.source, roles.target), row)
    if roles.weight is None:
        weight = np.ones(len(table))
    check_weights(weight, reading, where, lambda at: f"row {row[at] + 1}, column {roles.weight},", roles.signed)
    if roles.transmitter is not None:
        weight = weight * _signs(table[roles.transmitter], reading.transmitters, where, roles.transmitter)
    undirected = _undirected_rows(table, roles.direction)
    if undirected.any():
        how_many = "all" if undirected.all() else str(np.count_nonzero(undirected))
        notes = (*notes, f"column {roles.direction} says of {how_many} rows that they are undirected: taken both ways")
        return summed(len(labels), *both_ways(source, target, weight, undirected, labels, where), labels, notes)
    return with_directions(summed(len(labels), source, target, weight, labels, notes), reading.undirected, where)


def _undirected_rows(table: pa.Table, column: str | None) -> np.ndarray:
    """Which rows have no direction, if a column holds `DIRECTIONS` and nothing else."""
    none = np.zeros(len(table), bool)
    if column is None:
        return none
    coded = _strings(table[column])
    names = np.array([name.lower() for name in coded.names.tolist()])
    found = names[coded.code]
    return found == "undirected" if set(found.tolist()) <= set(DIRECTIONS) else none


@dataclass(frozen=True)
class _Coded:
    """A column as positions in the list of its different values."""

    code: np.ndarray
    names: np.ndarray


def _strings(column: pa.ChunkedArray) -> _Coded:
    """A column of names, stripped of blanks at their ends, or of whole numbers as text."""
    coded = _encode(column)
    values = coded.dictionary
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = values.cast(pa.string())
    values = pc.utf8_trim_whitespace(values)
    code = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    names, place = np.unique(np.array([*values.to_pylist(), ""]), return_inverse=True)
    return _Coded(place[code], names)


def _encode(column: pa.ChunkedArray) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    return column.unify_dictionaries().combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _ids(
    source: pa.ChunkedArray, target: pa.ChunkedArray, where: str, names: tuple[str, str], row: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Both columns as indices from 0 into the sorted ids, and these ids as text."""
    for column, name in ((source, names[0]), (target, names[1])):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{where}: column {name} holds {kind}; an id must be a whole number of 64 bits or a name")
    coded = [_strings(source), _strings(target)]
    for column, name in zip(coded, names, strict=True):
        for place, text in enumerate(column.names.tolist()):
            if text == "" or _is_fraction(text):
                at = np.flatnonzero(column.code == place)
                if len(at):
                    found = f"the id {text!r}" if text else "no id"
                    raise UserError(
                        f"{where}: row {row[at[0]] + 1}, column {name}, has {found}; an id must be a whole number or "
                        "a name (has a spreadsheet rounded it?)"
                    )
    different = np.unique(np.concatenate([column.names[np.unique(column.code)] for column in coded]))
    number = _whole_numbers(different)
    ordered = different if number is None else different[np.argsort(number, kind="stable")]
    place_of = {text: place for place, text in enumerate(ordered.tolist())}
    ends = [np.array([place_of.get(text, -1) for text in column.names])[column.code] for column in coded]
    return ends[0], ends[1], tuple(ordered.tolist())


def _is_fraction(text: str) -> bool:
    """Whether an id is a number, but not written as a whole one."""
    if text.lstrip("+-").isdigit() or not text.lstrip("+-")[:1].isdigit():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole_numbers(names: np.ndarray) -> np.ndarray | None:
    """The ids as int64; None unless all are whole numbers of 64 bits and no number is written in two ways."""
    try:
        numbers = np.array([int(name) for name in names.tolist()], dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    return numbers if len(np.unique(numbers)) == len(names) else None


def _signs(column: pa.ChunkedArray, transmitters: Mapping[str, int], where: str, name: str) -> np.ndarray:
    signs = {key.upper(): sign for key, sign in {**SIGNS, **transmitters}.items()}
    coded = _strings(column)
    used = [text or UNNAMED for text in coded.names[np.unique(coded.code)].tolist()]
    lacking = [text for text in used if text.upper() not in signs]
    if lacking:
        raise UserError(
            f"{where}: column {name} has transmitters whose sign isn't known: {', '.join(lacking)}; give each as "
            f"connectome.transmitters: {{{lacking[0]}: 1 or -1, ...}}, or set connectome.columns.transmitter to null"
        )
    return np.array([signs.get((text or UNNAMED).upper(), 0) for text in coded.names.tolist()])[coded.code]
