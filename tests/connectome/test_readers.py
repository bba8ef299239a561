import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import load_connectome
from biotune.connectome.readers import read_names
from biotune.errors import UserError


class Bomb:
    """Its unpickling would raise another error than the reader's."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle ran')",))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def test_a_matrix_of_ones_own(tmp_path):
    matrix = np.array([[0.0, 2.0, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 0.0]])
    file = tmp_path / "mine.npy"
    file.write_bytes(npy(matrix))
    made = load_connectome("mine", path=str(file))
    assert np.array_equal(made.matrix(), matrix)
    assert (made.name, made.provenance.kind, made.provenance.path) == ("mine", "file", str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(pickle.dumps([1.0, 2.0]), "not a .npy file", id="a pickle"),
        pytest.param(pickle.dumps(Bomb()), "not a .npy file", id="a pickle that runs code"),
        pytest.param(npy(np.array([[Bomb()]], dtype=object)), "not a .npy file", id="a pickle inside a .npy"),
        pytest.param(npy(np.ones((4, 4)))[:-8], "not a .npy file", id="cut short"),
        pytest.param(npy(np.ones((4, 4)))[:20], "not a .npy file", id="cut in its header"),
        pytest.param(b"", "not a .npy file", id="empty"),
        pytest.param(b"1,2\n3,4\n", "not a .npy file", id="text"),
        pytest.param(npz(np.ones((2, 2))), "an .npz archive", id="npz"),
        pytest.param(npy(np.ones((3, 4))), r"shape \(3, 4\)", id="not square"),
        pytest.param(npy(np.ones(4)), r"shape \(4,\)", id="a vector"),
        pytest.param(npy(np.array([[0, 1j], [0, 0]])), "complex128", id="complex"),
        pytest.param(npy(np.array([["a"]])), "<U1", id="strings"),
        pytest.param(npy(np.array([[0.0, -1.0], [0.0, 0.0]])), r"entry \[0, 1\] is -1.0", id="negative"),
        pytest.param(npy(np.array([[0.0, 1.0], [np.nan, 0.0]])), r"entry \[1, 0\] is nan", id="NaN"),
        pytest.param(npy(np.array([[0.0, np.inf], [0.0, 0.0]])), r"entry \[0, 1\] is inf", id="infinite"),
        pytest.param(npy(np.zeros((3, 3))), "no edges", id="no edges"),
        pytest.param(npy(np.zeros((0, 0))), "no edges", id="no regions"),
    ],
)
def test_what_is_no_matrix_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "mine.npy"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        load_connectome("mine", path=str(file))
    assert "\n" not in str(error.value)
    assert "mine" in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing.npy: No such file"):
        load_connectome("mine", path=str(tmp_path / "nothing.npy"))


@given(st.lists(st.text(st.characters(codec="utf-8"))), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_names_are_read_without_unpickling_anything_but_literals(names, protocol):
    assert read_names(pickle.dumps(names, protocol), "names") == tuple(names)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Bomb()),
        pickle.dumps([Bomb()]),
        pickle.dumps([1, 2]),
        pickle.dumps("V1"),
        pickle.dumps(["V1", "V2"])[:-4],
        b"",
        b"not a pickle",
        b"\x80\x04h\x00.",
    ],
)
def test_names_that_are_anything_else_are_refused(content):
    with pytest.raises(UserError, match=r"names\.lst: not a pickled list of strings"):
        read_names(content, "names.lst")
