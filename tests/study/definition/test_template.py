"""The study that `biotune new` writes."""

import re
from pathlib import Path

import numpy as np
import pytest

from biotune.cli import main
from biotune.connectome import load_connectome
from biotune.study import load_study
from biotune.study.definition.examples import example
from biotune.study.definition.template import name_of_arm, template


def written(folder: Path, *options: str) -> Path:
    file = folder / "mine.yaml"
    assert main(["new", str(file), *options]) == 0
    return file


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")


def test_of_marmoset_it_is_the_default_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path)
    assert f"biotune run {file} --quick" in capsys.readouterr().out
    mine, default = (load_study(one).resolved() for one in (file, example("seq_mem")))
    for key in mine:
        if key not in ("name", "description"):
            assert mine[key] == default[key], key
    assert max(map(len, file.read_text().splitlines())) <= 120


def test_what_stands_behind_a_comment_sign_is_the_default(tmp_path: Path) -> None:
    file = written(tmp_path)
    text = file.read_text()
    before = load_study(file).resolved()
    keys = re.findall(r"^  # (\w+): .*$", text, re.M)
    assert len(keys) > 15
    for key in keys:
        if key not in ("frobenius_norm", "path"):  # one of the two scales is set; no file is named null
            file.write_text(re.sub(rf"^  # ({key}: )", r"  \1", text, flags=re.M))
            assert load_study(file).resolved() == before, key


@pytest.mark.parametrize("kind", ["regions", "self", "neurons"])
def test_of_a_file_it_can_be_run(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(1)
    size = 200 if kind == "neurons" else 20
    matrix = generator.random((size, size)) * (generator.random((size, size)) < 0.2)
    if kind == "regions":
        np.fill_diagonal(matrix, 0)
    np.savetxt(tmp_path / "my data.csv", matrix, delimiter=",")
    file = written(tmp_path, "--connectome", str(tmp_path / "my data.csv"))
    assert f"my data: {size} nodes, {np.count_nonzero(matrix)} edges" in capsys.readouterr().out
    study = load_study(file)
    assert study.config.reference_arm == "my_data"
    from biotune.study.plans.plans import Plans

    assert set(Plans.load(study).topologies) == {"my_data", "weights", "degrees", "random"}


@pytest.mark.parametrize(
    ("name", "arm"), [("distance_rule:marmoset", "distance_rule_marmoset"), ("a b/c", "a_b_c"), ("ö", "connectome")]
)
def test_an_arm_gets_a_name_that_files_can_have(name: str, arm: str) -> None:
    assert name_of_arm(name) == arm
    connectome = load_connectome("distance_rule:marmoset")
    assert f"reference_arm: {arm}" in template("x", connectome, {"name": name})


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = written(tmp_path)
    for arguments, said in (
        ([str(there)], "is there already; name another file, or remove it"),
        ([str(tmp_path / "study.txt")], "a study is a YAML file; name it study.txt.yaml"),
        ([str(tmp_path / "no" / "a.yaml")], "there is no folder"),
        ([str(tmp_path / "a.yaml"), "--connectome", "marmosett"], "did you mean 'marmoset'"),
    ):
        assert main(["new", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "a.yaml").exists()
