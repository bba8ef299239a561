"""All random numbers of a study: one stream for each seed, purpose and key, the same on every machine.

Streams are separated by NumPy's spawn keys: every word of a key, also a 0, is mixed in after the seed's own words. So
no two purposes, phases or replicates share a stream, and neither do two seeds.

What is drawn must not depend on the processor. Drawing code therefore sorts stably, and decides nothing by the last bit
of a number that libraries round differently, such as the results of exp, log, pow and BLAS. If that can't be avoided,
the function states how likely it is that a last bit matters.
"""

import hashlib
from collections.abc import Callable
from functools import cache

import numpy as np

STREAMS = {"search": 0, "confirm": 1}
"""Phase of a study -> the number that tells its streams apart: the confirmation draws from others than the search."""

PURPOSES = {
    # of one replicate of a phase, the same for every arm: so arms share data, input weights and initial recurrent
    # values, and are compared in pairs
    "trials": 0,  # the task's trials, training and validation
    "test_trials": 1,
    "order": 2,  # of the training trials in each epoch
    "connectome": 3,  # the null of the regions
    "expansion": 4,  # from regions to neurons
    "topology": 5,  # the null of the neurons
    "input_weights": 6,
    "recurrent_weights": 7,
    "readout_weights": 8,
    "ties": 9,  # the rank order of equal weights
    "signs": 10,  # which neurons are inhibitory
    "readout_neurons": 18,  # which neurons the readout sees
    # of a study
    "random_connectome": 11,  # one that is drawn from a rule
    "shared_settings": 12,  # settings that all arms try first
    "sampler": 13,  # proposes an arm's further settings
    # of a report
    "sign_flips": 14,
    "bootstrap": 15,
    "importances": 16,
    "conditions": 19,
    # of studies that are simulated
    "simulation": 17,
}

_POOL = 128
"""Number of bits that a seed can have before the spawn key; a longer seed would run into the key, so it is hashed."""


def generator(seed: int, phase: str, replicate: int, purpose: str, *further: int) -> np.random.Generator:
    """The generator of one purpose in one replicate; `further` numbers separate repeated draws, such as one per epoch.

    Replicate r of every arm draws from the same streams; the confirm phase and the search draw from different ones.
    """
    return stream(seed, purpose, STREAMS[phase], replicate, *further)


def stream(seed: int, purpose: str, *key: int | str) -> np.random.Generator:
    """The generator of one purpose.

    Args:
        seed: any whole number from 0.
        purpose: one of `PURPOSES`.
        key: separates streams of the same purpose: numbers from 0 to 2³² - 1, or names.

    Raises:
        ValueError: a seed below 0, or a number of the key out of range.
    """
    return np.random.default_rng(_sequence(seed, purpose, *key))


def derived_seed(seed: int, purpose: str, *key: int | str) -> int:
    """A number from 0 to 2³² - 1 for libraries that take a seed of that size; arguments as of `stream`."""
    return int(_sequence(seed, purpose, *key).generate_state(1)[0])


def _sequence(seed: int, purpose: str, *key: int | str) -> np.random.SeedSequence:
    if seed < 0:
        raise ValueError(f"seed {seed} is below 0")
    if seed.bit_length() > _POOL:
        digest = hashlib.sha256(seed.to_bytes(-(-seed.bit_length() // 8), "little")).digest()
        seed = int.from_bytes(digest[: _POOL // 8], "little")
    words = [word for part in key for word in _words(part)]
    return np.random.SeedSequence(seed, spawn_key=(PURPOSES[purpose], *words))


def _words(part: int | str) -> tuple[int, ...]:
    """A number as one word of 32 bits, a name as four words: fixed lengths, so that no two keys can be mistaken."""
    if isinstance(part, str):
        digest = hashlib.sha256(part.encode()).digest()
        return tuple(int.from_bytes(digest[at : at + 4], "little") for at in range(0, 16, 4))
    if not 0 <= part < 2**32:
        raise ValueError(f"{part} in a stream's key is outside 0 to 2³² - 1")
    return (int(part),)


_DRAWS: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (
    lambda g: g.random(8),
    lambda g: g.random(8, dtype=np.float32),
    lambda g: g.uniform(-1, 1, 8),
    lambda g: g.integers(1000, size=8),
    lambda g: g.integers(np.arange(1, 9)),
    lambda g: g.permutation(16),
    lambda g: g.permuted(np.tile(np.arange(16), (2, 1)), axis=1),
    lambda g: g.choice(1000, 8, replace=False),
    lambda g: g.standard_normal(8),
    lambda g: g.standard_exponential(8),
    lambda g: g.gumbel(size=8),
    lambda g: g.poisson([0.5, 50.0], (4, 2)),
    lambda g: g.binomial([10, 1000], 0.3, (4, 2)),
)
"""Every method of a generator that biotune draws with."""


@cache
def streams_digest() -> str:
    """SHA-256 of some numbers from every method that biotune draws with.

    A new version of NumPy may draw other numbers from the same seed (NEP 19), and a study that is resumed would then
    draw other networks than before. Floating-point numbers are compared to nine digits, since their last digits can
    differ between machines.
    """
    digest = hashlib.sha256()
    for index, draw in enumerate(_DRAWS):
        drawn = draw(np.random.default_rng(np.random.SeedSequence(index, spawn_key=(0,))))
        if drawn.dtype.kind == "f":
            drawn = np.round(drawn.astype(np.float64) * 1e9)
        digest.update(drawn.astype("<i8").tobytes())
    return digest.hexdigest()
