"""The ratios that a number of pairs can detect."""

import re
from pathlib import Path

import pytest

from biotune import statistics

MARGIN = 0.2


def test_power_is_as_the_documentation_prints_it():
    page = Path(__file__).parents[2] / "docs" / "reading-the-report.md"
    rows = re.findall(r"^\| (\d+)[^|]*\|((?: [\d.]+, \d+ % \|)+)$", page.read_text(), re.MULTILINE)
    assert len(rows) == 3
    confidence = statistics.bonferroni(3)
    for pairs, cells in rows:
        for spread, cell in zip((0.15, 0.25, 0.35), cells.strip(" |").split(" | "), strict=True):
            ratio, percent = re.findall(r"[\d.]+", cell)
            arguments = (spread, int(pairs), confidence, MARGIN)
            assert statistics.detectable_ratio(*arguments) == pytest.approx(float(ratio), abs=0.006)
            assert 100 * statistics.equivalence_power(*arguments) == pytest.approx(float(percent), abs=0.6)


def test_power_of_pairs_that_do_not_vary_is_certain():
    assert statistics.equivalence_power(0.0, 4, 0.95, MARGIN) == 1
    assert statistics.detectable_ratio(0.0, 4, 0.95, MARGIN) == pytest.approx(1.2)
