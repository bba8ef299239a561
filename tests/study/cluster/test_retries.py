"""How often what died is taken up again: as long as it gets further."""

import os
from pathlib import Path

import pytest

from biotune.study.cluster.retries import Retries


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "trial.pt"


def save(checkpoint: Path, at: int) -> None:
    checkpoint.write_bytes(b"")
    os.utime(checkpoint, ns=(at, at))


def test_what_dies_three_times_at_the_same_place_has_failed(tmp_path: Path, checkpoint: Path) -> None:
    retries = Retries(tmp_path)
    assert [retries.again(checkpoint) for _ in range(3)] == [True, True, False]
    save(checkpoint, 1)
    another = Retries(tmp_path)
    assert [another.again(checkpoint) for _ in range(3)] == [True, True, False]


def test_what_gets_further_in_between_may_die_as_often_as_it_likes(tmp_path: Path, checkpoint: Path) -> None:
    retries = Retries(tmp_path)
    for death in range(10):
        assert retries.again(checkpoint)
        assert retries.again(checkpoint)
        save(checkpoint, death + 1)


def test_a_machine_that_joins_a_cluster_needs_no_folder_of_ray(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "nowhere"))
    assert Retries(tmp_path).again(checkpoint)


def test_one_that_dies_is_counted_apart_from_another(tmp_path: Path, checkpoint: Path) -> None:
    retries = Retries(tmp_path)
    assert retries.again(checkpoint)
    assert retries.again(checkpoint)
    assert retries.again(tmp_path / "another.pt")
    assert not retries.again(checkpoint)
