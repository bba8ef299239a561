"""Which setting two arms are compared at: one for the pair, and each arm's own best, both of the common settings.

The common settings are those that every arm has tried. What is chosen for an arm and the reference depends on these two
alone, so no other arm has a say in what they are compared at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Chosen:
    """What arms are compared at, as places among the common settings.

    Attributes:
        pair: arm -> the setting at which it is compared with the reference, see `pair_setting`.
        own_best: arm, the reference too -> its own best, see `own_best`.
    """

    pair: dict[str, int]
    own_best: dict[str, int]


def choose(updates: Mapping[str, ArrayLike], reference: str) -> Chosen:
    """What every arm is compared at.

    An arm in which nothing trained has no best of its own: it takes the setting of its pair. If that is the reference,
    it takes that of the first pair, or the first setting if there is no other arm.

    Args:
        updates: arm -> [settings], as of `regrets`. reference: the arm that the others are compared with.
    """
    pair = {arm: pair_setting(own, updates[reference]) for arm, own in updates.items() if arm != reference}
    instead = {reference: next(iter(pair.values()), 0)} | pair
    best = {arm: own_best(own) for arm, own in updates.items()}
    return Chosen(pair, {arm: instead[arm] if place is None else place for arm, place in best.items()})


def regrets(updates: ArrayLike) -> NDArray[np.float64]:
    """The regret of an arm at each setting, log(T(s) / min_s T(s)).

    Args:
        updates: [settings], restricted mean updates to criterion T(s), above 0; NaN or infinite where nothing trained.

    Returns:
        [settings]: 0 at the arm's own best, infinite where nothing trained.
    """
    values = np.asarray(updates, dtype=np.float64)
    trained = np.isfinite(values)
    found = np.full(len(values), np.inf)
    if trained.any():
        found[trained] = np.log(values[trained] / values[trained].min())
    return found


def pair_setting(arm: ArrayLike, reference: ArrayLike) -> int:
    """The setting of minimax regret for a pair, argmin_s max(r_arm(s), r_reference(s)) (Savage 1951, J. Am. Stat.
    Assoc. 46:55).

    A setting at which both trained goes before one at which one did, and that before one at which none did. Of equals
    the first is taken.

    Args:
        arm, reference: [settings], as of `regrets`.

    Raises:
        ValueError: they are not of the same settings, or there is none.
    """
    both = np.stack([regrets(arm), regrets(reference)])
    if both.shape[1] == 0:
        raise ValueError("there is no setting to choose from")
    untrained = np.isinf(both)
    worst = np.where(untrained, 0.0, both).max(axis=0)
    return int(np.lexsort((worst, untrained.sum(axis=0)))[0])


def own_best(updates: ArrayLike) -> int | None:
    """The setting of the fewest updates, the first of equals; None if nothing trained at any.

    Args:
        updates: [settings], as of `regrets`.
    """
    found = regrets(updates)
    return int(np.argmin(found)) if np.isfinite(found).any() else None
