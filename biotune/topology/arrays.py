"""Small operations on index arrays that expanding and rewiring share."""

import numpy as np


def ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The concatenated ranges `start[i], ..., start[i] + length[i] - 1`."""
    return np.arange(length.sum()) + np.repeat(start - np.cumsum(length) + length, length)


def shuffled_within(group: np.ndarray, value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The values, shuffled among the entries of each group (int64 from 0), every order equally likely."""
    shuffled = np.empty_like(value)
    mixed = generator.permutation(len(group))
    # a stable sort keeps the entries of a group in the order in which they were mixed
    shuffled[sorted_by(group)] = value[mixed[sorted_by(group[mixed])]]
    return shuffled


def sorted_by(key: np.ndarray) -> np.ndarray:
    """The order that sorts whole numbers from 0, stably; the smaller the greatest of them, the faster."""
    return np.argsort(key.astype(np.min_scalar_type(key.max(initial=0))), kind="stable")
