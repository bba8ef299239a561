"""What is claimed of an arm: only what holds at the setting of its pair and with each arm at its own best."""

from biotune.statistics.verdict import Direction, Verdict


def claim(pair: Verdict, own_best: Verdict) -> Verdict:
    """What both verdicts say.

    - Both have one direction: that direction. Its size is theirs if they name the same, otherwise it is open.
    - Both are *equivalent* or *slightly …*: *equivalent*.
    - Both are *not comparable*: *not comparable*.
    - Otherwise *undecided*.

    Each of these says that two things hold, so it is wrong no more often than the verdict that is wrong more seldom
    (intersection-union test, Berger 1982, Technometrics 24:295), and the two intervals need no further adjustment.

    Args:
        pair: at the setting that is chosen for the arm and the reference, see `pair_setting`.
        own_best: with each of the two at its own best of the common settings.
    """
    reason = f"at the setting of the pair {pair.name}, each arm at its own best {own_best.name}"
    same = pair.name == own_best.name
    if pair.direction and pair.direction == own_best.direction:
        size_open: dict[Direction, Verdict] = {
            "faster": Verdict("faster, size open", reason),
            "slower": Verdict("slower, size open", reason),
        }
        return Verdict(pair.name, reason) if same else size_open[pair.direction]
    if all(verdict.name == "equivalent" or verdict.slight for verdict in (pair, own_best)):
        return Verdict("equivalent", reason)
    if same and pair.name == "not comparable":
        return Verdict("not comparable", reason)
    return Verdict("undecided", reason)


def disagree(pair: Verdict, own_best: Verdict) -> bool:
    """Whether one has a direction that the other doesn't have: then the answer depends on the setting."""
    return pair.direction != own_best.direction
