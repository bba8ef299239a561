"""What a study's YAML reads as: numbers, dates, the key null; and what cannot be read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.study import load_study

WriteSpace = Callable[..., Path]


def test_a_null_key_names_a_null_and_is_not_the_value_null(small_space: Path) -> None:
    null = load_study(small_space).arms["rewired"].null
    assert null is not None
    assert null.name == "degree_preserving"


def test_numbers_without_a_dot_are_numbers(write_space: WriteSpace) -> None:
    study = load_study(write_space(("[1.0e-3, 1.0e-1]", "[1e-3, 1e-1]")))
    assert study.config.tune["learning_rate"].loguniform == [0.001, 0.1]


def test_a_date_is_text(small_space):
    assert load_study(small_space, overrides=["name=2001-13-45"]).config.name == "2001-13-45"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: !!bool abc\n", "'abc' cannot be read as bool"),
        ("name: !!float abc\n", "'abc' cannot be read as float"),
        ("seed: " + "9" * 5000 + "\n", "cannot be read as int"),
        ("name: &a [*a]\n", "more than 50 deep"),
        ("name: " + "[" * 5000 + "]" * 5000 + "\n", "more than 50 deep"),
        (
            "name: x\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
            "more than 100,000 values",
        ),
    ],
)
def test_yaml_that_would_never_end_or_cannot_be_read_is_a_line(tmp_path, text, message):
    file = tmp_path / "space.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_study(file)
    assert len(str(error.value).splitlines()) == 1
