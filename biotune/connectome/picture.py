"""Pictures of a connectome's matrix: in a terminal, where its edges are; in an image, how strong they are."""

import warnings
from pathlib import Path

import numpy as np

from biotune.connectome.connectome import Connectome
from biotune.connectome.names import MOST_NAMED, shown
from biotune.errors import UserError

BLOCKS = " ▄▀█"
"""The characters for two pixels, one above the other: none on, the lower, the upper, both."""

IMAGE_PIXELS = 1000
"""Largest number of rows of an image: larger matrices are binned."""


LONGEST_TITLE, LONGEST_TICK = 60, 16
"""Characters of a connectome's name above its image, and of a region's beside its row."""


def binned(connectome: Connectome, pixels: int) -> np.ndarray:
    """The mean |weight| of each bin of the matrix `[target, source]`: `[pixels, pixels]` or smaller.

    Args:
        connectome: of any size; its full matrix is never built.
        pixels: largest number of bins along each side; a smaller matrix is not binned.
    """
    bins = min(connectome.size, pixels)
    bin_of = np.arange(connectome.size) * bins // connectome.size
    total = np.zeros((bins, bins))
    np.add.at(total, (bin_of[connectome.target], bin_of[connectome.source]), np.abs(connectome.weight))
    nodes = np.bincount(bin_of)
    return total / np.outer(nodes, nodes)


def text_picture(connectome: Connectome, columns: int = 64) -> str:
    """Rows are targets and columns sources, as in a network's weight matrix; a pixel is on if there is an edge.

    A pixel that stands for several pairs is on if a larger share of them are edges than in the whole matrix.

    Args:
        connectome: what is shown.
        columns: largest number of characters per line.
    """
    pattern = connectome.with_edges(connectome.source, connectome.target, np.ones(connectome.edges))
    share = binned(pattern, columns)
    one_each = len(share) == connectome.size
    on = share > (0 if one_each else connectome.edges / connectome.size**2)
    if len(on) % 2:
        on = np.vstack([on, np.zeros((1, on.shape[1]), bool)])
    return "\n".join(
        "".join(BLOCKS[2 * up + down] for up, down in zip(*pair, strict=True))
        for pair in zip(on[::2], on[1::2], strict=True)
    )


def save_picture(connectome: Connectome, file: Path) -> None:
    """Writes the matrix as an image, whose format matplotlib takes from the file's suffix; colours are log10 |weight|.

    Raises:
        UserError: the file can't be written, or its suffix is not that of an image format.
    """
    import matplotlib  # takes a while, and only this needs it
    from matplotlib.figure import Figure

    mean = binned(connectome, IMAGE_PIXELS)
    logarithm = np.log10(mean, out=np.full(mean.shape, np.nan), where=mean > 0)
    with matplotlib.rc_context({"svg.hashsalt": "biotune", "text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box takes its place
        figure = Figure(figsize=(7, 6), layout="constrained")
        axes = figure.add_subplot()
        extent = (-0.5, connectome.size - 0.5, connectome.size - 0.5, -0.5)
        image = axes.imshow(logarithm, cmap="viridis", interpolation="none", extent=extent)
        what = "|weight|" if len(mean) == connectome.size else "mean |weight| of a bin"
        figure.colorbar(image, label=f"log10 {what}; blank: no edge")
        [title] = shown([connectome.name], LONGEST_TITLE)
        axes.set(title=title, xlabel="source", ylabel="target")
        if connectome.labels is not None and connectome.size <= MOST_NAMED:
            names = shown(connectome.labels, LONGEST_TICK)
            size = min(8.0, 300 / connectome.size)
            axes.set_xticks(range(connectome.size), names, rotation=90, fontsize=size)
            axes.set_yticks(range(connectome.size), names, fontsize=size)
        try:
            figure.savefig(file, dpi=150)
        except (OSError, ValueError) as error:
            raise UserError(f"--png {file}: {error}") from None
