"""What limits an answer of the settings that it was found at: at an end of a range, or next to divergence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from biotune.report import formatting
from biotune.report.formatting import several
from biotune.report.results.summary import AtSetting, Summary
from biotune.results.documents import CommonSetting, Selection

NEAR_END = 0.05
"""Share of a tuned range, of its logarithm if it is log-uniform, within which a setting is at its end."""

NEAR_RATE = 2.0
"""Factor of learning rate within which a setting that diverged is next to another."""


def chosen_settings(summary: Summary, study: Mapping[str, Any], selection: Selection | None) -> list[str]:
    """A sentence for each chosen setting that lies at an end of what was tried, or next to one that diverged."""
    if selection is None:
        return []
    chosen: dict[int, tuple[CommonSetting, list[str], list[str]]] = {}  # what each is the setting of, and whose
    pairs = {arm: (selection.pair[arm], f"{arm} in its pair", [arm, summary.reference]) for arm in selection.pair}
    for arm in summary.arms:
        own = (selection.own_best[arm], f"{arm} at its best", [arm]) if arm in selection.own_best else None
        for at, role, of in filter(None, (own, pairs.get(arm))):
            held = chosen.setdefault(at.index, (at, [], []))
            held[1].append(role)
            held[2].extend(of)
    texts = []
    for at, what, arms in chosen.values():
        where = f"The setting of {several(what)} ({formatting.setting(at.setting)})"
        if ends := _ends(at.setting, summary.settings[arms[0]], study["tune"]):
            texts.append(f"{where} is at {several(ends)} of what was tried, so a better one may lie beyond.")
        near = {arm: _next_to_divergence(at, summary.settings[arm], study["tune"]) for arm in dict.fromkeys(arms)}
        if diverged := [f"{arm} ({formatting.setting(other.setting)})" for arm, other in near.items() if other]:
            texts.append(f"{where} is next to one at which the search diverged: {several(diverged)}.")
    return texts


def _ends(setting: Mapping[str, Any], common: Sequence[AtSetting], tune: Mapping[str, Any]) -> list[str]:
    """`the lower end of learning_rate`, for each range that a setting is at an end of."""
    ends = []
    for key, domain in tune.items():
        tried = [share for at in common if (share := _share(domain, at.setting.get(key))) is not None]
        share = _share(domain, setting.get(key))
        if share is None or len(set(tried)) < 3:
            continue
        if share <= max(NEAR_END, min(tried)):
            ends.append(f"the lower end of {key}")
        elif share >= min(1 - NEAR_END, max(tried)):
            ends.append(f"the upper end of {key}")
    return ends


def _next_to_divergence(
    chosen: CommonSetting, common: Sequence[AtSetting], tune: Mapping[str, Any]
) -> AtSetting | None:
    """The nearest common setting at which an arm diverged, if that is a setting's nearest of all, or near in rate."""
    others = sorted((at for at in common if at.index != chosen.index), key=lambda at: _distance(chosen, at, tune))
    for place, at in enumerate(others):
        if at.diverged and (place == 0 or _near_in_rate(chosen.setting, at.setting)):
            return at
    return None


def _near_in_rate(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    rates: list[Any] = [setting.get("learning_rate") for setting in (one, other)]
    return all(map(_is_number, rates)) and max(rates) <= NEAR_RATE * min(rates)


def _distance(chosen: CommonSetting, at: AtSetting, tune: Mapping[str, Any]) -> float:
    """In the unit cube of the tuned keys; two choices that have no order are as far apart as two ends."""
    squares = []
    for key, domain in tune.items():
        here, there = (_share(domain, setting.get(key)) for setting in (chosen.setting, at.setting))
        if here is None or there is None:
            squares.append(float(chosen.setting.get(key) != at.setting.get(key)))
        else:
            squares.append((here - there) ** 2)
    return math.sqrt(sum(squares))


def _share(domain: Mapping[str, Sequence[Any]], value: Any) -> float | None:
    """How far through its domain a value lies, 0 to 1; None if it is not among numbers."""
    [(kind, ends)] = domain.items()
    if not all(map(_is_number, (value, *ends))):
        return None
    low, high = float(min(ends)), float(max(ends))
    if low == high:
        return None
    if kind == "loguniform" and float(value) > 0:
        return math.log(value / low) / math.log(high / low)
    return (float(value) - low) / (high - low)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
