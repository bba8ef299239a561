"""Every notebook runs from its first cell to its last, and shows what it is about."""

import os
from pathlib import Path

import nbformat
import pytest

from checks.notebooks import SOURCES, execute

SHOWN = {
    "coming_from_bio_rnn_mem": "epoch of 99 % of its range",
    "coming_from_conn2res": "alpha",
    "first_study": "confirmed",
    "inside_a_network": "spectral radius after",
    "own_connectome": "my_cortex: 24 nodes",
    "own_task": "even",
    "reading_critically": "by hand",
}
"""Notebook -> a text that is among what it prints and shows."""


def test_every_notebook_is_here() -> None:
    assert sorted(SHOWN) == sorted(file.stem for file in SOURCES.glob("*.py"))


@pytest.mark.slow
@pytest.mark.skipif("BIOTUNE_DATA" not in os.environ, reason="BIOTUNE_DATA names no folder with the connectomes")
@pytest.mark.parametrize("name", sorted(SHOWN))
def test_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the cores are shared with other tests: two threads would wait busily
    output = Path(os.environ.get("EXECUTED_NOTEBOOKS", tmp_path))  # where the docs site takes them from
    execute(SOURCES / f"{name}.py", output)
    cells = nbformat.read(output / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.get("text", "") for output in outputs]
    shown += [text for output in outputs for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    assert SHOWN[name] in "\n".join(shown)
    assert not [text for text in shown if "INFO" in text or "IProgress" in text]
