"""auto: what it chooses, and what it remembers."""

import json
import logging
from pathlib import Path

import pytest
import torch

import biotune_kernels.select
from biotune_kernels import SparsePattern, available_backends, choose_backend, for_recording, sparse_rnn
from biotune_kernels.backends import cuda_graph

pytestmark = pytest.mark.usefixtures("fresh")


def pattern(size: int = 40, edges: int = 300) -> SparsePattern:
    place = torch.randperm(size**2, generator=torch.Generator().manual_seed(0))[:edges]
    return SparsePattern(place // size, place % size, size)


def choose(edges: int = 300) -> str:
    return choose_backend(pattern(edges=edges), batch=8, time=3, input_size=2)


def test_the_choice_is_usable_and_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="biotune_kernels"):
        name = choose()
    assert available_backends("cpu")[name] is None
    assert f"auto: {name} for shape" in caplog.text


def test_a_choice_is_remembered_by_shape_across_processes(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = choose()
    (file,) = (fresh / "kernels").glob("choice-*")
    assert json.loads(file.read_text())["found"]["backend"] == name
    monkeypatch.setattr(biotune_kernels.select, "_chosen", {})
    monkeypatch.setattr(biotune_kernels.select, "_measure", lambda *_: pytest.fail("measured again"))
    assert choose() == name


def test_what_is_remembered_is_what_is_used(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose()
    (file,) = (fresh / "kernels").glob("choice-*")
    content = json.loads(file.read_text())
    for other in content["key"]["candidates"]:
        file.write_text(json.dumps({**content, "found": {"backend": other}}))
        monkeypatch.setattr(biotune_kernels.select, "_chosen", {})
        assert choose() == other


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{", "[]", "null", '{"backend": "dense"}', '{"found": {"backend": "dense"}}'),
        '{"key": {"finding": "choice"}, "found": {"backend": "dense"}}',
    ],
)
def test_a_memory_that_is_damaged_or_of_another_key_is_measured_anew(
    damage: str, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        biotune_kernels.select, "_measure", lambda names, *_: {name: 1.0 + (name == "dense") for name in names}
    )
    name = choose()
    if name == "dense":
        pytest.skip("nothing else is usable here")
    (file,) = (fresh / "kernels").glob("choice-*")
    file.write_text(damage)
    monkeypatch.setattr(biotune_kernels.select, "_chosen", {})
    assert choose() == name
    assert json.loads(file.read_text())["found"]["backend"] == name


def test_a_folder_that_cannot_be_written_does_not_matter(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    fresh.write_text("a file where the folder should be")
    with caplog.at_level(logging.DEBUG, logger="biotune_kernels"):
        assert available_backends("cpu")[choose()] is None
    assert "can't be written" in caplog.text


def test_another_number_of_threads_is_another_choice(fresh: Path) -> None:
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            choose()
    finally:
        torch.set_num_threads(threads)
    assert len(list((fresh / "kernels").glob("choice-*"))) == 2


def test_auto_works_where_nothing_but_the_reference_does(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {name: None if name == "reference" else "not here" for name in available_backends("cpu")}
    monkeypatch.setattr(biotune_kernels.select, "available_backends", lambda *_: reasons)
    assert choose() == "reference"
    hidden = sparse_rnn(torch.ones(1, 8, 3, 2), torch.ones(1, 300), pattern(), torch.ones(1, 40, 2), torch.zeros(1, 40))
    assert hidden.shape == (1, 8, 3, 40)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), MemoryError("no memory")], ids=repr)
def test_a_backend_that_fails_at_a_shape_is_left_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("biotune_kernels.backends.torch_csr.backward", fail)
    assert choose() != "torch_csr"
    assert "backend torch_csr failed at this shape and is left out" in caplog.text


def test_a_large_sparse_matrix_is_never_tried_densely(monkeypatch: pytest.MonkeyPatch) -> None:
    from biotune_kernels.backends import dense

    monkeypatch.setattr(dense, "forward", lambda *_: pytest.fail("made an N x N matrix"))
    size = 30_000
    line = torch.arange(size)
    assert choose_backend(SparsePattern(line, line.roll(1), size), 2, 2, 1) != "dense"


def test_a_pass_that_the_caller_records_needs_no_graph_of_its_own() -> None:
    assert cuda_graph.unsuitable(pattern(), 1, 1) is None
    with for_recording():
        assert "the caller records" in (cuda_graph.unsuitable(pattern(), 1, 1) or "")
    assert cuda_graph.unsuitable(pattern(), 1, 1) is None
