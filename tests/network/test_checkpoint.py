import pickle
from pathlib import Path

import pytest
import torch

from biotune.errors import UserError
from biotune.network import load_checkpoint, save_checkpoint


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
    torch.save({"epoch": Bomb()}, tmp_path / "bomb.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pt", "raw.pt"):
        with pytest.raises(UserError, match=name):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "cut.pt", {"values": torch.zeros(1000)})
    whole = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.pt: not a checkpoint"):
        load_checkpoint(tmp_path / "cut.pt")
