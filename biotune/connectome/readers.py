"""Files into arrays. Nothing that is read can run code: no pickled arrays, and pickled names by literals alone."""

import io
import pickle

import numpy as np

from biotune.errors import UserError


def read_matrix(content: bytes, where: str) -> np.ndarray:
    """A square weight matrix from the content of a `.npy` file.

    Args:
        content: the file's bytes.
        where: the file's name, for errors.

    Returns:
        float64 `[size, size]`, as stored.

    Raises:
        UserError: it isn't a `.npy` file of numbers (a pickle is refused unread), isn't square, or has entries that are
            negative or not finite.
    """
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{where}: not a .npy file of plain numbers ({_first_sentence(error)})") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise UserError(f"{where}: an .npz archive; a .npy file with one matrix is needed")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{where}: holds {array.dtype}; a matrix of real numbers is needed")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise UserError(f"{where}: has shape {array.shape}; a square matrix is needed")
    matrix = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(matrix) | (matrix < 0))
    if len(bad):
        row, column = bad[0]
        raise UserError(
            f"{where}: entry [{row}, {column}] is {matrix[row, column]}; weights must be finite and not negative"
        )
    return matrix


def read_names(content: bytes, where: str) -> tuple[str, ...]:
    """Region names from a pickled list of strings, read by an unpickler that refuses every global.

    Raises:
        UserError: it isn't a pickle, asks for anything but literals, or isn't a list of strings.
    """
    try:
        names = _LiteralUnpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise UserError(f"{where}: not a pickled list of strings ({_first_sentence(error)})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where}: not a pickled list of strings")
    return tuple(names)


class _LiteralUnpickler(pickle.Unpickler):
    """A pickle can only call what `find_class` hands out; this one hands out nothing."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__
