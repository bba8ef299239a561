"""A study's YAML: what it means. Every key is documented, and the studies that come along are valid."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from biotune.study import load_study
from biotune.study.definition.config import StudyConfig
from biotune.study.definition.load import QUICK

WriteSpace = Callable[..., Path]


def test_every_default_is_written_out_and_reads_back_as_the_same_study(small_space: Path, tmp_path: Path) -> None:
    study = load_study(small_space)
    resolved = study.resolved()
    assert resolved["topology"]["intrinsic_weight"] == 0.8
    null = {"name": "degree_preserving", "level": "neuron", "weights": "carried", "fraction": 1.0}
    assert resolved["arms"] == {"real": {}, "rewired": {"null": null}}
    assert resolved["criterion"] == {"metric": "validation_loss", "fraction_of_null": 0.1, "sustain": 3}
    assert resolved["description"] == "Is a small study run from end to end?"
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(resolved))
    assert load_study(again).resolved() == resolved


def test_an_arm_with_a_connectome_of_its_own_leaves_the_studys_file(write_space: WriteSpace, tmp_path: Path) -> None:
    file = "{path: mine.csv, columns: {weight: n}, otherwise: distance_rule}"
    study = load_study(
        write_space(
            ('{name: "distance_rule:mouse_gamanut"}', file),
            ("  real: {}", "  real: {connectome: {name: macaque}}\n  signed: {connectome: {signed: true}}"),
        )
    )
    real, signed, rewired = (study.arms[name].connectome for name in ("real", "signed", "rewired"))
    assert (real.name, real.path, real.options, real.otherwise) == ("macaque", None, {}, "distance_rule")
    assert (rewired.name, rewired.path) == ("mine", str(tmp_path / "mine.csv"))
    assert rewired.options == {"columns": {"weight": "n"}}
    assert signed.options == {"columns": {"weight": "n"}, "signed": True}


def test_an_arm_overrides_what_it_names_and_keeps_the_rest(write_space: WriteSpace) -> None:
    study = load_study(write_space(("  real: {}", "  real: {topology: {spectral_radius: as_it_comes}}")))
    assert study.arms["real"].topology.spectral_radius is None
    assert study.arms["real"].topology.neurons_per_region == 2
    assert study.arms["rewired"].topology.spectral_radius == 0.9


def test_overrides_seed_and_arms(small_space: Path) -> None:
    study = load_study(
        small_space,
        overrides=["search.trials_per_arm=7", "arms.third.null={name: erdos_renyi, level: neuron}"],
        seed=99,
        arms=["third"],
    )
    assert study.config.search.trials_per_arm == 7
    assert study.config.seed == 99
    assert list(study.arms) == ["real", "third"]


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A section and all that lie in it."""
    found = [model]
    for field in model.model_fields.values():
        pending = [field.annotation]
        while pending:
            annotation = pending.pop()
            pending += get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                found += sections(annotation)
    return found


@pytest.mark.parametrize("section", sections(StudyConfig), ids=lambda section: section.__name__)
def test_every_key_is_documented(section: type[BaseModel]) -> None:
    page = Path("docs/study.md").read_text()
    for name, field in section.model_fields.items():
        key = field.alias or name
        assert re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", page), f"docs/study.md lacks the key {key}"


@pytest.mark.parametrize("space", sorted(Path("search_spaces").glob("*.yaml")), ids=lambda file: file.name)
def test_the_studies_that_come_along_are_valid(space: Path) -> None:
    assert load_study(space).arms


def test_a_file_does_not_keep_the_name_of_the_catalogue(small_space, tmp_path):
    study = load_study(small_space, overrides=["connectome.name=marmoset", f"connectome.path={tmp_path / 'mine.csv'}"])
    assert study.config.connectome.name == "mine"
    study = load_study(small_space, overrides=["connectome.name=ours", f"connectome.path={tmp_path / 'mine.csv'}"])
    assert study.config.connectome.name == "ours"


class TestPaths:
    def test_are_relative_to_the_yaml(self, write_space, tmp_path, monkeypatch):
        (tmp_path / "mine.csv").write_text("source,target,weight\na,b,1\nb,a,1\n")
        file = write_space(('name: "distance_rule:mouse_gamanut"', "path: mine.csv"))
        monkeypatch.chdir("/")
        study = load_study(file)
        assert study.config.connectome.path == str(tmp_path / "mine.csv")
        assert not study.notes

    def test_are_taken_from_the_present_folder_with_a_note(self, write_space, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "mine.csv").write_text("source,target,weight\na,b,1\nb,a,1\n")
        file = write_space(("  real: {}", "  real: {connectome: {path: mine.csv}}"))
        monkeypatch.chdir(tmp_path / "elsewhere")
        study = load_study(file)
        assert study.arms["real"].connectome.path == str(tmp_path / "elsewhere" / "mine.csv")
        assert "mine.csv is not beside the study's YAML" in study.notes[0]
        assert study.notes[0].startswith("arms.real.connectome.path: ")

    def test_of_set_are_relative_to_the_present_folder(self, small_space, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        study = load_study(small_space, overrides=["connectome.path=mine.csv"])
        assert study.config.connectome.path == str(tmp_path / "elsewhere" / "mine.csv")


CONDITIONS = """conditions:
  primary: {}
  sparse: {topology: {target_sparsity: 0.2}}
  short: {task: {pattern_length: 1}, replicates: 2}
gain:
  scales: [0.25, 1.25, 2.5]
  learning_rates: [2.0e-3, 2.0e-2]
"""


def test_a_quick_look_is_smaller_under_the_primary_alone_and_says_what_it_leaves_out(write_space: WriteSpace) -> None:
    long = ("confirm: {replicates: 3, max_epochs: 6,", "confirm: {replicates: 6, max_epochs: 60,")
    file = write_space(long, ("reference_arm:", f"{CONDITIONS}reference_arm:"))
    whole, quick = (load_study(file, quick=asked) for asked in (False, True))
    assert (whole.config.quick, quick.config.quick) == (False, True)
    assert list(quick.conditions) == [whole.primary]
    for section in ("search", "confirm"):
        for key, most in QUICK[section].items():
            found, before = (getattr(getattr(one.config, section), key) for one in (quick, whole))
            assert found == min(before, most)
    [note] = [note for note in quick.notes if "--quick" in note]
    assert "no result" in note
    assert "without the gain sweep" in note
    for name in list(whole.config.conditions)[1:]:
        assert name in note
    assert not any("--quick" in note for note in whole.notes)
