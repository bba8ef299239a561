"""What `biotune extend` adds to a study: planned looks, a replication past the plan, conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biotune.errors import UserError
from biotune.results.documents import Extension, Selection
from biotune.results.journal import Journal
from biotune.statistics import LEAST_PAIRS
from biotune.study.confirm.cells import make_cells
from biotune.study.confirm.course import is_done
from biotune.study.definition.study import Study
from biotune.study.history.events import Extended, append
from biotune.study.history.record import Record
from biotune.study.plans.plans import Plans

MOST_REPLICATES = 100_000


@dataclass(frozen=True)
class More:
    """What a user asks for; with nothing set, the next planned look.

    Attributes:
        to: a planned look. replicates: past the plan, number of them with those of the plan.
        conditions: name -> what it overrides.
    """

    to: int | None = None
    replicates: int | None = None
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def extension_of(study: Study, record: Record, more: More, directory: Path) -> Extension | None:
    """What is added to a study, if that can be.

    Args:
        study: with the conditions that are to be added. record: of it.
        directory: its results, for the messages.

    Returns:
        None if an extension is under way already and nothing else was asked for.

    Raises:
        UserError: there is no such look, it was taken, no arm goes on, or the replication would be too small.
    """
    planned, to = study.config.confirm.planned, more.to
    asked = max([planned[0], *(one.to for one in record.extensions if one.to)])
    taken = [look.pairs for look in record.looks]
    under_way = bool(record.extensions) and not is_done(study, record)
    if under_way and _was_asked(record, more):
        return None
    if to is None and more.replicates is None and not more.conditions:
        if planned[-1] in taken:
            raise UserError(f"{directory}: {_no_look_left(planned)}")
        to = next((look for look in planned if look > asked), planned[-1])
    if to is not None:
        if to not in planned:
            raise UserError(f"--to {to}: is no planned look; the study planned {_listed(planned)}")
        if record.looks and not record.looks[-1].going:
            raise UserError(
                f"{directory}: no arm is left to go on with, since the look at {record.looks[-1].pairs} pairs says all "
                "that more could; --replicates N adds pairs past the plan, a replication that is analysed alone"
            )
        if to <= asked:
            raise UserError(f"--to {to}: was {'taken' if to in taken else 'asked for'} before; {_after(planned, to)}")
    if more.replicates is not None:
        _require_a_replication(planned[-1], record.replications, more.replicates)
    return Extension(
        asked=datetime.now(UTC).isoformat(timespec="seconds"),
        to=to,
        replicates=more.replicates,
        conditions={name: dict(held) for name, held in more.conditions.items()},
    )


def _was_asked(record: Record, more: More) -> bool:
    """Whether nothing is asked for that wasn't before; so a command that was killed can be given again."""
    return (
        (more.to is None or any(one.to == more.to for one in record.extensions))
        and (more.replicates is None or more.replicates in record.replications)
        and not more.conditions
    )


def _no_look_left(planned: list[int]) -> str:
    looks = "the one look that was planned" if len(planned) == 1 else "the last of the planned looks"
    return (
        f"{looks}, at {planned[-1]} pairs, was taken; --replicates N adds pairs past the plan, a replication that is "
        "analysed alone"
    )


def _after(planned: list[int], to: int) -> str:
    later = [look for look in planned if look > to]
    return f"the looks after it are {_listed(later)}" if later else _no_look_left(planned)


def _listed(looks: list[int]) -> str:
    return f"{', '.join(map(str, looks))} pairs"


def _require_a_replication(last: int, replications: list[int], replicates: int) -> None:
    end = max([last, *replications])
    if replicates < end + LEAST_PAIRS:
        what = "the plan has pairs up to" if end == last else "the plan and its replications have pairs up to"
        raise UserError(
            f"--replicates {replicates}: {what} {end}, and those past it are a replication of {LEAST_PAIRS} pairs or "
            f"more; give {end + LEAST_PAIRS} or more"
        )
    if replicates > MOST_REPLICATES:
        raise UserError(f"--replicates {replicates}: give {MOST_REPLICATES:,} or fewer")


def require_networks(plans: Plans, extension: Extension, directory: Path) -> None:
    """Makes sure that arms that start from trained networks have enough of these.

    Raises:
        UserError: another study's networks would be needed that it doesn't have, or that the search has used.
    """
    most = max(extension.to or 0, extension.replicates or 0)
    for arm, trained in plans.trained.items():
        if trained is not None and most > (there := trained.for_confirm):
            raise UserError(
                f"{directory}: arm {arm} starts from networks that another study trained, of which {there} are left "
                f"beside those of the search; {most} pairs would need {most}"
            )


def extend(plans: Plans, record: Record, journal: Journal, extension: Extension) -> None:
    """Writes what is added to the journal; from then on it is part of the study."""
    selection = record.selection
    if selection is not None and extension.conditions:
        cells = make_cells(plans.study, selection.pair, selection.own_best, plans.same, plans.digest)
        selection = Selection(pair=selection.pair, own_best=selection.own_best, cells=cells)
    record.apply(append(journal, Extended(extension=extension, selection=selection)))
