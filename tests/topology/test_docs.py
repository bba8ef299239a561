"""The examples in the pages and at the head of the packages run as they stand."""

import doctest
from pathlib import Path

import pytest

import biotune.connectome
import biotune.tasks
import biotune.topology

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["connectomes.md", "nulls.md"])
def test_pages(page, monkeypatch):
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")  # no page needs the network
    result = doctest.testfile(str(DOCS / page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("package", [biotune.connectome, biotune.tasks, biotune.topology])
def test_packages(package):
    result = doctest.testmod(package)
    assert result.attempted > 0
    assert result.failed == 0
