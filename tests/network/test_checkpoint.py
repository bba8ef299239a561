import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.network import DamagedCheckpoint, load_checkpoint, save_checkpoint


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("open('exploded', 'w').close()",))


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    content = {"epoch": 3, "values": torch.arange(4.0), "losses": [torch.ones(2), torch.zeros(2)], "none": None}
    save_checkpoint(tmp_path / "a" / "b.pt", content)
    read = load_checkpoint(tmp_path / "a" / "b.pt")
    assert read["epoch"] == 3
    torch.testing.assert_close(read["losses"], content["losses"])


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "bomb.pt", {"epoch": Bomb()})
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pt", "raw.pt"):
        with pytest.raises(UserError, match=name):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"values": torch.arange(4.0)})
    assert torch.load(tmp_path / "a.pt", weights_only=True)["values"].tolist() == [0, 1, 2, 3]
    assert zipfile.ZipFile(tmp_path / "a.pt").testzip() is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("whole") / "a.pt"
    save_checkpoint(file, {"epoch": 3, "values": torch.arange(50.0), "optimizer": {0: {"step": torch.ones(1)}}})
    return file.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_or_another_length_is_named(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del changed[data.draw(st.integers(0, len(whole)) | st.just(len(whole))) :]
    file = tmp_path / "changed.pt"
    file.write_bytes(changed)
    if changed == whole:
        assert load_checkpoint(file)["epoch"] == 3
    else:
        with pytest.raises(DamagedCheckpoint, match=r"changed\.pt: not a checkpoint as it was written"):
            load_checkpoint(file)


def test_a_file_of_zeros_and_one_that_cannot_be_read_are_damaged(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "zeros.pt").write_bytes(bytes(len(whole)))
    (tmp_path / "folder.pt").mkdir()
    for name in ("zeros.pt", "folder.pt"):
        with pytest.raises(DamagedCheckpoint, match=name):
            load_checkpoint(tmp_path / name)
    with pytest.raises(UserError, match=r"none\.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
