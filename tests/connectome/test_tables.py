"""Text as people write it: separators, quotes, comments, headers, row names, encodings, decimal commas, gaps.

One table gives one connectome however it is written, or an error that names the row.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome.readers.edges import RawEdges
from biotune.connectome.readers.read import read_edges
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

Rows = Sequence[Sequence[object]]


def read(content: str | bytes, **options: Any) -> RawEdges:
    return read_edges(content.encode() if isinstance(content, str) else content, "mine.txt", Reading(**options))


def pairs(edges: RawEdges) -> dict[tuple[str, str], float]:
    """(source, target) -> weight, by label, or by number if there are no labels."""
    labels = edges.labels or tuple(map(str, range(edges.size)))
    ends = zip(edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), strict=True)
    return {(labels[source], labels[target]): weight for source, target, weight in ends}


def matrix(edges: RawEdges) -> list[list[float]]:
    made = np.zeros((edges.size, edges.size))
    made[edges.source, edges.target] = edges.weight
    return made.tolist()


def written(rows: Rows, separator: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(rows)
    return file.getvalue()


SEPARATORS = [",", "\t", ";", "|", " "]
NAMES = st.builds(str.__add__, st.sampled_from("abXY"), st.text("abXY0123.-_ ,;|#%/\t", max_size=7)).map(str.strip)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.integers(1, 99)), min_size=1, max_size=12),
    st.sampled_from([("source", "target", "weight"), ("from", "to", "strength"), ("body_pre", "body_post", "weight")]),
)
def test_one_edge_list_is_one_connectome_under_every_separator_and_quoting(edges, header):
    expected: dict[tuple[str, str], float] = {}
    for source, target, weight in edges:
        expected[source, target] = expected.get((source, target), 0) + weight
    for separator in SEPARATORS:
        for quoting in (csv.QUOTE_NONNUMERIC, csv.QUOTE_ALL):
            assert pairs(read(written([header, *edges], separator, quoting))) == expected


@given(st.sampled_from(SEPARATORS), st.data())
def test_names_that_hold_the_separator_without_quotes_are_never_read_as_something_else(separator, data):
    """Each row is as it should be, or the error names a row or the columns."""
    with_separator = st.tuples(NAMES, NAMES).map(lambda two: two[0] + separator + two[1])
    row = st.tuples(st.one_of(NAMES, with_separator), st.one_of(NAMES, with_separator), st.integers(1, 99))
    edges = data.draw(st.lists(row, min_size=1, max_size=8))
    expected: dict[tuple[str, str], float] = {}
    for source, target, weight in edges:
        expected[source, target] = expected.get((source, target), 0) + weight
    body = "\n".join(separator.join(map(str, row)) for row in [("source", "target", "weight"), *edges])
    message, found = "", {}
    try:
        found = pairs(read(body))
    except UserError as error:
        message = str(error)
    assert found == expected or "row" in message or "column" in message


@given(st.integers(2, 6), st.data())
def test_one_matrix_is_one_connectome_under_every_separator_quoting_and_labelling(size, data):
    entries = st.lists(st.integers(0, 9), min_size=size, max_size=size)
    values = data.draw(st.lists(entries, min_size=size, max_size=size).filter(lambda rows: any(map(any, rows))))
    names = data.draw(st.lists(NAMES, min_size=size, max_size=size, unique=True))
    labelled = [[name, *row] for name, row in zip(names, values, strict=True)]
    for separator in SEPARATORS:
        for quoting in (csv.QUOTE_NONNUMERIC, csv.QUOTE_ALL):
            assert matrix(read(written(values, separator, quoting))) == values
            for head in ([["", *names]] if separator != " " or quoting == csv.QUOTE_ALL else [], [["area", *names]]):
                found = read(written([*head, *labelled], separator, quoting))
                assert matrix(found) == values
                assert found.labels == tuple(names)


EDGES = {("1", "2"): 5, ("2", "3"): 7, ("3", "1"): 4}


@pytest.mark.parametrize("mark", ["#", "%", "//", "  # "])
@pytest.mark.parametrize("separator", [",", "\t", " "])
def test_comments_are_alike_above_between_and_below_in_edge_lists_and_matrices(mark, separator):
    rows = [("1", "2", "5"), ("2", "3", "7"), ("3", "1", "4")]
    lines = [separator.join(row) for row in rows]
    commented = [f"{mark} from somewhere", "", lines[0], f"{mark} shell, 2 of 3", *lines[1:], f"{mark} the end"]
    by_name = "\n".join([f"{mark} first", separator.join(("source", "target", "weight")), *commented])
    assert pairs(read(by_name)) == EDGES
    assert pairs(read("\n".join(commented), columns={"source": 0, "target": 1, "weight": 2})) == EDGES
    found = read("\n".join(commented))  # three rows of three numbers are a matrix too
    assert matrix(found) == [[1, 2, 5], [2, 3, 7], [3, 1, 4]]
    assert found.notes[0] == "below its first row, lines that begin with #, % or // were skipped as comments: 2"


def test_a_header_that_begins_with_a_comment_mark_is_a_header():
    assert pairs(read("# made by hand\n# source target weight\n1 2 5\n2 3 7\n3 1 4\n")) == EDGES
    assert pairs(read("#from\tto\tn\n1\t2\t5\n2\t3\t7\n3\t1\t4\n", columns={"weight": "n"})) == EDGES
    found = read("# V1 V2 V4\n0 1 2\n3 0 1\n1 1 0\n")
    assert found.labels == ("V1", "V2", "V4")
    assert "labels are those of the comment" in found.notes[-1]


class TestRowNames:
    """R's write.table has row names by default, and a header that is one field short."""

    @pytest.mark.parametrize("separator", [" ", ",", "\t"])
    @pytest.mark.parametrize("quoted", [True, False])
    def test_are_no_column(self, separator, quoted):
        mark = '"' if quoted else ""
        rows = [f"{mark}{n}{mark}{separator}{separator.join(row)}" for n, row in ((7, "125"), (9, "237"), (11, "314"))]
        found = read("\n".join([separator.join(("source", "target", "weight")), *rows]))
        assert pairs(found) == EDGES
        assert "the first, such as '7', names the row" in found.notes[0]

    @pytest.mark.parametrize(
        "rows", ["area 17 18 5\narea 18 17 4", "left 17 18 5\nright 18 17 4", "1 17 18 5\n1 18 17 4", "1 2 3 4\n1 2 3"]
    )
    def test_other_surplus_fields_are_an_error(self, rows):
        with pytest.raises(UserError, match=r"row [12] has [34] fields, not [34] as its header"):
            read(f"source target weight\n{rows}\n")

    def test_of_a_matrix_are_no_labels(self):
        found = read('"","CM.1","CM.2"\n"1",0,5\n"2",4,0\n')
        assert found.labels == ("CM.1", "CM.2")
        assert pairs(found) == {("CM.1", "CM.2"): 5, ("CM.2", "CM.1"): 4}


@pytest.mark.parametrize("rows", ["a,b,1\nb,a,2,9\n", "a,b,1\nb,a\n", "a,b,1\n\nb,a,2,,\n"])
def test_a_row_of_another_length_is_named(rows):
    with pytest.raises(UserError, match=r"row 2 has .* fields, not 3"):
        read("source,target,weight\n" + rows)


def test_labels_of_a_matrix_that_are_numbers():
    for corner in ("bodyId_pre", ""):
        found = read(f"{corner},101,102\n101,0,5\n102,4,0\n")
        assert found.labels == ("101", "102")
        assert pairs(found) == {("101", "102"): 5, ("102", "101"): 4}


class TestGaps:
    def test_are_refused_with_their_true_row_and_the_option(self):
        for content in ("0,5,2\n4,,0\n0,7,0\n", "0 5 2\n4 NA 0\n0 7 0\n"):
            with pytest.raises(UserError, match=r"row 2, column 2 is .*set connectome.missing to none"):
                read(content)

    def test_are_no_edges_if_the_user_says_so(self):
        expected = {("0", "1"): 5, ("1", "0"): 4, ("2", "1"): 7}
        for content in (",5,\n4,,NaN\n0,7,\n", "NA 5 0\n4 NA 0\n0 7 NA\n"):
            assert pairs(read(content, missing="none")) == expected
        array = np.array([[np.nan, 5, 0], [4, np.nan, 0], [0, 7, np.nan]])
        file = io.BytesIO()
        np.save(file, array)
        assert pairs(read(file.getvalue(), missing="none")) == expected
        found = read("source,target,weight\na,b,\nb,a,2\n", missing="none")
        assert pairs(found) == {("b", "a"): 2}
        assert "1 rows without a weight are no edges" in found.notes

    def test_a_separator_at_the_end_of_every_row_is_none(self):
        assert pairs(read("0,5,2,\n4,0,0,\n0,7,0,\n")) == {("0", "1"): 5, ("0", "2"): 2, ("1", "0"): 4, ("2", "1"): 7}


class TestEncodings:
    CONTENT = "source,target,weight\nKöln,Łódź,5\nŁódź,Köln,2\n"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
    def test_unicode_is_known_by_its_bytes(self, encoding):
        content = self.CONTENT.encode(encoding)
        options = {"encoding": encoding} if encoding == "utf-16-le" else {}
        assert pairs(read(content, **options)) == {("Köln", "Łódź"): 5, ("Łódź", "Köln"): 2}

    def test_others_are_guessed_and_said_or_named(self):
        content = "source,target,weight\nKöln,B,5\nB,Köln,2\n".encode("cp1252")
        found = read(content)
        assert pairs(found) == {("Köln", "B"): 5, ("B", "Köln"): 2}
        assert "was read as cp1252" in found.notes[0]
        assert not read(content, encoding="latin-1").notes
        with pytest.raises(UserError, match=r"not text in utf-8 .*connectome.encoding"):
            read(content, encoding="utf-8")
        with pytest.raises(UserError, match="not text in klingon"):
            read(content, encoding="klingon")


class TestDecimalCommas:
    def test_are_named_with_the_option_and_read_with_it(self):
        table, values = "source;target;weight\na;b;0,5\nb;a;1,25\n", "0;0,5\n1,25;0\n"
        for content in (table, values):
            with pytest.raises(UserError, match=r"'0,5'; a number is needed; .*connectome.decimal to ','"):
                read(content)
        assert pairs(read(table, decimal=",")) == {("a", "b"): 0.5, ("b", "a"): 1.25}
        assert matrix(read(values, decimal=",")) == [[0, 0.5], [1.25, 0]]


class TestDirections:
    def test_one_triangle_is_noted_and_mirrored_if_the_user_says_so(self):
        symmetric = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 5]])
        for half in (np.triu(symmetric), np.tril(symmetric)):
            content = "\n".join(",".join(map(str, row)) for row in half.tolist())
            assert "set connectome.undirected to true" in read(content).notes[-1]
            assert not read(content, undirected=False).notes
            assert matrix(read(content, undirected=True)) == symmetric.tolist()
        assert not read("0,1,0\n1,0,2\n0,2,0\n").notes

    def test_rows_that_say_that_they_are_undirected_go_both_ways(self):
        content = "Source,Target,Type,Weight\nA,B,Undirected,5\nB,C,Directed,4\nC,C,Undirected,3\n"
        found = read(content)
        assert pairs(found) == {("A", "B"): 5, ("B", "A"): 5, ("B", "C"): 4, ("C", "C"): 3}
        assert "of 2 rows that they are undirected" in found.notes[0]
        assert pairs(read(content, undirected=False)) == {("A", "B"): 5, ("B", "C"): 4, ("C", "C"): 3}
        other = content.replace("Undirected", "chemical")
        assert pairs(read(other)) == pairs(read(other, undirected=False))

    def test_an_undirected_edge_that_stands_there_twice_is_refused(self):
        with pytest.raises(UserError, match="edge of a and b has no direction and stands there in both"):
            read("source,target,weight\na,b,1\nb,a,1\n", undirected=True)


def test_columns_by_names_of_the_field_in_any_spelling():
    for names in (
        "from,to,strength",
        "From_ID,To_ID,Weight",
        "body pre,body post,synapse count",
        "Pre ID,Post ID,weights",
    ):
        assert pairs(read(f"{names}\na,b,1\n")) == {("a", "b"): 1}


def test_columns_that_are_not_known_are_listed_with_what_to_copy():
    with pytest.raises(
        UserError, match=r"\{source: Quelle, target: Ziel, weight: n\}; its columns are 'Quelle', 'Ziel'"
    ):
        read("Quelle,Ziel,n\na,b,1\nb,c,2\n")
    with pytest.raises(UserError, match=r"\{source: 0, target: 1, weight: 2\}"):
        read("1 2 5\n2 3 7\n3 1 4\n1 3 1\n")
    with pytest.raises(UserError, match=r"\{source: 0, target: 1, weight: null\}"):
        read("% asym\n1 2\n2 3\n3 1\n1 3\n")


@pytest.mark.parametrize("between", [" ", "\t", ", ", '"', '" ', ' "'])
def test_a_line_that_is_quoted_badly_is_refused_at_once(between):
    """No pattern may try every way of dividing up what it doesn't match."""
    with pytest.raises(UserError):
        read("source,target,weight\na" + between * 5000 + '"b\n')
