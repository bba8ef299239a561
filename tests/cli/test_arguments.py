"""Whatever is given as an argument is a value, or one line that says what it should be."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.cli import arguments, main

SPACE, AA = "search_spaces/seq_mem.yaml", "search_spaces/aa.yaml"

NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text("0123456789-.,e²٣ ", max_size=12),
    st.integers(1, 6000).map(lambda digits: "9" * digits),
    st.text(max_size=20),
)


@pytest.mark.parametrize(
    ("read", "fits"),
    [
        (arguments.count, lambda value: 1 <= value <= arguments.LARGEST),
        (arguments.natural, lambda value: 0 <= value <= arguments.LARGEST),
        (arguments.number, lambda value: 0 <= value < math.inf),
        (arguments.seconds, lambda value: 0 <= value < math.inf),
        (arguments.share_or_auto, lambda value: value == "auto" or 0 <= value < math.inf),
        (arguments.ratios, lambda value: value and all(0 < one < math.inf for one in value)),
        (arguments.seeds, lambda value: 0 < len(value) <= arguments.LONGEST_RANGE and min(value) >= 0),
        (arguments.names, lambda value: value and all(value)),
    ],
)
@given(text=NUMBERS)
def test_a_text_is_a_value_that_fits_or_one_line(
    read: Callable[[str], object], fits: Callable[[object], bool], text: str
) -> None:
    try:
        value = read(text)
    except ArgumentTypeError as error:
        value, said = None, str(error)
    if value is None:
        assert len(said.splitlines()) == 1
        assert len(said) < 400
    else:
        assert fits(value)


@pytest.mark.parametrize(
    "path", ["a\0b", "x" * 300, "/".join(["y" * 200] * 40), ""], ids=["NUL", "long", "deep", "empty"]
)
@pytest.mark.parametrize(
    "command",
    [
        ["run", "--space", "{}"],
        ["run", "--resume", "{}"],
        ["run", "--space", SPACE, "--output", "{}"],
        ["run", "--space", SPACE, "--storage", "{}"],
        ["run", "--space", SPACE, "--set", "connectome={{name: mine, path: '{}'}}", "--dry-run"],
        ["run", "--space", AA, "--set", "network.start_from={{results: '{}'}}", "--dry-run"],
        ["run", "--space", SPACE, "--set", "task={{name: '{}.py:Mine'}}", "--dry-run"],
        ["report", "{}"],
        ["report", "{}", "--output", "{}"],
        ["monitor", "{}"],
        ["monitor", "--output", "{}"],
        ["import", "{}"],
        ["connectome", "show", "mine", "--path", "{}"],
        ["validate", "simulate", "--space", "{}"],
    ],
    ids=" ".join,
)
def test_what_is_no_path_or_cannot_be_is_one_line(
    command: list[str], path: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path))
    assert main([part.format(path) if "{" in part else part for part in command]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
