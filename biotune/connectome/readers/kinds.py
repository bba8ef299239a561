"""What a file is, by its first bytes, and what may be done about one that isn't read."""

import io
import struct
import zipfile

COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
}
"""First bytes -> compression."""

REFUSED = {
    b"\x80": "a pickle, which could run code and is never read; save plain numbers, as .npy",
    b"\x89HDF": "an HDF5 file, as MATLAB's version 7.3; in MATLAB save it with -v7, in Python as .npy",
    b"MATLAB 7.3": "a MATLAB file of version 7.3; save it with -v7",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel 97 to 2003 or another old Office file; save its sheet as CSV",
    b"RDX": "R's data; in R, write it with write.csv",
    b"X\n": "R's data; in R, write it with write.csv",
    b"SIMPLE  =": "a FITS file; save the matrix as .npy",
    b"%PDF": "a PDF; the data must be in a file of its own, such as CSV",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull` where it was cloned",
}
"""First bytes -> what the file is, and what to do."""

OLD_MATLAB_PRECISIONS = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}
"""MATLAB 4's number of a type -> bytes of a number."""


def refused(content: bytes) -> str | None:
    """What a file is that isn't read, and what to do; None if it may be read.

    Args:
        content: the file's bytes.
    """
    for start, compression in COMPRESSED.items():
        if content.startswith(start):
            return f"is compressed ({compression}); decompress it first"
    for start, advice in REFUSED.items():
        if content.startswith(start):
            return advice
    if content.startswith(b"PK\x03\x04"):
        return _archive(content)
    text = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, not data; was the download refused, or is it the page around the file?"
    if text.startswith((b'{"', b"{\n", b"{\r", b"{ ", b"[[", b"[{")):
        return "JSON; write its edges as CSV, a row per edge: source,target,weight"
    return None


def _archive(content: bytes) -> str | None:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return "a zip archive that is cut short"
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return "a zip archive that is damaged"
    if "[Content_Types].xml" in names or "content.xml" in names:
        return "a spreadsheet or another Office document; save its sheet as CSV"
    if not any(name.endswith(".npy") for name in names):
        return "is compressed (zip); unzip it first"
    return None


def is_old_matlab(content: bytes) -> bool:
    """Whether it is a MATLAB file of version 4: no text at its head, but five numbers that fit each other.

    Args:
        content: the file's bytes.
    """
    for order in "<>":
        if len(content) < 20:
            return False
        kind, rows, columns, imaginary, name = struct.unpack(f"{order}5i", content[:20])
        machine, precision, matrix = kind // 1000, kind // 10 % 10, kind % 10
        fits = machine == (order == ">") and kind // 100 % 10 == 0
        if not (fits and precision in OLD_MATLAB_PRECISIONS and matrix in (0, 1, 2)):
            continue
        ended = 2 <= name <= 256 and content[19 + name : 20 + name] == b"\0"
        if rows >= 0 and columns >= 0 and imaginary in (0, 1) and ended:
            return True
    return False
