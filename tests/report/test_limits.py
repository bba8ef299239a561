"""What limits an answer, from the measures of the networks that gave it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from biotune.report import read_report
from biotune.results import Results

Simulate = Callable[..., Path]


@pytest.fixture
def limits(simulate: Simulate) -> Callable[..., list[str]]:
    """The limits of a study that name the Frobenius norm; its arms have these norms and radii, if any."""

    def found(norms: Mapping[str, float] | None, radii: Mapping[str, float]) -> list[str]:
        results = Results(simulate(ratios=dict.fromkeys(radii, 1.0), pairs=4, trials=2))
        table = results.read_table("topologies")
        spread = 1 + 0.01 * (table["replicate"] - 1.5)
        if norms is not None:
            table["frobenius_norm"] = table["arm"].map(norms) * spread
        table["spectral_radius"] = table["arm"].map(radii)
        results.write_table("topologies", table)
        return [limit.text for limit in read_report(results.path).limits if "Frobenius" in limit.text]

    return found


RADII = dict.fromkeys(("marmoset", "smaller", "alike", "larger"), 0.9)


def test_norms_that_differ_at_one_radius_are_named_with_their_factor(limits: Callable[..., list[str]]) -> None:
    norms = {"marmoset": 4.0, "smaller": 3.0, "alike": 5.1, "larger": 8.0}
    smaller, larger = limits(norms, RADII)
    assert smaller.startswith(
        "smaller: at the same spectral radius as marmoset, 0.9, its initial recurrent matrix has 0.75 times the "
        "Frobenius norm (3 against 4)"
    )
    assert "larger: " in larger
    assert "2.00 times" in larger


def test_norms_are_not_compared_where_radii_differ_or_nothing_was_measured(limits: Callable[..., list[str]]) -> None:
    norms = {"marmoset": 4.0, "larger": 8.0}
    assert limits(norms, {"marmoset": 0.9, "larger": 0.9 + 1e-7})
    assert not limits(norms, {"marmoset": 0.9, "larger": 0.95})
    assert not limits(norms, {"marmoset": 0.9, "larger": float("nan")})
    assert not limits(None, {"marmoset": 0.9, "larger": 0.9})
