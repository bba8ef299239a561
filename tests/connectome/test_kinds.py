"""What other programs write: graphs, old MATLAB files, stacks of subjects; and what is named for what it is."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from biotune.connectome.readers.edges import RawEdges
from biotune.connectome.readers.read import read_edges
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

MATRIX = np.array([[0.0, 2.0, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 3.0]])


def read(content: bytes, **options: Any) -> RawEdges:
    return read_edges(content, "mine", Reading(**options))


def pairs(edges: RawEdges) -> dict[tuple[str, str], float]:
    assert edges.labels is not None
    ends = zip(edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), strict=True)
    return {(edges.labels[source], edges.labels[target]): weight for source, target, weight in ends}


def matrix(edges: RawEdges) -> np.ndarray:
    made = np.zeros((edges.size, edges.size))
    made[edges.source, edges.target] = edges.weight
    return made


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def graph(kind: type[nx.Graph] = nx.DiGraph) -> Any:
    made = kind()
    for number, name in enumerate(("ABL", "ABR", "mu1")):
        made.add_node(f"n{number}", name=name)
    made.add_weighted_edges_from([("n0", "n1", 5.0), ("n1", "n2", 4.0), ("n2", "n0", 2.5)])
    return made


WRITERS = {
    "GraphML": nx.write_graphml,
    "GEXF": nx.write_gexf,
    "GML": nx.write_gml,
}


class TestGraphs:
    @pytest.mark.parametrize("kind", WRITERS)
    def test_nodes_have_the_names_that_an_attribute_gives_them(self, kind):
        content = written(lambda file: WRITERS[kind](graph(), file))
        expected = {("ABL", "ABR"): 5, ("ABR", "mu1"): 4, ("mu1", "ABL"): 2.5}
        assert pairs(read(content)) == expected
        assert pairs(read(content, labels="name")) == expected
        assert pairs(read(content, keep="AB.")) == {("ABL", "ABR"): 5}
        with pytest.raises(UserError, match=r"not every node has a region of its own; nodes have .*name"):
            read(content, labels="region")

    @pytest.mark.parametrize("kind", WRITERS)
    def test_edges_without_direction_go_both_ways_and_that_is_said(self, kind):
        found = read(written(lambda file: WRITERS[kind](graph(nx.Graph), file)))
        assert pairs(found)["ABL", "ABR"] == pairs(found)["ABR", "ABL"] == 5
        assert len(found.source) == 6
        assert "each was taken both ways" in found.notes[0]

    def test_pajek(self):
        made = nx.DiGraph()
        made.add_weighted_edges_from([("a", "b", 2.0), ("b", "a", 1.5)])
        assert pairs(read(written(lambda file: nx.write_pajek(made, file)))) == {("a", "b"): 2, ("b", "a"): 1.5}

    def test_gml_as_newman_writes_it(self):
        content = (
            'Creator "x"\ngraph\n[\n  directed 1\n  node\n  [\n    id 1\n    label "A"\n  ]\n  node\n  [\n    id 2\n'
            '    label "B"\n  ]\n  edge\n  [\n    source 1\n    target 2\n    value 3\n  ]\n]\n'
        )
        assert pairs(read(content.encode())) == {("A", "B"): 3}

    @pytest.mark.parametrize("symmetry", ["general", "symmetric"])
    def test_matrix_market(self, symmetry):
        values = MATRIX if symmetry == "general" else MATRIX + MATRIX.T
        for made in (scipy.sparse.coo_array(values), values):
            content = written(lambda file, m=made: scipy.io.mmwrite(file, m, symmetry=symmetry))
            assert np.array_equal(matrix(read(content)), values)
            assert np.array_equal(matrix(read(content, transposed=True)), values.T)

    def test_definitions_that_could_grow_without_end_are_refused(self):
        bomb = b'<?xml version="1.0"?><!DOCTYPE g [<!ENTITY a "aaaa">]><graphml><graph/></graphml>'
        with pytest.raises(UserError, match="definitions of its own"):
            read(bomb)


class TestMatlab:
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_version_4_in_both_byte_orders(self, order):
        content = written(lambda file: scipy.io.savemat(file, {"W": MATRIX}, format="4"))
        if order == ">":
            head = np.frombuffer(content[:20], "<i4").astype(">i4")
            head[0] += 1000
            values = np.frombuffer(content[22:], "<f8").astype(">f8").tobytes()
            content = head.tobytes() + content[20:22] + values
        assert np.array_equal(matrix(read(content)), MATRIX)

    def test_a_struct_lists_its_fields_and_one_is_taken(self):
        content = written(lambda file: scipy.io.savemat(file, {"SC": {"weights": MATRIX, "labels": ["a", "b", "c"]}}))
        with pytest.raises(UserError, match=r"the struct SC with weights, labels; .*connectome.variable: SC.weights"):
            read(content)
        assert np.array_equal(matrix(read(content, variable="SC.weights")), MATRIX)
        with pytest.raises(UserError, match="SC has no field 'W'; it has weights, labels"):
            read(content, variable="SC.W")


class TestStacks:
    STACK = np.stack([MATRIX, 3 * MATRIX, np.zeros((3, 3)), np.eye(3)])

    @pytest.mark.parametrize("axis", [0, 2])
    def test_take_a_subject_the_mean_or_a_consensus(self, axis):
        content = written(lambda file: np.save(file, np.moveaxis(self.STACK, 0, axis)))
        with pytest.raises(UserError, match=r"a stack of 4 matrices; take one as connectome.subject: 0 \(to 3\)"):
            read(content)
        assert np.array_equal(matrix(read(content, subject=1)), 3 * MATRIX)
        assert np.allclose(matrix(read(content, subject="mean")), self.STACK.mean(axis=0))
        have = (self.STACK != 0).sum(axis=0)
        consensus = np.where(have >= 2, self.STACK.sum(axis=0) / np.maximum(have, 1), 0)
        assert np.allclose(matrix(read(content, subject="consensus")), consensus)
        with pytest.raises(UserError, match="subject: 4 is none of 0 to 3"):
            read(content, subject=4)

    def test_one_matrix_has_no_subjects(self):
        with pytest.raises(UserError, match="means nothing for one matrix"):
            read(written(lambda file: np.save(file, MATRIX)), subject="mean")

    @pytest.mark.parametrize(
        "options", [{"subject": "median"}, {"missing": "zero"}, {"decimal": ";"}, {"subject": True}]
    )
    def test_options_that_are_not_known(self, options):
        with pytest.raises(UserError, match="is none of"):
            Reading(**options)


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet .*save its sheet as CSV"),
        (archive("mimetype", "content.xml"), "a spreadsheet .*save its sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "Excel 97"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 8192\n", "git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "a web page"),
        (json.dumps({"nodes": [], "links": []}).encode(), "JSON; write its edges as CSV"),
        (json.dumps([[0, 1], [1, 0]]).encode(), "JSON; write its edges as CSV"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"RDX3\nX\n" + bytes(10), "R's data"),
        (b"Rar!\x1a\x07", "decompress it"),
        (b"%PDF-1.7\n", "a PDF"),
        (archive("edges.csv"), "unzip it"),
    ],
)
def test_what_is_not_read_is_named_for_what_it_is(content, message):
    with pytest.raises(UserError, match=message) as error:
        read(content)
    assert "\n" not in str(error.value)
