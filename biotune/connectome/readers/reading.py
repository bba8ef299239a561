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
        transposed: whether a matrix is stored `[target, source]`.
        variable: which matrix of a `.mat` or `.npz` file.
        keep: a regular expression: only the nodes whose whole label it matches are kept, with the edges between them.
    """

    columns: Mapping[str, str | int | None] = field(default_factory=dict)
    rows: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    transmitters: Mapping[str, int] = field(default_factory=dict)
    signed: bool = False
    transposed: bool = False
    variable: str | None = None
    keep: str | None = None

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ("source", "target", "weight", "transmitter"):
                raise unknown_name("key of connectome.columns", role, ("source", "target", "weight", "transmitter"))
        for transmitter, sign in self.transmitters.items():
            if sign not in (1, -1):
                raise UserError(f"connectome.transmitters.{transmitter}: {sign!r} is neither 1 nor -1")

    def fits(self, what: str, known: Sequence[str], where: str) -> None:
        """Refuses options that have no meaning for this kind of file."""
        for one in fields(self):
            if one.name not in (*known, "keep") and getattr(self, one.name):
                raise UserError(f"{where}: connectome.{one.name} means nothing for {what}; leave it out")
