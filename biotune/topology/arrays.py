"""Small operations on index arrays that expanding and rewiring share."""

import numpy as np


def ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The concatenated ranges `start[i], ..., start[i] + length[i] - 1`."""
    return np.arange(length.sum()) + np.repeat(start - np.cumsum(length) + length, length)


def shuffled_within(group: np.ndarray, value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The values in random order among the entries of each group (int64)."""
    shuffled = np.empty_like(value)
    shuffled[np.argsort(group)] = value[np.argsort(group + generator.random(len(group)))]
    return shuffled
