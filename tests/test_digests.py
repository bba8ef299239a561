"""The digest of a study, and what is said of two that differ."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from biotune.digests import MAY_DIFFER, difference, study_difference, study_digest
from biotune.results import Results
from biotune.study import load_study

SPACES = sorted(Path("search_spaces").glob("*.yaml"))

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), st.text(max_size=3))
STUDIES = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), st.one_of(VALUES, st.lists(VALUES, max_size=3)), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), st.one_of(VALUES, inner), max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.stem)
def test_a_study_has_the_same_digest_as_it_is_started_written_and_read_again(space: Path, tmp_path: Path) -> None:
    study, results = load_study(space), Results(tmp_path)
    results.write_study(study.resolved())
    assert study_digest(results.read_study()) == study.digest
    assert load_study(tmp_path / "study.yaml").digest == study.digest
    assert load_study(space, seed=2**40).digest != study.digest


@given(STUDIES, STUDIES)
def test_two_studies_have_one_digest_just_where_nothing_differs(one: dict, other: dict) -> None:
    for study in (one, other):
        assert study_digest(yaml.safe_load(yaml.safe_dump(study))) == study_digest(study)
    assert (study_digest(one) == study_digest(other)) == (study_difference(one, other) == "")
    assert difference(one, one) == ""


def test_what_may_differ_does_not_count() -> None:
    assert MAY_DIFFER == ("description",)
    one, other = ({"seed": 1, "description": text} for text in ("once", "again"))
    assert study_digest(one) == study_digest(other)
    assert study_difference(one, other) == ""
    assert study_digest(one | {"descriptions": 1}) != study_digest(one)


def test_keys_are_named_by_their_path_and_long_values_cut_short() -> None:
    one = {"confirm": {"max_epochs": 80, "replicates": 4}, "tune": {"a": {"choice": ["x" * 99]}}}
    other = {"confirm": {"max_epochs": 40}, "tune": {"a": {"choice": []}}, "seed": 1, "name": "other"}
    said = difference(one, other)
    assert said.startswith(
        "confirm.max_epochs is 80 there and 40 here, confirm.replicates is 4 there and not given here, tune.a.choice"
    )
    assert said.endswith("there and [] here, 2 further keys differ")
    assert "x" * 60 not in said
