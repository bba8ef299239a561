"""Text into rows of fields: its encoding, comments, separator and quotes, the same for matrices and edge lists.

Comments are lines that begin with `#`, `%` or `//`, above, between and below the rows. Fields that hold the separator
are in double quotes. Every row must have as many fields as the first, or one more than a header of names (as R writes
it).
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from biotune.errors import UserError

COMMENTS = ("#", "%", "//")
"""What a comment line begins with."""

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars", None: "blanks"}
"""What may stand between fields -> its name. None is any number of blanks and tabs."""

FALLBACK_ENCODING = "cp1252"
"""What text is taken for that is not UTF-8: what Windows writes in western Europe and America."""

_COMMENT_LINE = re.compile(rb"^[ \t]*(?:#|%|//).*$", re.MULTILINE)
_BLANKS = (b"\n", b" ", b"\t")
_BLANK_LINE = re.compile(rb"^[ \t]*\n", re.MULTILINE)
_FIELD = re.compile(r"""(?:(")((?:[^"]|"")*)"(?=\s|$)|(\S+))""")
_SAMPLE = 200
"""Rows that are looked at to find the separator."""


@dataclass(frozen=True)
class Text:
    """A text's rows, without its comments and blank lines.

    Args:
        body: the rows, in UTF-8, each ending with a newline.
        separator: between fields; None is any number of blanks and tabs.
        above: the fields of the comment directly above the first row, without its mark, if there is one.
        notes: what a user has to know about how the text was read.
    """

    body: bytes
    separator: str | None
    above: list[str] | None
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> list[str]:
        """The fields of the first row."""
        return next(self.rows())

    def rows(self) -> Iterator[list[str]]:
        """Every row's fields, without the blanks around them."""
        lines = io.TextIOWrapper(io.BytesIO(self.body), "utf-8", newline="\n")
        return (fields for line in lines if (fields := split(line.rstrip("\n"), self.separator)))

    def without_first(self) -> "Text":
        """The rows below the first."""
        return replace(self, body=self.body.partition(b"\n")[2])

    def delimited(self) -> tuple[bytes, str]:
        """The rows as a library's CSV parser reads them, and their separator: one character, quotes beside it."""
        separator = self.separator or "\t"
        quoted = b'"' in self.body
        if self.separator is None and not quoted:
            body = re.sub(rb"[ \t]+", b"\t", self.body)
            return re.sub(rb"^\t|\t$", b"", body, flags=re.MULTILINE), "\t"
        if quoted and (self.separator is None or re.search(re.escape(separator).encode() + rb'[ \t]+"', self.body)):
            written = io.StringIO(newline="")
            csv.writer(written, delimiter=separator, lineterminator="\n").writerows(self.rows())
            return written.getvalue().encode(), separator
        return self.body, separator


def split(line: str, separator: str | None) -> list[str]:
    """A line's fields, without the blanks around them; none of a blank line."""
    if separator is None:
        if '"' not in line:
            return line.split()
        return [quoted.replace('""', '"').strip() if mark else plain for mark, quoted, plain in _FIELD.findall(line)]
    if not line.strip():
        return []
    if '"' not in line:
        return [field.strip() for field in line.split(separator)]
    return [field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def parse(content: bytes, where: str, encoding: str | None = None) -> Text:
    """A text's rows.

    The separator is the one by which the rows have the same number of fields, more than one; if there are several, the
    first of `SEPARATORS`.

    Args:
        content: the file's bytes.
        where: the file's name, for errors.
        encoding: a name that Python knows; None: UTF-8 or UTF-16 if the bytes are that, otherwise `FALLBACK_ENCODING`.

    Raises:
        UserError: it isn't text in this encoding, or has no rows.
    """
    body, notes = _in_utf8(content, where, encoding)
    body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    above: str | None = None
    # looking for single bytes first is much faster than for lines, and most files have none of them
    if any(mark.encode() in body for mark in COMMENTS) and _COMMENT_LINE.search(body):
        body, above, note = _without_comments(body)
        notes += note
    body = body if body.endswith(b"\n") else body + b"\n"
    if body.startswith(_BLANKS) or any(blank + b"\n" in body for blank in _BLANKS):
        body = _BLANK_LINE.sub(b"", body)
    if not body.strip():
        raise UserError(f"{where}: has comments alone, so no edges" if above is not None else f"{where}: is empty")
    separator = _separator(_first_lines(body))
    return Text(body, separator, None if above is None else split(above, separator), notes)


def _in_utf8(content: bytes, where: str, encoding: str | None) -> tuple[bytes, tuple[str, ...]]:
    guessed = _guess(content) if encoding is None else encoding
    try:
        text = content.decode(guessed)
    except (UnicodeDecodeError, LookupError) as error:
        reason = f"{error.reason} at byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UserError(
            f"{where}: not text in {guessed} ({reason}); name its encoding as connectome.encoding, such as latin-1"
        ) from None
    if guessed == "utf-8-sig":
        return content.removeprefix(codecs.BOM_UTF8), ()
    text = text.removeprefix("\ufeff")
    note = f"it is not UTF-8 and was read as {guessed}; if names look wrong, set connectome.encoding"
    return text.encode(), (note,) if encoding is None and guessed == FALLBACK_ENCODING else ()


def _guess(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return FALLBACK_ENCODING
    return "utf-8-sig"


def _without_comments(body: bytes) -> tuple[bytes, str | None, tuple[str, ...]]:
    """The text without its comments, the one directly above the first row, and a note of those below it."""
    above: bytes | None = None
    first = len(body)
    for line in re.finditer(rb"^.*$", body, re.MULTILINE):
        if _COMMENT_LINE.match(line[0]):
            above = line[0]
        elif line[0].strip():
            first = line.start()
            break
    rows, below = _COMMENT_LINE.subn(b"", body[first:])
    note = f"below its first row, lines that begin with #, % or // were skipped as comments: {below}"
    text = None if above is None else above.decode().strip().lstrip("#%/").strip()
    return rows, text, (note,) if below else ()


def _first_lines(body: bytes) -> list[str]:
    lines = io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="\n")
    return [line.rstrip("\n") for line, _ in zip(lines, range(_SAMPLE), strict=False)]


def _separator(lines: list[str]) -> str | None:
    """The separator by which rows are equally long; a header may be one field shorter, and rows may be wrong."""

    def fields(line: str, separator: str | None) -> int:
        return len(split(line, separator)) if '"' not in line or _is_quoted_well(line, separator) else 0

    def agreement(separator: str | None) -> float:
        if separator is not None and not any(separator in line for line in lines):
            return 0
        lengths = [fields(line, separator) for line in lines]
        usual, rows = Counter(lengths[1:] or lengths).most_common(1)[0]
        if usual < 2:
            return 0
        return (rows + (lengths[0] in (usual, usual - 1))) / (len(lines) + (len(lines) == 1))

    return max(SEPARATORS, key=agreement)


def _is_quoted_well(line: str, separator: str | None) -> bool:
    """Whether quotes stand around whole fields alone, if this is what separates them."""
    mark = r"\s" if separator is None else re.escape(separator)
    unquoted = re.sub(rf'(^|{mark})\s*"(?:[^"]|"")*"\s*(?={mark}|$)', r"\1", line)
    return '"' not in unquoted
