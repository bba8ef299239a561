"""Checkpoints: files of tensors and plain values that carry their own digest and cannot run code when loaded.

A checkpoint is what `torch.save` writes, a ZIP archive, with the SHA-256 of the archive as its comment. The digest is
checked before anything else is read, since `torch.load` alone would not notice a changed weight.
"""

import hashlib
import pickle
import struct
from typing import IO, Any

import torch

from biotune.errors import UserError
from biotune.io.files import replacing
from biotune.io.storage import Place

_MARK = b"sha256:"
_COMMENT = len(_MARK) + hashlib.sha256().digest_size * 2
_CHUNK = 2**20


class DamagedCheckpoint(UserError):
    """A checkpoint is not as it was written, or cannot be read."""


def save_checkpoint(file: Place, content: dict[str, Any]) -> None:
    """Writes `content` (tensors, plain values, lists and dicts of them): whole, or not at all if the process is killed.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(file) as temporary:
        with temporary.open("wb") as stream:
            try:
                torch.save(content, stream)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch hides the disk's error behind one of its own
                    raise error.__context__ from None
                raise
        with temporary.open("r+b") as stream:
            stream.seek(-2, 2)
            stream.write(struct.pack("<H", _COMMENT))  # the archive ends with the length of its comment
            size = stream.seek(0, 2)
            comment = _MARK + _digest(stream, size).encode()
            stream.seek(size)
            stream.write(comment)


def load_checkpoint(file: Place) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        DamagedCheckpoint: it is not as it was written, or cannot be read.
        UserError: the file doesn't exist, or holds anything but tensors and plain values.
    """
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2) - _COMMENT
            stream.seek(max(size, 0))
            if size < 0 or stream.read() != _MARK + _digest(stream, size).encode():
                raise DamagedCheckpoint(f"{file}: not a checkpoint as it was written; it is damaged")
            stream.seek(0)
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file}: no such checkpoint") from None
    except OSError as error:
        raise DamagedCheckpoint(f"{file}: not readable ({error.strerror or error})") from None
    except (pickle.UnpicklingError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file}: not a checkpoint ({reason}); is it another program's?") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: not a checkpoint (it holds a {type(content).__name__}); is it another program's?")
    return content


def _digest(stream: IO[bytes], size: int) -> str:
    """SHA-256 of the first `size` bytes."""
    digest = hashlib.sha256()
    stream.seek(0)
    while size and (chunk := stream.read(min(size, _CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
