"""SparsePattern: what it accepts, and the orders it derives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biotune_kernels import SparsePattern
from biotune_kernels.pattern import Compressed


@st.composite
def patterns(draw: st.DrawFn) -> SparsePattern:
    size = draw(st.integers(1, 9))
    population = draw(st.integers(1, 3))
    nnz = draw(st.integers(0, size**2))
    places = [draw(st.permutations(range(size**2)))[:nnz] for _ in range(population)]
    place = torch.tensor(places, dtype=torch.int64).reshape(population, nnz)
    return SparsePattern(place // size, place % size, size)


def edges(lines: Compressed, given_order: torch.Tensor) -> list[list[tuple[int, int, int]]]:
    """(line, other, edge as given) of every slot, by replicate."""
    found = []
    for p in range(len(lines.start)):
        line = torch.repeat_interleave(torch.arange(lines.start.shape[1] - 1), lines.start[p].diff())
        order = given_order if lines.order is None else lines.order[p]
        found.append(list(zip(line.tolist(), lines.other[p].tolist(), order.tolist(), strict=True)))
    return found


@given(patterns())
def test_both_orders_hold_every_edge_once_in_ascending_order(pattern: SparsePattern) -> None:
    as_given = torch.arange(pattern.nnz)
    for lines, (line, other) in (
        (pattern.by_row, (pattern.target, pattern.source)),
        (pattern.by_column, (pattern.source, pattern.target)),
    ):
        for p, slots in enumerate(edges(lines, as_given)):
            assert slots == sorted(slots)
            expected = zip(line[p].tolist(), other[p].tolist(), range(pattern.nnz), strict=True)
            assert set(slots) == set(expected)


@given(patterns())
def test_a_repeated_edge_is_refused(pattern: SparsePattern) -> None:
    if pattern.nnz == 0:
        return
    target, source = (torch.cat((t, t[:, :1]), dim=1) for t in (pattern.target, pattern.source))
    with pytest.raises(ValueError, match="more than once"):
        SparsePattern(target, source, pattern.size)


def test_a_single_network_may_come_without_its_population_axis() -> None:
    pattern = SparsePattern(torch.tensor([1, 0]), torch.tensor([0, 1]), 3)
    assert (pattern.population, pattern.nnz, pattern.size) == (1, 2, 3)


def test_the_callers_tensors_may_change_afterwards() -> None:
    target, source = torch.tensor([[0, 1]]), torch.tensor([[1, 0]])
    pattern = SparsePattern(target, source, 2)
    target.fill_(1)
    assert pattern.target.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("target", "source", "size", "message"),
    [
        (torch.tensor([[0, 3]]), torch.tensor([[0, 0]]), 3, r"target: indices go from 0 to 3.*0 to 2"),
        (torch.tensor([[0, 1]]), torch.tensor([[0, -1]]), 3, r"source: indices go from -1 to 0"),
        (torch.tensor([[0, 1]]), torch.tensor([[0]]), 3, r"one shape.*\[1, 2\] and \[1, 1\]"),
        (torch.tensor([[0.0]]), torch.tensor([[0]]), 3, r"target: expected an integer tensor, got torch.float32"),
        ([[0]], torch.tensor([[0]]), 3, r"target: expected an integer tensor, got list"),
        (torch.tensor([[0]]), torch.tensor([[0]]), 0, r"size: expected a number of neurons"),
        (torch.tensor([[0]]), torch.tensor([[0]]), 2.0, r"size: expected a number of neurons.*2.0"),
        (torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 4, dtype=torch.int64), 3, r"population of 0"),
    ],
)
def test_bad_input_is_named(target: object, source: object, size: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SparsePattern(target, source, size)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
