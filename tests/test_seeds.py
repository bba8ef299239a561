"""Streams: no two purposes, keys or seeds share one."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from biotune.seeds import PURPOSES, STREAMS, derived_seed, generator, stream, streams_digest

SEEDS = st.one_of(st.integers(0, 3), st.integers(0, 2**140), st.integers(2**127, 2**130))
KEYS = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1), st.text(max_size=4)), max_size=4)
ONE_STREAM = st.tuples(SEEDS, st.sampled_from(list(PURPOSES)), KEYS)


def first(seed: int, purpose: str, key: list[int | str]) -> bytes:
    return stream(seed, purpose, *key).bytes(16)


@given(one=ONE_STREAM, other=ONE_STREAM)
def test_other_seeds_purposes_and_keys_give_other_streams(one, other) -> None:
    assume(one != other)
    assert first(*one) != first(*other)
    assert first(*one) == first(*one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # NumPy fills a short list of words up with zeros, and splits a large number into words
        ((1, "shared_settings", []), (1, "trials", [0, 0])),
        ((1, "trials", [0]), (1, "trials", [0, 0])),
        ((1, "trials", []), (1, "trials", [0])),
        ((2**32, "trials", []), (0, "trials", [1])),
        ((5 + 2**32, "trials", [0]), (5, "test_trials", [0])),
        ((2**128, "trials", [0]), (0, "trials", [1, 0])),
        ((1, "sampler", ["a", 1]), (1, "sampler", ["a1"])),
    ],
)
def test_streams_that_numpys_own_padding_would_make_one(one, other) -> None:
    assert first(*one) != first(*other)


def test_the_shared_settings_are_not_drawn_as_the_first_search_replicates_trials() -> None:
    settings, trials = stream(1, "shared_settings"), generator(1, "search", 0, "trials")
    assert settings.bytes(16) != trials.bytes(16)


def test_every_replicate_phase_purpose_and_draw_has_a_stream_of_its_own() -> None:
    drawn = {
        generator(1, phase, replicate, purpose, *further).bytes(16)
        for phase in STREAMS
        for replicate in range(20)
        for purpose in PURPOSES
        for further in ((), (0,), (1,))
    }
    assert len(drawn) == len(STREAMS) * 20 * len(PURPOSES) * 3


@pytest.mark.parametrize("wrong", [(-1, "trials", []), (1, "trials", [-1]), (1, "trials", [2**32])])
def test_what_no_stream_has_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"below 0|outside 0"):
        first(*wrong)


def test_a_derived_seed_fits_libraries_that_take_32_bits() -> None:
    found = {derived_seed(seed, "importances") for seed in (0, 1, 2**32, 2**200)}
    assert len(found) == 4
    assert all(0 <= seed < 2**32 for seed in found)


def test_the_digest_of_the_streams_sees_another_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    before = streams_digest()
    streams_digest.cache_clear()
    assert streams_digest() == before

    def another(sequence: np.random.SeedSequence) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(sequence))

    monkeypatch.setattr(np.random, "default_rng", another)
    streams_digest.cache_clear()
    assert streams_digest() != before
    streams_digest.cache_clear()
