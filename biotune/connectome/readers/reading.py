"""What a user says about how a file of edges is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from biotune.errors import UserError, unknown_name


@dataclass(frozen=True)
class Reading:
    """How a file is read, as far as the file itself doesn't say.

    Args:
        columns: of an edge list, `source`, `target`, `weight` or `transmitter` -> a column's name (or its number from
            0, in a text without a header); weight: None counts each row as 1; transmitter: None gives no signs.
        rows: of an edge list, column -> value or values: only rows with one of these are read.
        transmitters: of an edge list, transmitter -> 1 or -1, added to acetylcholine (1), GABA and glutamate (-1).
        signed: whether negative weights mean inhibition.
        undirected: whether each edge stands in the file once and goes both ways; None: as the file says, and one way
            if it says nothing.
        missing: what an empty or NaN weight is: an "error", or "none", no edge.
        decimal: the decimal point of numbers in text.
        encoding: of text, a name that Python knows; None: UTF-8, UTF-16 or, failing that, Windows-1252.
        transposed: whether a matrix is stored `[target, source]`.
        variable: which matrix of a `.mat` or `.npz` file; the field of a MATLAB struct as `struct.field`.
        subject: of a stack of matrices, which one from 0, their "mean", or the "consensus": the edges that at least
            half of the subjects have, with the mean of their weights.
        labels: of a graph with node attributes, the attribute that names its nodes; None: `name` or `label`, if each
            node has one of its own.
        keep: a regular expression: only the nodes whose whole label it matches are kept, with the edges between them.
    """

    columns: Mapping[str, str | int | None] = field(default_factory=dict)
    rows: Mapping[str, str | int | Sequence[str | int]] = field(default_factory=dict)
    transmitters: Mapping[str, int] = field(default_factory=dict)
    signed: bool = False
    undirected: bool | None = None
    missing: str = "error"
    decimal: str = "."
    encoding: str | None = None
    transposed: bool = False
    variable: str | None = None
    subject: int | str | None = None
    labels: str | None = None
    keep: str | None = None

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ("source", "target", "weight", "transmitter"):
                raise unknown_name("key of connectome.columns", role, ("source", "target", "weight", "transmitter"))
        for transmitter, sign in self.transmitters.items():
            if sign not in (1, -1):
                raise UserError(f"connectome.transmitters.{transmitter}: {sign!r} is neither 1 nor -1")

        for key, value, known in (
            ("missing", self.missing, ("error", "none")),
            ("decimal", self.decimal, (".", ",")),
            ("subject", self.subject, ("mean", "consensus")),
        ):
            if isinstance(value, bool) or (isinstance(value, str) and value not in known):
                number = "a number from 0, " if key == "subject" else ""
                raise UserError(f"connectome.{key}: {value!r} is none of {number}{' and '.join(map(repr, known))}")

    def fits(self, what: str, known: Sequence[str], where: str) -> None:
        """Refuses options that have no meaning for this kind of file."""
        for one in fields(self):
            default = one.default_factory() if callable(one.default_factory) else one.default
            if one.name not in (*known, "keep", "undirected") and getattr(self, one.name) != default:
                raise UserError(f"{where}: connectome.{one.name} means nothing for {what}; leave it out")

    def is_number(self, text: str) -> bool:
        """Whether a field of a text is a number as this file writes them."""
        return number(text, self.decimal) is not None

    def decimal_hint(self, text: str) -> str:
        """What may be done about a field that is no number."""
        if self.decimal == "." and number(text, ",") is not None:
            return "; if the comma is its decimal point, set connectome.decimal to ','"
        return ""


MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None")
"""What stands in a text where there is no weight."""


def number(text: str, decimal: str = ".") -> float | None:
    """The number that a field of a text is, or None."""
    if "_" in text or (decimal != "." and "." in text):  # Python's own 1_000, and points between thousands
        return None
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return None
