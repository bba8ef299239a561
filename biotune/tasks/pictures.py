"""Pictures of handwritten digits. Each set has two parts: one for the trials, one to train an encoder on."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from biotune.errors import UserError
from biotune.io.published import DataFile, obtain

Part = Literal["trials", "encoder"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures and their classes.

    Args:
        pixels: float32 `[count, side, side]`, from 0 to 1.
        classes: int64 `[count]`.
    """

    pixels: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class PictureSet:
    """A published set of pictures.

    Args:
        side: pixels along an edge.
        description: one line: what it is, and its source.
        read: reads one part of it.
    """

    side: int
    description: str
    read: Callable[[Part], Pictures]


def _read_digits(part: Part) -> Pictures:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for_encoder = np.arange(len(digits.target)) % 3 == 0  # the file is sorted by writer, so both parts have all writers
    chosen = for_encoder if part == "encoder" else ~for_encoder
    return Pictures((digits.images[chosen] / 16).astype(np.float32), digits.target[chosen].astype(np.int64))


_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist"


def _mnist_file(name: str, sha256: str) -> DataFile:
    return DataFile(f"mnist/{name}", sha256, f"{_MNIST}/{name}")


MNIST: dict[Part, tuple[DataFile, DataFile]] = {
    "encoder": (
        _mnist_file("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        _mnist_file("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ),
    "trials": (
        _mnist_file("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        _mnist_file("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
}
"""Part -> its files, pictures and labels: encoders learn from the published training set, trials show the test set."""


def _read_mnist(part: Part) -> Pictures:
    pixels, labels = (read_idx(gzip.decompress(obtain(file).content), file.path) for file in MNIST[part])
    return Pictures(pixels.astype(np.float32) / 255, labels.astype(np.int64))


def read_idx(content: bytes, name: str) -> np.ndarray:
    """An array of unsigned bytes in the IDX format: two zero bytes, type 8, number of dimensions, their sizes, the
    data.

    Args:
        content: of the file, uncompressed.
        name: the file's name, for errors.

    Raises:
        UserError: the content isn't in this format.
    """
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if not dimensions or len(content) < start:
        raise UserError(f"{name}: not an IDX file of unsigned bytes (it begins with {content[:4]!r})")
    shape = np.frombuffer(content, ">u4", dimensions, 4).astype(np.int64)
    if len(content) - start != shape.prod():
        raise UserError(f"{name}: holds {len(content) - start} bytes of data, its header says {shape.prod()}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(tuple(shape))


PICTURES = {
    "digits": PictureSet(
        8,
        "1,797 digits of 8 × 8 pixels that come with scikit-learn; Alpaydin & Kaynak 1998, "
        "https://doi.org/10.24432/C50P49; every third is for the encoder",
        _read_digits,
    ),
    "mnist": PictureSet(
        28,
        "70,000 digits of 28 × 28 pixels, downloaded when first asked for (11 MB); LeCun et al. 1998, "
        "https://doi.org/10.1109/5.726791; the training set is for the encoder",
        _read_mnist,
    ),
}
"""Name -> set."""


@cache
def trial_pictures(name: str) -> Pictures:
    """The pictures of a set that trials show.

    Raises:
        UserError: they can't be obtained.
    """
    return PICTURES[name].read("trials")
