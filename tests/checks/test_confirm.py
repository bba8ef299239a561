"""The confirm phase on two devices: equal runs compare as equal, and every difference is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from biotune.errors import UserError
from checks import confirm as command
from checks.confirm import INITIAL, Confirmed, compare, confirm, read, save
from checks.default_study import ARMS

TOLERANCE = command.TOLERANCE["highest"]


@pytest.fixture(scope="module")
def found() -> dict[str, Confirmed]:
    """The smallest networks, trained for three epochs, in which none converges."""
    return confirm("cpu", replicates=2, max_epochs=3, neurons=1)


def converged(found: dict[str, Confirmed]) -> dict[str, Confirmed]:
    """The same, as if all had converged."""
    return {
        arm: replace(one, updates=np.array([20.0, 30.0]) * (place + 1), converged=np.array([True, True]))
        for place, (arm, one) in enumerate(found.items())
    }


def drawn(one: Confirmed, **changes: np.ndarray) -> Confirmed:
    assert one.drawn is not None
    return replace(one, drawn=replace(one.drawn, **changes))


def test_what_is_saved_comes_back(found: dict[str, Confirmed], tmp_path: Path) -> None:
    save(tmp_path / "one.npz", found)
    again = read(tmp_path / "one.npz")
    assert list(again) == list(ARMS)
    for arm, one in found.items():
        assert np.array_equal(again[arm].updates, one.updates)
        for name, value in vars(one.drawn).items():
            assert np.array_equal(getattr(again[arm].drawn, name), value), name
    assert {row.wrong for row in compare(converged(found), converged(again), TOLERANCE)} == {()}


def test_the_ratio_is_the_geometric_mean_over_pairs(found: dict[str, Confirmed]) -> None:
    rows = compare(converged(found), converged(found), TOLERANCE)
    assert [(row.arm, round(row.here, 12), row.converged) for row in rows] == [
        (arm, place + 1, (2, 2)) for place, arm in enumerate(ARMS)
    ]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda one: drawn(one, edges=one.drawn.edges[:, ::-1]), "other topologies"),
        (lambda one: drawn(one, weights=one.drawn.weights + 1e-12), "other topologies"),
        (lambda one: drawn(one, initial=one.drawn.initial + 2 * INITIAL), "initial values off by 2.0e-06"),
        (lambda one: replace(one, converged=np.array([True, False])), "others converge"),
        (lambda one: replace(one, updates=one.updates * [1.04, 1 / 1.04]), "a network's updates differ by 4.0%"),
    ],
)
def test_every_difference_is_named(
    change: Callable[[Confirmed], Confirmed], wrong: str, found: dict[str, Confirmed]
) -> None:
    there = converged(found)
    here = there | {"random": change(there["random"])}
    assert {row.arm: row.wrong for row in compare(here, there, TOLERANCE) if row.wrong} == {"random": (wrong,)}


def test_ratios_differ_where_one_arm_takes_longer(found: dict[str, Confirmed]) -> None:
    there = converged(found)
    longer = replace(there["random"], updates=1.02 * there["random"].updates)
    *_, random = compare(there | {"random": longer}, there, TOLERANCE)
    assert random.wrong == ("ratios differ by 2.0%", "a network's updates differ by 2.0%")
    slow = {arm: replace(one, updates=1.02 * one.updates) for arm, one in there.items()}
    assert {row.wrong for row in compare(slow, there, TOLERANCE)} == {("a network's updates differ by 2.0%",)}


def test_other_numbers_of_replicates_cannot_be_compared(found: dict[str, Confirmed]) -> None:
    fewer = {arm: replace(one, updates=one.updates[:1]) for arm, one in found.items()}
    with pytest.raises(UserError, match="arm marmoset: 1 replicates here, 2 there"):
        compare(fewer, found, TOLERANCE)


def test_rounding_is_no_difference(found: dict[str, Confirmed]) -> None:
    there = converged(found)
    here = {
        arm: replace(drawn(one, initial=one.drawn.initial + INITIAL / 2), updates=one.updates * (1 + 1e-4))
        for arm, one in there.items()
    }
    assert not any(row.wrong for row in compare(here, there, TOLERANCE))


def test_networks_that_never_learn_are_no_agreement(found: dict[str, Confirmed]) -> None:
    assert {row.wrong for row in compare(found, found, TOLERANCE)} == {("no pair converges",)}


def test_the_command_compares_with_a_file(
    found: dict[str, Confirmed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "confirm", lambda *_: converged(found))
    files = [str(tmp_path / name) for name in ("one.npz", "other.npz")]
    assert command.main(["--save", files[0]]) == 0
    assert command.main(["--save", files[1], "--against", files[0]]) == 0
    assert capsys.readouterr().out.count("the same") == len(ARMS)
    monkeypatch.setattr(command, "confirm", lambda *_: found)
    assert command.main(["--against", files[0]]) == 1
    assert "FAILS: others converge" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04cut short"])
def test_a_file_of_something_else_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "other.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.npz: not what --save of checks\.confirm wrote"):
        read(file)


def test_arrays_of_something_else_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    with pytest.raises(UserError, match=r"other\.npz: not what"):
        read(tmp_path / "other.npz")
