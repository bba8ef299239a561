"""`biotune connectome`, as it is typed."""

import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from biotune.cli import main
from biotune.connectome import CATALOGUE, RANDOM_GRAPHS, load_connectome
from biotune.connectome.picture import binned, text_picture


def test_list_names_all(capsys):
    assert main(["connectome", "list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert {*CATALOGUE, *RANDOM_GRAPHS} <= set(printed)
    assert "  marmoset: 55 regions, 1862 edges" in printed


def test_show_prints_size_measures_and_matrix_and_writes_an_image(capsys, tmp_path):
    file = tmp_path / "picture.png"
    assert main(["connectome", "show", "distance_rule:macaque", "--png", str(file)]) == 0
    printed = capsys.readouterr().out
    rows = dict(line.strip().split(maxsplit=1) for line in printed.splitlines() if line.startswith("  "))
    assert rows["edges"] == "536"
    assert float(rows["density"]) == pytest.approx(536 / (29 * 28), rel=1e-3)
    assert 0 < float(rows["reciprocity"]) < 1
    assert text_picture(load_connectome("distance_rule:macaque", seed=1)) in printed
    assert file.read_bytes().startswith(b"\x89PNG")


def test_show_takes_a_file_and_how_it_is_read(capsys, tmp_path):
    file = tmp_path / "edges.csv"
    file.write_text("source,target,weight,Type\na,b,1,x\nb,a,2,y\n")
    assert main(["connectome", "show", "mine", "--path", str(file), "--set", "rows={Type: y}"]) == 0
    assert "edges                1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "marmosett"], "did you mean 'marmoset'"),
        (["show", "mine", "--path", "nowhere.csv"], "nowhere.csv: No such file"),
        (["show", "watts_strogatz", "--set", "size=10"], "connectome.neighbours is missing"),
        (["show", "watts_strogatz", "--set", "size"], "give it as KEY=VALUE"),
        (["show", "distance_rule:macaque", "--png", "nowhere/picture.png"], "--png nowhere/picture.png"),
        (["fetch", "marmosett"], "did you mean 'marmoset'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(["connectome", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_fetch_says_where_each_file_is(capsys):
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the published connectomes are needed: set BIOTUNE_DATA to a folder that has them")
    assert main(["connectome", "fetch", "all"]) == 0
    printed = capsys.readouterr().out
    for entry in CATALOGUE.values():
        assert str(Path(os.environ["BIOTUNE_DATA"]) / entry.file.path) in printed


def test_fetch_fails_where_the_file_cannot_be_had(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BIOTUNE_DATA", str(tmp_path))
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path))
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")
    assert main(["connectome", "fetch", "celegans"]) == 2
    assert "herm_full_edgelist.csv is not available" in capsys.readouterr().err


def test_the_picture_of_a_small_matrix_is_the_matrix():
    made = load_connectome("ring_lattice", size=5, neighbours=2)
    assert text_picture(made).splitlines() == ["▄▀▄ ▀", " ▀▄▀▄", "▀  ▀ "]


def test_bins_hold_the_mean_weight_and_no_edge_is_lost():
    made = load_connectome("erdos_renyi", seed=1, size=103, edges=2000)
    mean = binned(made, 10)
    assert mean.shape == (10, 10)
    nodes = np.bincount(np.arange(103) * 10 // 103)
    assert np.sum(mean * np.outer(nodes, nodes)) == pytest.approx(2000)
    assert np.array_equal(binned(made, 200), made.matrix())


HOSTILE = ["$\\frac{", "[bold red]", "<script>", "a\nb", "\x1b[31m", "x" * 200, "皮質", "%s{}"]


@pytest.fixture
def named(tmp_path):
    """Writes a ring of nodes with the given names, each edge stronger than the one before."""

    def write(names):
        file = tmp_path / "$a^{[b].gml"
        coded = ["".join(f"&#{ord(character)};" for character in name) for name in names]
        nodes = "".join(f'node [ id {n} label "n{n}" name "{name}" ]\n' for n, name in enumerate(coded))
        ends = ((n, (n + 1) % len(names)) for n in range(len(names)))
        edges = "".join(f"edge [ source {a} target {b} weight {a + 1}.0 ]\n" for a, b in ends)
        file.write_text(f"graph [ directed 1\n{nodes}{edges}]")
        return file

    return write


def test_show_names_all_regions_whatever_their_names(named, capsys, tmp_path):
    file, picture = named(HOSTILE), tmp_path / "picture.svg"
    assert main(["connectome", "show", "$a^{", "--path", str(file), "--png", str(picture)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  names ")]
    wanted = ["$\\frac{", "[bold red]", "<script>", "a b", "[31m", "x" * 39 + "…", "皮質", "%s{}"]
    assert line.split(maxsplit=1)[1] == ", ".join(wanted)
    drawn = ElementTree.parse(picture, ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True)))
    texts = [node.text.strip() for node in drawn.iter() if node.tag is ElementTree.Comment]
    assert texts.count("[bold red]") == texts.count("a b") == 2  # beside the rows, and below the columns


def test_show_names_the_strongest_of_many(named, capsys):
    assert main(["connectome", "show", "ring", "--path", str(named([f"r{n:02}" for n in range(61)]))]) == 0
    rows = {line[2:22].strip(): line[22:].strip() for line in capsys.readouterr().out.splitlines()}
    assert rows["names"] == "r00, r01, r02, r03, r04, …"
    assert rows["strongest sources"].startswith("r60 (61), r59 (60)")
    assert rows["strongest targets"].startswith("r00 (61), r60 (60)")
