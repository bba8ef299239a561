"""Checkpoints: tensors and plain values in a file that cannot run code when loaded."""

import pickle
from typing import Any

import torch

from biotune.errors import UserError
from biotune.files import replacing
from biotune.storage import Place


def save_checkpoint(file: Place, content: dict[str, Any]) -> None:
    """Writes `content` (tensors, plain values, lists and dicts of them); a kill leaves the old file or the new.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(file) as temporary, temporary.open("wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch stumbles over its own half file after the disk's error
                raise error.__context__ from None
            raise


def load_checkpoint(file: Place) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        UserError: the file is damaged, or holds anything but tensors and plain values.
    """
    try:
        with file.open("rb") as stream:
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file}: not a checkpoint ({reason}); remove it to train from the start") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: not a checkpoint (it holds a {type(content).__name__}); remove it")
    return content
