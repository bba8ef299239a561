"""The course of a confirmation: which planned look is under way, which arms go on, and what that takes of each cell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from biotune.results.documents import Cell, Look, Reading
from biotune.results.vocabulary import Label
from biotune.statistics import Verdict, geometric_ratio, log_ratios, look_confidence, share, verdict
from biotune.study.definition.study import Study
from biotune.study.history.record import Record
from biotune.training import Convergence


@dataclass(frozen=True)
class Course:
    """Where a confirmation is.

    Attributes:
        look: the planned look that is under way; None if all that were asked for have been taken.
        going: the arms that are compared at it; those that are decided have stopped.
        pairs: arm -> pairs of replicates that it has, or is to have; of the reference, the most that any arm has.
        replications: numbers of replicates past the plan up to which each replication goes.
    """

    look: int | None
    going: list[str]
    pairs: Mapping[str, int]
    replications: list[int]


def course(study: Study, record: Record) -> Course:
    """Where the confirmation of a study is, by the looks that were taken and those that were asked for."""
    planned, reference = study.config.confirm.planned, study.config.reference_arm
    asked = max([planned[0], *(one.to for one in record.extensions if one.to)])
    pairs = dict.fromkeys(study.arms, planned[0])
    look: int | None = planned[0]
    going = compared_arms(study)
    for taken in record.looks:
        going = taken.going
        look = next((one for one in planned if taken.pairs < one <= asked), None) if going else None
        if look is None:
            break
        pairs |= dict.fromkeys(going, look)
    pairs[reference] = max(pairs.values())
    return Course(look, list(going), pairs, record.replications)


def compared_arms(study: Study) -> list[str]:
    """The arms that have verdicts: without the reference and the positive control."""
    return [arm for arm in study.config.arms if arm != study.config.reference_arm]


def blocks_of(study: Study, cell: Cell, now: Course) -> Iterator[tuple[int, ...]]:
    """The replicates of a cell that a course takes, those of each block trained together; no block is of two looks."""
    planned, primary = study.config.confirm.planned, study.primary
    most = max(_replicates(study, cell, reading, now) for reading in cell.readings)
    first = 0
    for end in [*(look for look in planned if look < most), most]:
        yield from study.blocks(end, first)
        first = end
    compared = {study.config.reference_arm, *compared_arms(study)}
    again = any(one.condition == primary and {one.against or cell.arm} <= compared for one in cell.readings)
    first = planned[-1]
    for end in now.replications if again else ():
        yield from study.blocks(end, first)
        first = end


def _replicates(study: Study, cell: Cell, reading: Reading, now: Course) -> int:
    """So many of a cell that is read so, of those within the plan."""
    if reading.phase == "gain_search":
        return study.config.search.replicates
    if reading.condition != study.primary:
        return study.conditions[reading.condition].replicates
    return now.pairs[reading.against or cell.arm]


def is_done(study: Study, record: Record) -> bool:
    """Whether all that was asked for was confirmed, and every look of it taken."""
    now, selection, done = course(study, record), record.selection, record.confirmed_of()
    return (
        selection is not None
        and now.look is None
        and all(
            done.get((cell.arm, cell.plan), set()).issuperset(block)
            for cell in selection.cells
            for block in blocks_of(study, cell, now)
        )
    )


def take_look(study: Study, record: Record, now: Course) -> Look:
    """What a planned look leads to, all of whose pairs are confirmed.

    An arm is decided once both of its verdicts are, in its pair and with each arm at its own best, see
    `Verdict.decided`; where one is *not comparable* more pairs say no more either.
    """
    assert now.look is not None
    found = {arm: verdicts_at(study, record, arm, now.look) for arm in now.going}
    decided = [arm for arm, both in found.items() if all(one.decided for one in both)]
    settled = {arm for arm, both in found.items() if all(one.decided or one.name == "not comparable" for one in both)}
    return Look(pairs=now.look, going=[arm for arm in now.going if arm not in settled], decided=decided)


def verdicts_at(study: Study, record: Record, arm: str, pairs: int) -> list[Verdict]:
    """An arm's verdicts at a planned look: in its pair, and with each arm at its own best."""
    reference, margin = study.config.reference_arm, study.config.equivalence_margin
    confidence = look_confidence(study.config.confirm.planned, pairs, len(compared_arms(study)))
    ways: list[tuple[Label, str]] = [("pair", arm), ("own_best", "")]
    found = []
    for phase, against in ways:
        mine = _outcomes(study, record, arm, phase, "", pairs)
        theirs = _outcomes(study, record, reference, phase, against, pairs)
        differences = log_ratios([one.updates for one in mine], [one.updates for one in theirs])
        shares = [share(sum(one.converged for one in side), pairs) for side in (mine, theirs)]
        ratio = geometric_ratio(differences, confidence)
        found.append(verdict(ratio, margin, shares[0], shares[1], differences))
    return found


def _outcomes(study: Study, record: Record, arm: str, phase: Label, against: str, pairs: int) -> list[Convergence]:
    """Of an arm's first replicates, in their order, as they are read under the primary condition."""
    reading = Reading(condition=study.primary, phase=phase, against=against)
    found = {
        replicate: outcome
        for block in record.blocks
        if block.cell.arm == arm and reading in block.cell.readings
        for replicate, outcome in zip(block.replicates, block.convergence, strict=True)
    }
    return [found[replicate] for replicate in range(pairs)]
