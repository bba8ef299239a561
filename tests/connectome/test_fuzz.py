"""Damaged files of every kind: each is read, or refused in one line; none ends the process or takes its memory."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest
import scipy.io
import scipy.sparse

from biotune.connectome.readers.child import Child
from biotune.connectome.readers.read import read_edges
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

MATRIX = np.array([[0.0, 2.0, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 3.0]])
TABLE = pd.DataFrame({"source": ["a", "b", "c"], "target": ["b", "c", "a"], "weight": [1.0, 2.5, 3.0]})
GRAPH = nx.DiGraph()
GRAPH.add_weighted_edges_from([("a", "b", 2.0), ("b", "c", 1.0), ("c", "a", 0.5)])


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def feather_1(file: io.BytesIO) -> None:
    import pyarrow.feather

    pyarrow.feather.write_feather(TABLE, file, version=1)


SEEDS = {
    "npy": written(lambda file: np.save(file, MATRIX)),
    "npz": written(lambda file: np.savez(file, w=MATRIX)),
    "npz, deflated": written(lambda file: np.savez_compressed(file, w=MATRIX)),
    **{
        kind: written(lambda file, k=kind: scipy.sparse.save_npz(file, scipy.sparse.coo_array(MATRIX).asformat(k)))
        for kind in ("csr", "csc", "coo")
    },
    "mat 4": written(lambda file: scipy.io.savemat(file, {"W": MATRIX}, format="4")),
    "mat 5": written(lambda file: scipy.io.savemat(file, {"W": MATRIX})),
    "mat 5, deflated": written(lambda file: scipy.io.savemat(file, {"W": MATRIX}, do_compression=True)),
    "mat 5, sparse": written(lambda file: scipy.io.savemat(file, {"W": scipy.sparse.csc_array(MATRIX)})),
    "mat 5, struct": written(lambda file: scipy.io.savemat(file, {"S": {"W": MATRIX}})),
    "parquet": written(TABLE.to_parquet),
    "feather 2": written(TABLE.to_feather),
    "feather 1": written(feather_1),
    "csv": TABLE.to_csv(index=False).encode(),
    "csv, quoted": TABLE.to_csv(index=False, quoting=csv.QUOTE_ALL).encode(),
    "blanks": TABLE.to_string(index=False).encode(),
    "matrix": pd.DataFrame(MATRIX, index=list("abc"), columns=list("abc")).to_csv().encode(),
    "graphml": written(lambda file: nx.write_graphml(GRAPH, file)),
    "gexf": written(lambda file: nx.write_gexf(GRAPH, file)),
    "gml": written(lambda file: nx.write_gml(GRAPH, file)),
    "pajek": written(lambda file: nx.write_pajek(GRAPH, file)),
    "matrixmarket": written(lambda file: scipy.io.mmwrite(file, scipy.sparse.coo_array(MATRIX))),
}
"""A small valid file of every kind that is read."""


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    made = Child(seconds=60)
    yield made
    made.close()


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """The content with one to four changes: bytes flipped, set, cut out, put in, repeated; or cut short."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 5)):
        place, length = int(random.integers(len(changed) + 1)), int(random.integers(1, 9))
        match int(random.integers(6)):
            case 0:
                for at in range(place, min(place + 1, len(changed))):
                    changed[at] ^= 1 << int(random.integers(8))
            case 1:
                changed[place : place + length] = random.bytes(len(changed[place : place + length]))
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = random.bytes(length)
            case 4:
                changed[place:place] = changed[place : place + length] * int(random.integers(1, 50))
            case _:
                del changed[max(place, 1) :]
    return bytes(changed)


def read_all(child: Child, kind: str, mutations: int, folder: Path) -> int:
    """How many mutations were read; the others were refused in one line."""
    random = np.random.default_rng([len(kind), *kind.encode()])
    file, read = folder / "mine", 0
    for _ in range(mutations):
        file.write_bytes(mutated(SEEDS[kind], random))
        refused = ""
        try:
            edges, _digest = child.read(file, Reading())
        except UserError as error:
            refused = str(error)
        else:
            read += 1
            assert edges.size > 0
            assert np.isfinite(edges.weight).all()
            assert min(edges.source.min(), edges.target.min()) >= 0
            assert max(edges.source.max(), edges.target.max()) < edges.size
        assert "\n" not in refused, (kind, file.read_bytes())
    return read


@pytest.mark.parametrize("kind", SEEDS)
def test_each_kind_is_read_undamaged_and_some_mutations_are_refused(child, kind, tmp_path):
    (tmp_path / "mine").write_bytes(SEEDS[kind])
    reading = Reading(variable="S.W") if kind == "mat 5, struct" else Reading()
    edges, _ = child.read(tmp_path / "mine", reading)
    assert (edges.size, len(edges.source)) in ((3, 4), (3, 3))
    mutations = 3 if kind == "feather 1" else 20  # most of its mutations end the child, which takes seconds to start
    assert read_all(child, kind, mutations, tmp_path) < mutations


@pytest.mark.long
@pytest.mark.parametrize("kind", SEEDS)
def test_thousands_of_mutations(child, kind, tmp_path):
    read_all(child, kind, 40 if kind == "feather 1" else 400, tmp_path)


def test_rows_that_do_not_fit_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({name: pa.array(np.ones(2_000_000, dtype=np.int8)) for name in ("source", "target", "weight")})
    packed = written(lambda file: pa.parquet.write_table(table, file))
    assert len(packed) < 100_000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**25))
    with pytest.raises(UserError, match=r"mine: has 2,000,000 rows, which take at least 0.0447 GiB of memory"):
        read_edges(packed, "mine")


class TestTheChild:
    def test_is_started_anew_after_a_crash(self, tmp_path):
        child = Child(seconds=60)
        (tmp_path / "good.npy").write_bytes(SEEDS["npy"])
        child.read(tmp_path / "good.npy", Reading())
        assert child._process is not None
        child._process.kill()
        child._process.wait()
        edges, _ = child.read(tmp_path / "good.npy", Reading())
        assert len(edges.source) == 4
        child.close()

    def test_has_so_much_time(self, tmp_path):
        child = Child(seconds=0.01)
        (tmp_path / "good.npy").write_bytes(SEEDS["npy"])
        with pytest.raises(UserError, match=r"good.npy: reading it took more than 0.01 s"):
            child.read(tmp_path / "good.npy", Reading())
        assert child._process is None

    @pytest.mark.skipif("sys.platform != 'linux'")
    def test_has_so_much_memory(self, tmp_path):
        child = Child(seconds=60, memory=2**28)
        (tmp_path / "large.npy").write_bytes(written(lambda file: np.save(file, np.ones((6000, 6000)))))
        with pytest.raises(UserError, match=r"large.npy: .*memory"):
            child.read(tmp_path / "large.npy", Reading())
        child.close()

    def test_says_why_a_file_cannot_be_opened(self, child, tmp_path):
        with pytest.raises(UserError, match="No such file or directory; name the connectome's file"):
            child.read(tmp_path / "gone.csv", Reading())
