"""What the README shows of Python is run."""

import os
import re
from pathlib import Path

import pytest

from biotune.results import Results


@pytest.mark.skipif("BIOTUNE_DATA" not in os.environ, reason="BIOTUNE_DATA names no folder with the connectomes")
def test_the_lines_of_the_readme_run(finished: tuple[Path, Results, str]) -> None:
    _, results, _ = finished
    [code] = re.findall(r"^```python\n(.*?)^```", Path("README.md").read_text(), re.M | re.S)
    code, places = re.subn(r'"results/[^"]*"', repr(str(results.path)), code)
    code, arms = re.subn(r'network\("marmoset", replicate=3\)', 'network("real", replicate=2)', code)
    assert (places, arms) == (1, 1)
    found: dict = {}
    exec(compile(code, "README.md", "exec"), found)
    assert len(found["trained"].networks) == 2
    assert list(found["results"].verdicts.index) == ["real", "rewired"]
