"""The planned looks in words: what is decided, what more pairs would take and show, and what is not adjusted."""

import math
import shlex
from pathlib import Path

from biotune.report.formatting import count, percent, several
from biotune.report.results.summary import Forecast, Looks, Replication, Summary
from biotune.report.text.answer import interval, spoken
from biotune.statistics import LEAST_PAIRS, MOST_TIMES, POWER

NOT_ADJUSTED = "not adjusted for looks"


def looks_sentences(summary: Summary, directory: Path) -> list[str]:
    """What the looks have led to, and what would follow.

    Args:
        directory: of the results, for the commands that go on with them.
    """
    looks, folder = summary.looks, as_typed(directory)
    sentences = stage(summary)
    if _may_go_on(summary):
        sentences += [_forecast(found, looks, folder, summary) for found in looks.forecasts]
    return sentences


def stage(summary: Summary) -> list[str]:
    """Where among the planned looks the report is, and a warning of what was decided early."""
    return [*_stage(summary.looks), *_exaggerated(summary)]


def as_typed(directory: Path) -> str:
    """A directory as it can be typed in the folder that the report is made in."""
    here = directory.resolve()
    within = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    return shlex.quote(str(within))


def _may_go_on(summary: Summary) -> bool:
    looks = summary.looks
    # a first look decides nothing: what follows it is the study in full, not more pairs of it
    return summary.finished and not summary.quick and bool(looks.taken) and looks.shown == looks.taken[-1]


def more_pairs(summary: Summary, directory: Path) -> list[str]:
    """What the next pairs would decide, for all arms that are open, and the command that adds them; empty if nothing
    can be said.

    Args:
        directory: of the results.
    """
    looks, folder = summary.looks, as_typed(directory)
    open_ones = [found for found in looks.forecasts if not found.missed] if _may_go_on(summary) else []
    later = [look for look in looks.planned if look > looks.shown]
    if not open_ones:
        return []
    if later:
        return [*_needed(open_ones), _next_look(open_ones, looks, folder, later[0])]
    alone = {found.arm: found.alone for found in open_ones if found.alone is not None}
    return [_least_replication(alone, summary, folder)] if alone else []


def _needed(forecasts: list[Forecast]) -> list[str]:
    """How many more pairs would decide each arm."""
    needed = [f"{found.arm} about {found.more}" for found in forecasts if found.more is not None]
    return [f"More pairs to decide with a probability of {percent(POWER)}: {several(needed)}."] if needed else []


def _next_look(forecasts: list[Forecast], looks: Looks, folder: str, look: int) -> str:
    chances = several(f"{found.arm} {_likely(found.chances[look])}" for found in forecasts)
    return (
        f"`biotune extend {folder} --to {look}` takes the next look, {look - looks.shown} pairs more, in some "
        f"{_minutes(looks.seconds[look])}; the probability that it decides: {chances}."
    )


def _least_replication(alone: dict[str, int], summary: Summary, folder: str) -> str:
    """The replication that is the first to decide an arm."""
    arm = min(alone, key=lambda name: alone[name])
    pairs = max(alone[arm], LEAST_PAIRS)
    others = " (the others take more)" if len(alone) > 1 else ""
    return (
        f"`biotune extend {folder} --replicates {_end(summary) + pairs}` adds a replication of {pairs} pairs in some "
        f"{_minutes(pairs * summary.looks.seconds_of_replicated_pair)}; analysed alone, it would decide {arm} with a "
        f"probability of {percent(POWER)}{others}."
    )


def replicate_it(summary: Summary, directory: Path) -> str:
    """The command for a replication of as many pairs as were planned, for a study that has none."""
    pairs = max(summary.looks.shown, LEAST_PAIRS)
    return (
        f"`biotune extend {as_typed(directory)} --replicates {_end(summary) + pairs}` replicates it: {pairs} new "
        f"pairs, analysed alone, in some {_minutes(pairs * summary.looks.seconds_of_replicated_pair)}."
    )


def _end(summary: Summary) -> int:
    """Number of replicates up to the end of the plan, and of the replications past it."""
    return max([summary.looks.planned[-1], *(one.first + one.pairs for one in summary.replications)])


def _stage(looks: Looks) -> list[str]:
    if not looks.several:
        return []
    planned = f"{several(map(str, looks.planned))} pairs"
    where = f"This is the look at {looks.shown} pairs, of those planned at {planned}."
    if looks.taken and looks.shown < looks.taken[-1]:
        where += f" The study has gone on to {looks.taken[-1]} pairs."
    return [where]


def _exaggerated(summary: Summary) -> list[str]:
    """A warning for the estimates of arms that a look has decided before the last."""
    looks = summary.looks
    early = [
        arm
        for arm, pairs in looks.decided.items()
        if pairs < looks.planned[-1] and (claim := summary.claims.get(arm)) and claim.direction
    ]
    if not early:
        return []
    stopped = several(f"{arm} at {looks.decided[arm]} pairs" for arm in early)
    whose = "Its estimate exaggerates" if len(early) == 1 else "Their estimates exaggerate"
    return [
        f"Decided before the last planned look: {stopped}. {whose} on average, since a study stops early where chance "
        "makes a difference large; the interval holds at every look."
    ]


def _forecast(found: Forecast, looks: Looks, folder: str, summary: Summary) -> str:
    arm = found.arm
    if found.missed:
        return (
            f"{arm}: more pairs can't decide it, since {count(found.missed, 'replicate')} of the faster side did not "
            "meet the criterion; that takes a new study with a larger confirm.max_epochs."
        )
    later = [look for look in looks.planned if look > looks.shown]
    if found.more is None:
        start = f"{arm}: its ratio is so near the margin that {MOST_TIMES} times as many pairs may not decide"
        return f"{start}{_chance_of_the_next(found, looks, folder, later, 'the next look')}."
    start = f"{arm}: about {count(found.more, 'more pair')} would decide ({percent(POWER)})"
    enough = next((look for look in later if look >= looks.shown + found.more), None)
    if enough is not None:
        said = f"{start}: `biotune extend {folder} --to {enough}`, some {_minutes(looks.seconds[enough])}"
        if enough == later[0]:
            return f"{said}."
        return f"{said}{_chance_of_the_next(found, looks, folder, later, 'the next look')}."
    if later:
        last = _chance_of_the_next(found, looks, folder, later[-1:], "its last look")
        return f"{start}, more than the plan has left{last}."
    if found.alone is None:
        return f"{start}, but every planned look was taken."
    alone = max(found.alone, LEAST_PAIRS)
    end = _end(summary) + alone
    return (
        f"{start}, but every planned look was taken. A replication, analysed alone, would decide by itself with "
        f"{alone} pairs ({percent(POWER)}): `biotune extend {folder} --replicates {end}`, some "
        f"{_minutes(alone * looks.seconds_of_replicated_pair)}."
    )


def _chance_of_the_next(found: Forecast, looks: Looks, folder: str, later: list[int], which: str) -> str:
    """What a look would probably show, and cost."""
    if not later:
        return ""
    look = later[0]
    return (
        f"; {which}, at {look} pairs, would decide with a probability of {_likely(found.chances[look])}: "
        f"`biotune extend {folder} --to {look}`, some {_minutes(looks.seconds[look])}"
    )


def _likely(chance: float) -> str:
    return percent(chance) if chance >= 0.01 else f"less than {percent(0.01)}"


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return "seconds"
    return count(math.ceil(seconds / 60), "minute")


def replication_sentences(summary: Summary) -> list[str]:
    """A sentence for each replication: what its pairs say alone."""
    return [_replication(found, summary) for found in summary.replications]


def _replication(found: Replication, summary: Summary) -> str:
    own = {c.arm: c for c in found.own_best}
    said = [
        f"{c.arm} {spoken(found.claims.get(c.arm))} ({interval(c)}; {interval(own[c.arm])})"
        if c.arm in own
        else f"{c.arm} to come"
        for c in found.comparisons
    ]
    which = (
        f"Replication, {found.pairs} pairs past the plan (replicates {found.first} to {found.first + found.pairs - 1})"
    )
    return (
        f"{which}, analysed alone, with intervals of their own family and no other look: "
        f"{'; '.join(said) if said else 'to come'}."
    )
