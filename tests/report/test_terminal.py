"""What the terminal shows of a report."""

from itertools import pairwise

import pytest


@pytest.mark.parametrize("width", [100, 80])
def test_fits(reported, width, printed):
    directory, summary = reported
    lines = printed(summary, width).splitlines()
    assert max(len(line) for line in lines if not line.startswith("Report: ")) <= width
    assert lines[-1] == f"Report: {directory / 'report' / 'index.html'}"
    table = [line.split() for line in lines if line.startswith(tuple(summary.arms)) and "/16" in line]
    assert [row[0] for row in table] == list(summary.arms)
    assert table[0][1] == "reference"
    assert table[1][1] == "depends"
    assert table[2][1] == "slower"


def test_names_the_limits_first(reported, printed):
    _, summary = reported
    text = printed(summary, 1000)
    places = [text.index(part) for part in (summary.limits[0].text, *summary.answer, "claim ")]
    assert all(a < b for a, b in pairwise(places))
