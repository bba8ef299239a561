"""Every layout that is read: small files, written here, and what is wrong with those that are refused."""

import gzip
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import Connectome, load_connectome
from biotune.connectome.readers.read import read_cell_types, read_edges, read_names
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

MATRIX = np.array([[0.0, 2.0, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 3.0]])
FLYWIRE = 720575940600000000
"""Ids of that size are beyond 2^53: next to each other, they are the same floating-point number."""

Read = Callable[..., Connectome]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads bytes or text as a user's file, of a name that says nothing."""

    def read(content: bytes | str, **options: Any) -> Connectome:
        file = tmp_path / "mine"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_connectome("mine", path=str(file), **options)

    return read


def pairs(made: Connectome) -> dict[tuple[str, str], float]:
    """(source, target) -> weight, by label."""
    assert made.labels is not None
    ends = zip(made.source.tolist(), made.target.tolist(), made.weight.tolist(), strict=True)
    return {(made.labels[source], made.labels[target]): weight for source, target, weight in ends}


class Bomb:
    """Its unpickling would raise another error than the reader's."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle ran')",))


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    return written(lambda file: np.save(file, array))


def npz(**arrays: np.ndarray) -> bytes:
    return written(lambda file: np.savez(file, **arrays))


def mat(**matrices: object) -> bytes:
    return written(lambda file: scipy.io.savemat(file, matrices))


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "source,target,weight\n")
    return file.getvalue()


def text(matrix: np.ndarray, separator: str = ",") -> str:
    return "\n".join(separator.join(map(str, row)) for row in matrix.tolist())


LABELLED = pd.DataFrame(MATRIX, index=["V1", "V2", "V4"], columns=["V1", "V2", "V4"])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(npy(MATRIX), id="npy"),
        pytest.param(npy(np.asfortranarray(MATRIX.astype(np.float32))), id="npy of float32"),
        pytest.param(npz(weights=MATRIX), id="npz"),
        *(
            pytest.param(
                written(lambda f, k=kind: scipy.sparse.save_npz(f, scipy.sparse.coo_array(MATRIX).asformat(k))), id=kind
            )
            for kind in ("csr", "csc", "coo")
        ),
        pytest.param(mat(W=MATRIX), id="mat"),
        pytest.param(mat(W=MATRIX, name="a text", number=3.0), id="mat with one matrix and other things"),
        pytest.param(mat(W=scipy.sparse.csc_array(MATRIX)), id="sparse mat"),
        *(pytest.param(text(MATRIX, mark), id=f"text, {mark!r}") for mark in (",", "\t", ";", " ", "   ")),
        pytest.param("# from somewhere\n\n" + text(MATRIX) + "\n\n", id="text with a comment and blank lines"),
        pytest.param("\ufeff" + text(MATRIX), id="text with a byte order mark"),
        pytest.param(text(MATRIX).replace("\n", "\r\n"), id="text as Windows writes it"),
        pytest.param(LABELLED.to_csv(), id="text with labels"),
        pytest.param(LABELLED.to_csv(sep="\t"), id="text with labels and tabs"),
        pytest.param(LABELLED.to_csv(header=False), id="text with labels of rows"),
        pytest.param(LABELLED.to_csv(index=False), id="text with labels of columns"),
        pytest.param("V1 V2 V4\n" + LABELLED.to_csv(header=False, sep=" "), id="text with labels and no corner"),
        pytest.param(pd.DataFrame(MATRIX).to_csv(), id="text with labels that are numbers"),
    ],
)
def test_matrices_in_every_layout(read, content):
    made = read(content)
    assert np.array_equal(made.matrix(), MATRIX.T)
    assert np.array_equal(read(content, transposed=True).matrix(), MATRIX)
    assert made.provenance.kind == "file"


@pytest.mark.parametrize("content", [LABELLED.to_csv(), LABELLED.to_csv(index=False), LABELLED.to_csv(header=False)])
def test_labels_of_a_matrix_are_kept(read, content):
    assert read(content).labels == ("V1", "V2", "V4")


def test_one_of_several_matrices_is_named(read):
    for content in (mat(FLN=MATRIX, SLN=MATRIX.T), npz(FLN=MATRIX, SLN=MATRIX.T)):
        assert np.array_equal(read(content, variable="SLN").matrix(), MATRIX)
        with pytest.raises(UserError, match=r"2 matrices \(FLN, SLN\); name one as connectome.variable"):
            read(content)
        with pytest.raises(UserError, match="no matrix 'XLN'; it has FLN, SLN"):
            read(content, variable="XLN")


@pytest.mark.parametrize(
    "names",
    [
        ("source", "target", "weight"),
        ("Source", "Target", "Weight"),
        ("pre", "post", "synapses"),
        ("bodyId_pre", "bodyId_post", "weight"),
        ("pre_root_id", "post_root_id", "syn_count"),
        ("pre_pt_root_id", "post_pt_root_id", "syn_count"),
        ("Presynaptic_Index", "Postsynaptic_Index", "Excitatory x Connectivity"),
    ],
)
@pytest.mark.parametrize("layout", ["csv", "tsv", "semicolons", "spaces", "parquet", "feather"])
def test_edge_lists_in_every_layout_with_the_names_that_the_field_uses(read, names, layout):
    ids = [FLYWIRE, FLYWIRE + 1, FLYWIRE + 2]
    table = pd.DataFrame(
        {"confidence": 0.5, names[0]: [ids[0], ids[2], ids[2]], names[1]: [ids[1], ids[0], ids[1]], names[2]: [5, 3, 1]}
    )
    if layout == "spaces":
        if " " in names[2]:
            pytest.skip("a name with blanks cannot be in a table that is separated by them")
        content: bytes | str = table.to_string(index=False)
    else:
        separator = {"csv": ",", "tsv": "\t", "semicolons": ";"}.get(layout)
        if separator:
            content = table.to_csv(index=False, sep=separator)
        else:
            content = written(table.to_parquet if layout == "parquet" else table.to_feather)
    made = read(content)
    one, two, three = map(str, ids)
    assert pairs(made) == {(one, two): 5, (three, one): 3, (three, two): 1}
    assert made.labels == (one, two, three)  # neighbours beyond 2^53 are not one node


@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(1, 1000)),
        min_size=1,
        max_size=30,
    )
)
def test_ids_are_64_bit_integers_and_rows_of_a_pair_are_summed(rows):
    expected: dict[tuple[str, str], float] = {}
    for source, target, weight in rows:
        expected[str(source), str(target)] = expected.get((str(source), str(target)), 0) + weight
    table = pd.DataFrame(rows, columns=["pre", "post", "synapses"])
    for content in (table.to_csv(index=False).encode(), written(table.to_parquet)):
        edges = read_edges(content, "file")
        assert edges.labels is not None
        assert [int(label) for label in edges.labels] == sorted({end for row in rows for end in row[:2]})
        ends = zip(edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), strict=True)
        assert {(edges.labels[source], edges.labels[target]): weight for source, target, weight in ends} == expected


def test_names_are_ids_too_and_blanks_around_them_are_none_of_theirs(read):
    made = read("Source,Target,Weight,Type\nAVAL ,  AVAR,10,chemical\n AVAR,23,2,chemical\n")
    assert pairs(made) == {("AVAL", "AVAR"): 10, ("AVAR", "23"): 2}


def test_columns_by_name_and_by_number(read):
    assert pairs(read("from,to,n\na,b,1\n", columns={"source": "from", "target": "to", "weight": "n"})) == {
        ("a", "b"): 1
    }
    assert pairs(read("a,b,1\n", columns={"source": 0, "target": 1, "weight": 2})) == {("a", "b"): 1}
    assert pairs(read("a b 1\nb a 2\n", columns={"source": 1, "target": 0, "weight": 2})) == {
        ("b", "a"): 1,
        ("a", "b"): 2,
    }


def test_rows_are_counted_where_that_is_asked_for(read):
    content = "pre_pt_root_id,post_pt_root_id,size\n1,2,900\n1,2,30\n2,1,5\n"
    with pytest.raises(UserError, match="no column known for the weight"):
        read(content)
    assert pairs(read(content, columns={"weight": None})) == {("1", "2"): 2, ("2", "1"): 1}


@pytest.mark.parametrize("kind", ["csv", "spaces", "parquet"])
def test_rows_are_chosen_by_what_a_column_says(read, kind):
    table = pd.DataFrame(
        {"source": ["a", "a", "b"], "target": ["b", "b", "a"], "weight": [1, 2, 4], "Type": ["x", "y", "z"]}
    )
    content = {
        "csv": table.to_csv(index=False),
        "spaces": table.to_string(index=False),
        "parquet": written(table.to_parquet),
    }[kind]
    assert pairs(read(content, rows={"Type": "x"})) == {("a", "b"): 1}
    assert pairs(read(content, rows={"Type": ["y", "z"]})) == {("a", "b"): 2, ("b", "a"): 4}
    with pytest.raises(UserError, match="no row has Type w; there are x, y, z"):
        read(content, rows={"Type": "w"})
    with pytest.raises(UserError, match="no column 'Kind'"):
        read(content, rows={"Kind": "x"})


FLY = """pre_root_id,post_root_id,neuropil,syn_count,nt_type
1,2,AL_L,5,ACH
1,2,ME_R,3,ACH
2,1,AL_L,4,GABA
3,1,AL_L,2,GLUT
"""


def test_transmitters_give_signs_and_neuropils_are_summed(read):
    made = read(FLY)
    assert made.signed
    assert pairs(made) == {("1", "2"): 8, ("2", "1"): -4, ("3", "1"): -2}
    assert pairs(read(FLY, transmitters={"glut": 1}))["3", "1"] == 2
    assert not read(FLY, columns={"transmitter": None}).signed


def test_a_transmitter_without_a_sign_is_asked_for(read):
    content = FLY + "3,2,AL_L,1,DA\n2,3,AL_L,1,\n"
    with pytest.raises(UserError, match=r"sign isn't known: unknown, DA"):
        read(content)
    made = read(content, transmitters={"DA": 1, "unknown": -1})
    assert pairs(made)["3", "2"] == 1
    assert pairs(made)["2", "3"] == -1


def test_pairs_that_cancel_are_no_edges_and_that_is_said(read):
    made = read("source,target,weight\na,b,1\na,b,-1\nb,a,-2\nb,b,0\n", signed=True)
    assert pairs(made) == {("b", "a"): -2}
    assert made.provenance.notes == ("2 of 3 pairs have the weight 0, or weights that cancel, and are no edges",)


def test_signed_weights_are_read_where_that_is_asked_for(read):
    assert np.array_equal(read(npy(-MATRIX), signed=True).matrix(), -MATRIX.T)
    signed = "Presynaptic_Index,Postsynaptic_Index,Connectivity,Excitatory x Connectivity\n0,1,3,-3\n"
    assert pairs(read(signed)) == {("0", "1"): -3}


def graphml(graph: nx.Graph) -> bytes:
    return written(lambda file: nx.write_graphml(graph, file))


def test_graphml(read):
    directed = nx.MultiDiGraph()
    directed.add_weighted_edges_from([("V1", "V2", 2.0), ("V1", "V2", 1.0), ("V4", "V1", 0.5)])
    assert pairs(read(graphml(directed))) == {("V1", "V2"): 3.0, ("V4", "V1"): 0.5}
    undirected = nx.Graph()
    undirected.add_edge("a", "b", fibres=7)
    undirected.add_edge("a", "a", fibres=2)
    made = read(graphml(undirected), columns={"weight": "fibres"})
    assert pairs(made) == {("a", "b"): 7, ("b", "a"): 7, ("a", "a"): 2}
    assert "both ways" in made.provenance.notes[0]
    with pytest.raises(UserError, match="edge a -> b has no weight; it has fibres"):
        read(graphml(undirected))


def test_nodes_are_kept_by_their_label(read):
    made = read(LABELLED.to_csv(), keep="V[12]")
    assert made.labels == ("V1", "V2")
    assert np.array_equal(made.matrix(), MATRIX[:2, :2].T)
    assert made.provenance.notes == ("2 of 3 nodes were kept, those whose label matches V[12]",)
    with pytest.raises(UserError, match="no edges between the 0 nodes"):
        read(LABELLED.to_csv(), keep="x")
    with pytest.raises(UserError, match="no regular expression"):
        read(LABELLED.to_csv(), keep="(")
    with pytest.raises(UserError, match="needs labels"):
        read(npy(MATRIX), keep="V1")


EDGES = "source,target,weight\na,b,1\nb,a,2\n"
PARQUET = written(pd.DataFrame({"source": [1], "target": [2], "weight": [1.0]}).to_parquet)
FLOATS = written(pd.DataFrame({"source": [1.0], "target": [2.0], "weight": [1.0]}).to_parquet)
MISSING = written(pd.DataFrame({"source": pd.array([1, None], "Int64"), "target": [2, 3], "weight": [1, 1]}).to_parquet)
TWICE = "source,target,weight,weight\na,b,1,2\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(pickle.dumps([1.0, 2.0]), "a pickle, which could run code", id="a pickle"),
        pytest.param(pickle.dumps(Bomb()), "a pickle, which could run code", id="a pickle that runs code"),
        pytest.param(pickle.dumps(Bomb(), 0), "read as a matrix", id="a pickle in text that runs code"),
        pytest.param(npy(np.array([[Bomb()]], dtype=object)), "Python objects", id="a pickle inside a .npy"),
        pytest.param(npz(w=np.array([[Bomb()]], dtype=object)), "Python objects", id="a pickle inside an .npz"),
        pytest.param(npy(np.ones((4, 4)))[:-8], "less than that is there", id="npy cut short"),
        pytest.param(npy(np.ones((4, 4)))[:20], "not readable as a .npy file", id="npy cut in its header"),
        pytest.param(npz(w=MATRIX)[:-30], "cut short", id="npz cut short"),
        pytest.param(mat(W=MATRIX)[:-30], "not readable as a .mat file", id="mat cut short"),
        pytest.param(mat(x=1.0), r"0 matrices \(none\)", id="mat without a matrix"),
        pytest.param(b"MATLAB 7.3 MAT-file" + bytes(500), "save it with -v7", id="mat of version 7.3"),
        pytest.param(PARQUET[:-20], "not readable as Parquet", id="parquet cut short"),
        pytest.param(b"ARROW1\0\0" + bytes(20), "not readable as Feather", id="feather cut short"),
        pytest.param(gzip.compress(EDGES.encode()), r"compressed \(gzip\); decompress", id="gzip"),
        pytest.param(zipped("edges.csv"), r"compressed \(zip\)", id="zip"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\n \n", "is empty", id="blank"),
        pytest.param(b"# nothing\n", "comments alone", id="comments"),
        pytest.param(b"\x00\x01\x02\xff", "of no known kind", id="bytes"),
        pytest.param("1,2\n3,4\n5,6\n", r"shape \(3, 2\); a square", id="text that is not square"),
        pytest.param("1,2,3\n4,5,6\n7,8\n", "row 3 has 2 numbers, the rows before it 3", id="text cut short"),
        pytest.param("1,2\n3,x\n", "row 2, column 2 is 'x'; a number", id="text with a word"),
        pytest.param(
            ",a,b\na,1,2\nc,3,4\n", "labels of its columns are not those of its rows", id="labels that differ"
        ),
        pytest.param(npy(np.ones((3, 4))), r"shape \(3, 4\)", id="not square"),
        pytest.param(npy(np.ones(4)), r"shape \(4,\)", id="a vector"),
        pytest.param(npy(np.array([[0, 1j], [0, 0]])), "complex128", id="complex"),
        pytest.param(npy(np.array([["a"]])), "<U1", id="strings"),
        pytest.param(
            npy(np.array([[0.0, -1.0], [0.0, 0.0]])), r"entry \[0, 1\] is -1.0; .*connectome.signed", id="negative"
        ),
        pytest.param(npy(np.array([[0.0, 1.0], [np.nan, 0.0]])), r"entry \[1, 0\] is nan", id="NaN"),
        pytest.param(npy(np.array([[0.0, np.inf], [0.0, 0.0]])), r"entry \[0, 1\] is inf", id="infinite"),
        pytest.param(npy(np.zeros((3, 3))), "no edges", id="no edges"),
        pytest.param(npy(np.zeros((0, 0))), "no edges", id="no regions"),
        pytest.param("source,target,weight\n", "no rows", id="an edge list without rows"),
        pytest.param("source,target,weight\na,b,0\n", "no edges", id="an edge list of zeros"),
        pytest.param(TWICE, "the column 'weight' twice", id="a column twice"),
        pytest.param("a1,b1,n\na,b,1\n", r"\{source: a1, target: b1, weight: n\}", id="unknown columns"),
        pytest.param("source,target,pre,post,weight\na,b,a,b,1\n", "both pre/post and source/target", id="two pairs"),
        pytest.param(
            "source,target,weight,synapses\na,b,1,2\n", "weight or synapses may be the weight", id="two weights"
        ),
        pytest.param("source,target,n\na,b,1\n", "no column known for the weight; it has 'source'", id="no weight"),
        pytest.param("source,target,weight\na,b\n", "row 1 has 2 fields, not 3", id="a row cut short"),
        pytest.param("source,target,weight\na,b,x\n", "row 1, column weight, is 'x'", id="a weight that is no number"),
        pytest.param(
            "source target weight\na b x\n",
            "row 1, column weight, is 'x'; a number",
            id="a weight that is no number, with spaces",
        ),
        pytest.param("source,target,weight\na,b,1\nb,a,\n", "row 2, column weight, is nan", id="no weight in a row"),
        pytest.param("source,target,weight\na,b,1\nb,a,-1\n", "row 2, column weight, is -1.0", id="a negative row"),
        pytest.param("source,target,weight\na,b,1\n,a,1\n", "row 2, column source, has no id", id="no id"),
        pytest.param(
            "source,target,weight\n1,2,1\n1,2.5,1\n", "row 2, column target, has the id '2.5'", id="a fraction as id"
        ),
        pytest.param("source,target,weight\n7.2e17,2,1\n", "the id '7.2e17'.*spreadsheet", id="a rounded id"),
        pytest.param(FLOATS, "column source holds double; an id must be a whole number", id="floating-point ids"),
        pytest.param(MISSING, "row 2, column source, has no id", id="no id in Parquet"),
        pytest.param("<graphml><graph></graphml>", "not readable as GraphML", id="graphml cut short"),
    ],
)
def test_what_is_no_connectome_is_refused_by_name(read, content, message):
    with pytest.raises(UserError, match=message) as error:
        read(content)
    assert "\n" not in str(error.value)
    assert "mine" in str(error.value)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (npy(MATRIX), {"columns": {"source": "a"}}, "connectome.columns means nothing for a .npy file"),
        (EDGES, {"transposed": True}, "connectome.transposed means nothing for an edge list"),
        (EDGES, {"variable": "W"}, "connectome.variable means nothing for an edge list"),
        (EDGES, {"columns": {"source": "x"}}, "no column 'x'"),
        (EDGES, {"columns": {"origin": "source"}}, "unknown key of connectome.columns 'origin'"),
        (EDGES, {"columns": {"source": "a", "target": "a"}}, "no column 'a'"),
        (EDGES, {"columns": {"source": "source", "target": "source"}}, "must be two columns"),
        (EDGES, {"size": 3}, "connectome.size means nothing for a file"),
        (FLY, {"transmitters": {"DA": 2}}, "neither 1 nor -1"),
        (FLY, {"signed": True}, "both the weights"),
    ],
)
def test_options_that_do_not_fit_the_file_are_refused(read, content, options, message):
    with pytest.raises(UserError, match=message):
        read(content, **options)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing.npy: No such file"):
        load_connectome("mine", path=str(tmp_path / "nothing.npy"))


@given(st.binary(max_size=300))
def test_any_bytes_are_edges_or_a_user_error(content):
    for start in (b"", b"source,target,weight\n", b"PAR1", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"<graphml>"):
        try:
            edges = read_edges(start + content, "file", Reading())
        except UserError:
            continue
        assert np.all(np.isfinite(edges.weight) & (edges.weight > 0))


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


def test_cells_are_named_by_type_and_number():
    assert read_cell_types(b"K\nK\nP\nK\n", "types") == ("K1", "K2", "P1", "K3")
