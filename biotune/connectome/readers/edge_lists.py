"""Edge lists: tables with one row per edge, as CSV, TSV or other text, Parquet and Feather.

Ids are whole numbers of 64 bits or names, never floating-point numbers: FlyWire's ids are above 2^53, and from there on
floating-point numbers leave out some whole numbers. Rows of the same pair are summed, since data sets have one row for
each neuropil or synapse.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from biotune.connectome.readers.edges import RawEdges, check_weights, summed
from biotune.errors import UserError

PAIRS = (
    ("Presynaptic_Index", "Postsynaptic_Index"),
    ("bodyId_pre", "bodyId_post"),
    ("pre_root_id", "post_root_id"),
    ("pre_pt_root_id", "post_pt_root_id"),
    ("pre", "post"),
    ("source", "target"),
)
"""Column names that the field uses for an edge's two ends."""

SIGNED_WEIGHTS = ("Excitatory x Connectivity",)
"""Columns of weights that have signs; they are preferred to those without."""

WEIGHTS = ("weight", "syn_count", "synapses")
"""Columns of weights without signs, unless the user says that they have signs."""

TRANSMITTERS = ("nt_type",)
"""Columns that name the neurotransmitter."""

SIGNS = {"ACH": 1, "GABA": -1, "GLUT": -1}
"""Transmitter -> sign, as in the fly's brain, where glutamate mostly inhibits (Liu & Wilson 2013,
https://doi.org/10.1073/pnas.1220560110)."""

UNNAMED = "unknown"
"""The name under which a user gives the sign of rows without a transmitter."""


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


def has_roles(names: Sequence[str]) -> bool:
    """Whether these columns include two that are known for an edge's two ends."""
    lower = {name.lower() for name in names}
    return any({source.lower(), target.lower()} <= lower for source, target in PAIRS)


def find_roles(names: Sequence[str], columns: Mapping[str, str | int | None], signed: bool, where: str) -> Roles:
    """Which column has which role, by the names that the field uses, or as the user says.

    Args:
        names: of the file's columns.
        columns: `source`, `target`, `weight` or `transmitter` -> a column's name, or its number from 0. `weight` may be
            None: each row counts 1; `transmitter` may be None: there are no signs.
        signed: whether negative weights mean inhibition.
        where: the file's name, for errors.

    Raises:
        UserError: a column is missing or occurs twice, or it isn't clear which column has a role.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{where}: has the column {twice[0]!r} twice; each needs a name of its own")
    lower = {name.lower(): name for name in names}
    there = f"it has {', '.join(map(repr, names))}"

    def given(role: str) -> str | None:
        column = columns[role]
        if column is None:
            return None
        if isinstance(column, int) and 0 <= column < len(names):
            return names[column]
        if str(column).lower() not in lower:
            raise UserError(f"{where}: has no column {column!r} (connectome.columns.{role}); {there}")
        return lower[str(column).lower()]

    def known(candidates: Sequence[str], role: str) -> str | None:
        found = [lower[name.lower()] for name in candidates if name.lower() in lower]
        if len(found) > 1:
            raise UserError(f"{where}: {' or '.join(found)} may be the {role}; say which in connectome.columns.{role}")
        return found[0] if found else None

    if "source" in columns and "target" in columns:
        source, target = given("source"), given("target")
    else:
        pairs = [pair for pair in PAIRS if {end.lower() for end in pair} <= set(lower)]
        if len(pairs) != 1:
            several = " and ".join(f"{a}/{b}" for a, b in pairs)
            what = f"has both {several}" if pairs else f"has no columns known for an edge's two ends; {there}"
            raise UserError(f"{where}: {what}; name them as connectome.columns: {{source: ..., target: ...}}")
        source, target = (lower[end.lower()] for end in pairs[0])
        source = given("source") if "source" in columns else source
        target = given("target") if "target" in columns else target
    if source is None or target is None or source == target:
        raise UserError(
            f"{where}: connectome.columns: source and target must be two columns, not {source} and {target}"
        )

    transmitter = given("transmitter") if "transmitter" in columns else known(TRANSMITTERS, "transmitter")
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
    return Roles(source, target, weight, transmitter, signed)


def read_text_table(
    content: bytes, names: Sequence[str] | None, skip: int, separator: str | None, roles: Roles, more: Sequence[str]
) -> pa.Table:
    """The columns of an edge list in text: ids and others as strings, weights as float64.

    Args:
        content: the file's bytes.
        names: the columns' names.
        skip: lines before the table, its header included.
        separator: one character, or None for white space.
        roles: which column has which role.
        more: further columns to read.

    Raises:
        ValueError: a row has another length, or a weight is no number.
    """
    text = list(dict.fromkeys(name for name in (roles.source, roles.target, roles.transmitter, *more) if name))
    wanted = [*text, *([roles.weight] if roles.weight else [])]
    if separator is None:
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=r"\s+",
            skiprows=skip,
            names=list(names or ()),
            header=None,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            usecols=wanted,
        )
        if roles.weight:
            frame[roles.weight] = pd.to_numeric(frame[roles.weight])
        return pa.Table.from_pandas(frame, preserve_index=False)
    types = {name: pa.dictionary(pa.int32(), pa.string()) for name in text}
    return pa.csv.read_csv(
        pa.BufferReader(content),
        read_options=pa.csv.ReadOptions(skip_rows=skip, column_names=list(names or ())),
        parse_options=pa.csv.ParseOptions(delimiter=separator),
        convert_options=pa.csv.ConvertOptions(
            include_columns=wanted, column_types=types | ({roles.weight: pa.float64()} if roles.weight else {})
        ),
    )


def edges_of_table(
    table: pa.Table,
    roles: Roles,
    where: str,
    *,
    keep: Mapping[str, Sequence[str]],
    transmitters: Mapping[str, int],
) -> RawEdges:
    """The edges of a table with one row per edge.

    Args:
        table: the columns of `roles` and `keep`.
        roles: which column has which role.
        where: the file's name, for errors.
        keep: column -> values: only rows that have one of them are read.
        transmitters: transmitter -> 1 or -1, added to `SIGNS`.

    Raises:
        UserError: naming the row (counted from 1, below the header) and what was found there.
    """
    row = np.arange(len(table))
    for column, values in keep.items():
        coded = _strings(table[column])
        chosen = np.isin(coded.names, list(values))[coded.code]
        if not chosen.any():
            there = coded.names[np.unique(coded.code)][:10].tolist()
            raise UserError(f"{where}: no row has {column} {' or '.join(values)}; there are {', '.join(there)}")
        table, row = table.filter(pa.array(chosen)), row[chosen]
    if len(table) == 0:
        raise UserError(f"{where}: has no rows, so no edges")
    source, target, labels = _ids(table[roles.source], table[roles.target], where, (roles.source, roles.target), row)
    if roles.weight is None:
        weight = np.ones(len(table))
    else:
        column = table[roles.weight]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise UserError(f"{where}: column {roles.weight} holds {column.type}; a weight must be a number")
        weight = column.cast(pa.float64(), safe=False).to_numpy()
    check_weights(weight, roles.signed, where, lambda at: f"row {row[at] + 1}, column {roles.weight},")
    if roles.transmitter is not None:
        weight = weight * _signs(table[roles.transmitter], transmitters, where, roles.transmitter)
    return summed(len(labels), source, target, weight, labels)


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
