"""Planned looks: at which level each interval of a study stands that looks at its pairs more than once.

A group-sequential plan spends the error probability of an interval over its looks (Lan & DeMets 1983). The intervals of
all looks then hold together with the confidence of one, whatever a look leads to: repeated confidence intervals
(Jennison & Turnbull 1989, J. R. Stat. Soc. B 51:305). So a study may stop, or go on, for any reason.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from biotune.statistics.intervals import FAMILY_CONFIDENCE

FIRST_SHARE = 0.8
"""Of the error probability, what the first look spends; the later ones share the rest by their number of new pairs."""

LEAST_PAIRS = 4
"""Of a planned look."""

_LEAST_NODES = 64


def look_confidence(looks: Sequence[int], pairs: int, comparisons: int = 1) -> float:
    """Confidence of an interval at a planned look: all looks' intervals of all comparisons hold together with 95 %.

    With one look it is Bonferroni's, 1 - 0.05 / comparisons.

    Args:
        looks: the planned numbers of pairs, rising. pairs: at the look; between two looks, as at the next.
        comparisons: that the 95 % are divided among (Dunn 1961).

    Raises:
        ValueError: there are more pairs than the plan has.
    """
    place = next((place for place, look in enumerate(looks) if pairs <= look), None)
    if place is None:
        raise ValueError(f"{pairs} pairs are past the last planned look, {looks[-1]}")
    return 1 - nominal_levels(tuple(looks), (1 - FAMILY_CONFIDENCE) / max(comparisons, 1))[place]


@lru_cache(maxsize=256)
def nominal_levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """The two-sided level at which the interval of each look is taken, as if it were the only one.

    2 (1 - Φ(c_k)), with c_k the boundaries that spend `FIRST_SHARE` of alpha at the first look and the rest in
    proportion to the pairs that are added. Used with a t quantile, which keeps the levels nearly: Pocock 1977,
    Biometrika 64:191.

    Args:
        looks: numbers of pairs, rising. alpha: spent in all, in (0, 1).
    """
    if len(looks) == 1:
        return (alpha,)
    first, last = looks[0], looks[-1]
    spent = [alpha * (FIRST_SHARE + (1 - FIRST_SHARE) * (look - first) / (last - first)) for look in looks]
    return tuple(2 * float(special.ndtr(-bound)) for bound in boundaries(looks, spent))


def boundaries(information: Sequence[float], spent: Sequence[float]) -> list[float]:
    """The boundaries c_k with P(|Z_1| < c_1, …, |Z_{k-1}| < c_{k-1}, |Z_k| ≥ c_k) = spent_k - spent_{k-1}.

    Z_1, Z_2, … are standard normal with correlations √(I_j / I_k), j ≤ k, as test statistics of growing samples have if
    nothing differs (Lan & DeMets 1983, Biometrika 70:659). The density of what has not crossed yet is carried from look
    to look by quadrature (Armitage, McPherson & Rowe 1969, J. R. Stat. Soc. A 132:235), so the result is the same on
    every machine, which SciPy's integral over many looks, a random one, is not.

    Args:
        information: I_k of each look, rising, above 0; the number of pairs will do.
        spent: error probability up to and with each look, rising, in (0, 1).
    """
    found: list[float] = []
    before, crossing = 0.0, _first_crossing(information[0])
    for place, now in enumerate(spent):
        more = now - before

        def beyond(bound: float, crossing: Callable[[float], float] = crossing, more: float = more) -> float:
            return crossing(bound) - more

        # from 40 on, a normal tail is no number above 0
        found.append(float(optimize.brentq(beyond, 0.0, 40.0, xtol=1e-12)) if more > 0 else math.inf)
        before = now
        if place + 1 < len(spent):
            crossing = _next_crossing(information[: place + 2], found)
    return found


def _first_crossing(information: float) -> Callable[[float], float]:
    return lambda bound: 2 * float(special.ndtr(-bound))


def _next_crossing(information: Sequence[float], bounds: Sequence[float]) -> Callable[[float], float]:
    """The probability to reach the last look uncrossed and to cross a bound there, as a function of that bound.

    In terms of S_k = Z_k √I_k, whose increments are independent: S_k - S_{k-1} ~ N(0, I_k - I_{k-1}).
    """
    places, weights = _nodes(information[0], information[1] - information[0], bounds[0])
    mass = weights * _density(places / math.sqrt(information[0])) / math.sqrt(information[0])
    for k in range(1, len(bounds)):
        step = math.sqrt(information[k] - information[k - 1])
        there, weights = _nodes(information[k], information[k + 1] - information[k], bounds[k])
        mass = weights * (_density((there[:, None] - places) / step) @ mass) / step
        places = there
    step, root = math.sqrt(information[-1] - information[-2]), math.sqrt(information[-1])

    def crossing(bound: float) -> float:
        edge = bound * root
        return float(mass @ (special.ndtr((places - edge) / step) + special.ndtr((-edge - places) / step)))

    return crossing


def _density(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the standard normal distribution."""
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _nodes(information: float, next_step: float, bound: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss–Legendre nodes and weights over what has not crossed, close enough for the step that follows."""
    edge = min(bound, 40.0) * math.sqrt(information)
    number = max(_LEAST_NODES, math.ceil(4 * edge / math.sqrt(next_step)))
    places, weights = special.roots_legendre(number)
    return edge * places, edge * weights
