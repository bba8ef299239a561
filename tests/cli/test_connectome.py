"""`biotune connectome`, as it is typed."""

import os
from pathlib import Path

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
