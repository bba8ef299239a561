"""Permutation tests: sign flips of pairs, their interval, and the reference's rank among the draws of a null."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_PAIRS = 20
"""Up to this number of pairs, all 2^n sign flips are enumerated."""


MONTE_CARLO_FLIPS = 99_999


LEAST_DRAWS = 19
"""Smallest number of draws of a null for a rank among them: with fewer, no p can be as small as 0.05."""


@dataclass(frozen=True)
class NullRank:
    """The reference's rank among the draws of a null.

    Attributes:
        draws: number of draws of the null, one per pair.
        percentile: 100 times the share of draws that needed fewer updates than the reference; ties count half. At 0 the
            reference is faster than all of them.
        p: two-sided p of a rank as extreme as this.
    """

    draws: int
    percentile: float
    p: float


def null_rank(differences: NDArray[np.float64]) -> NullRank:
    """The reference's rank among the draws of a null, each compared with it on the same data and initial values.

    Draw r has the value d_r, the log ratio of its pair, and the reference d_0 = 0. If the reference were one more draw
    of the null, all n + 1 values would be exchangeable: p = (1 + #{r: |d_r - d̄| ≥ |d_0 - d̄|}) / (n + 1), with d̄ the
    mean over all n + 1 (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39). Other variation between the networks
    of a pair makes p too large rather than too small.

    Args:
        differences: [draws], log ratios of the null to the reference.
    """
    draws = len(differences)
    centre = float(np.sum(differences)) / (draws + 1)
    rounding = 1e-9 * float(np.max(np.abs(differences), initial=0))
    as_far = int(np.count_nonzero(np.abs(differences - centre) >= abs(centre) - rounding))
    faster = np.count_nonzero(differences < 0) + 0.5 * np.count_nonzero(differences == 0)
    return NullRank(draws, 100 * float(faster) / draws, (1 + as_far) / (draws + 1))


def sign_flip_p(differences: NDArray[np.float64], generator: np.random.Generator) -> tuple[float, bool]:
    """Two-sided p of the hypothesis that log ratios are symmetric about 0: the share of sign flips with |Σ ± d_r| ≥ |Σ
    d_r|.

    Fisher's randomisation test (1935). All 2^n flips up to 20 pairs; beyond, Monte Carlo with
    p = (1 + hits) / (1 + flips) (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).

    Args:
        differences: [pairs], log ratios.
        generator: used only with more than 20 pairs.

    Returns:
        (p, whether it is exact)
    """
    size = np.abs(differences)
    least = abs(float(np.sum(differences))) - 1e-9 * float(np.sum(size))  # sums that differ only by rounding are ties
    if len(differences) <= EXACT_PAIRS:
        sums = np.zeros(1)
        for d in size:
            sums = np.concatenate([sums + d, sums - d])
        return float(np.mean(np.abs(sums) >= least)), True
    hits, width = 0, -(-len(size) // 8)
    for start in range(0, MONTE_CARLO_FLIPS, 10_000):
        rows = min(10_000, MONTE_CARLO_FLIPS - start)
        bits = np.unpackbits(np.frombuffer(generator.bytes(rows * width), np.uint8).reshape(rows, width), axis=1)
        flipped = 2 * (bits[:, : len(size)] @ size) - np.sum(size)  # Σ ± d_r, with a + if the bit is set
        hits += int(np.count_nonzero(np.abs(flipped) >= least))
    return (1 + hits) / (1 + MONTE_CARLO_FLIPS), False


def sign_flip_interval(
    differences: NDArray[np.float64], confidence: float, generator: np.random.Generator
) -> tuple[float, float]:
    """Interval of the centre of symmetric log ratios: all δ that the sign-flip test of d_r - δ does not reject.

    Flipping the signs of a subset S of the pairs gives a sum at least as large as that of all d_r - δ if, and only if,
    the mean of d_r over S is at most δ. So with M_(1) ≤ M_(2) ≤ … the means over all 2^n - 1 subsets that aren't empty,
    the interval is M_(k) to M_(2^n - k), k = ⌊2^n (1 - confidence) / 2⌋, and holds in a share 1 - 2 k / 2^n of all
    samples (Hartigan 1969, J. Am. Stat. Assoc. 64:1303). Random subsets beyond 20 pairs.

    Args:
        differences: [pairs], log ratios.
        confidence: of the interval, in (0, 1).
        generator: used only with more than 20 pairs.

    Returns:
        (low, high) of the log ratio; infinite if there are too few pairs for this confidence, fewer than 6 at 95 %
    """
    if len(differences) <= EXACT_PAIRS:
        sums, sizes = np.zeros(1), np.zeros(1)
        for d in differences:
            sums, sizes = np.concatenate([sums, sums + d]), np.concatenate([sizes, sizes + 1])
        means = sums[1:] / sizes[1:]
    else:
        chosen = generator.random((MONTE_CARLO_FLIPS, len(differences))) < 0.5
        means = chosen @ differences / np.maximum(chosen.sum(axis=1), 1)
    rank = math.floor((len(means) + 1) * (1 - confidence) / 2 + 1e-9)
    if rank == 0:
        return -math.inf, math.inf
    low, high = np.partition(means, [rank - 1, len(means) - rank])[[rank - 1, len(means) - rank]]
    return float(low), float(high)
