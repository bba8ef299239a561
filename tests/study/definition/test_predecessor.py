"""`biotune import`: a config.ini of bio_rnn_mem becomes studies with the same full grid."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biotune.cli import main
from biotune.results import Results
from biotune.study import Study, load_study
from biotune.study.search.sampler import grid_settings

COMBOS: dict[str, list[Any]] = {
    "lr": [0.0001, 0.000001],
    "nonlinearity": ["relu", "tanh"],
    "optimizer": ["Adam", "RMSprop", "SGD"],
    "pattern_length": [3],
}
TRIALS: dict[str, Any] = {"task_name": "seq_mem", "nr_of_trials": 500, "train_size": 0.8}
VALUES: dict[str, dict[str, Any]] = {
    "paths": {"path_to_network": "/data/networks/", "path_to_results": "/data/results", "pretrained": ""},
    "net": {
        "net_name": "Marmoset_Normalized",
        "rnn_size": 55,
        "nr_neurons": 4,
        "rand_partition": True,
        "random_w": False,
    },
    "trainvalidate": {"epochs": 500, "iterations": 5, "init": "default", "freeze_layer": False, "remap_w": True},
    "trialparams": {"trial_params": TRIALS},
    "combosparams": {"combos_params": COMBOS},
    "pretrainedparams": {"pretrained_epoch": 0, "pretrained_iteration": 0},
}

Write = Callable[..., Path]


@pytest.fixture
def write_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a config.ini with some values changed (None removes one); the study goes into an empty folder."""
    studies = tmp_path / "studies"
    studies.mkdir()
    monkeypatch.chdir(studies)

    def write(**changes: dict[str, Any]) -> Path:
        lines = []
        for section, values in VALUES.items():
            lines.append(f"[{section}]")
            changed = values | changes.get(section, {})
            lines += [f"{key} = {value}" for key, value in changed.items() if value is not None]
        file = tmp_path / "config.ini"
        file.write_text("\n".join(lines))
        return file

    return write


def imported(config: Path) -> list[Study]:
    """The studies that the command makes, in the order of their names."""
    assert main(["import", str(config)]) == 0
    return [load_study(file) for file in sorted(Path().iterdir())]


def test_what_was_run_there_is_what_the_study_says(write_config: Write) -> None:
    [study] = imported(write_config())
    config = study.config
    assert config.name == "marmoset_seq_mem"
    assert config.task.options == {"name": "seq_mem", "pattern_length": 3}
    assert (config.task.trials, config.task.train_share, config.task.batch) == (500, 0.8, 128)
    assert config.topology.neurons_per_region == 4
    assert config.topology.partition == "stick_breaking"
    assert config.topology.spectral_radius is None
    assert (config.network.initialisation, config.network.remap) == ("default", "signed")
    assert not config.network.freeze_recurrent
    assert config.search.replicates == 5
    assert config.search.max_epochs == config.confirm.max_epochs == 500
    assert config.search.rungs == []  # nothing is stopped early
    nulls = {name: arm.null and (arm.null.name, arm.null.level) for name, arm in study.arms.items()}
    assert nulls == {"connectome": ("direction_reversed", "neuron"), "shuffled": ("edges_shuffled", "neuron")}


def test_each_switch_is_taken_over(write_config: Write) -> None:
    changes = {
        "net": {"net_name": "Mouse_Gamanut_Normalized", "rnn_size": 19, "nr_neurons": 3, "rand_partition": False},
        "trainvalidate": {"init": "xavier", "freeze_layer": True, "remap_w": False},
    }
    [study] = imported(write_config(**changes))
    assert study.arms["connectome"].connectome.name == "mouse_gamanut"
    assert study.arms["connectome"].null is None  # stored the other way round, it ran forwards
    assert (study.config.topology.neurons_per_region, study.config.topology.partition) == (3, "equal")
    network = study.config.network
    assert (network.initialisation, network.freeze_recurrent, network.remap) == ("xavier", True, None)


@pytest.mark.parametrize(
    ("task", "condition"),
    [("seq_mem", "pattern_length"), ("nback_mem", "n_back"), ("pic_mem", "n_back"), ("pic_latent_mem", "n_back")],
)
def test_the_grid_is_the_same_in_full(write_config: Write, task: str, condition: str) -> None:
    trial = TRIALS | {"task_name": task} | ({} if task == "seq_mem" else {"trial_length": 6})
    combos = {key: values for key, values in COMBOS.items() if key != "pattern_length"} | {condition: [2, 3, 5]}
    studies = imported(write_config(trialparams={"trial_params": trial}, combosparams={"combos_params": combos}))
    found = []
    for study in studies:
        settings = grid_settings(study.config.tune)
        assert study.config.search.trials_per_arm == len(settings) == 12
        value = study.config.task.options[condition]
        assert study.config.name == f"marmoset_{task}_{condition}_{value}"
        found += [(s["learning_rate"], s["nonlinearity"], s["optimizer"], value) for s in settings]
    assert sorted(found) == sorted(itertools.product(*combos.values()))
    if task != "seq_mem":
        assert {study.config.task.trials for study in studies} == {1000}  # 500 that match, and 500 others
        assert {study.config.task.options["trial_length"] for study in studies} == {6}


def test_every_key_without_a_meaning_is_named(write_config: Write, capsys: pytest.CaptureFixture[str]) -> None:
    trial = TRIALS | {"rescale": True, "colour": "red"}
    imported(write_config(trialparams={"trial_params": trial}, net={"mood": "good"}))
    [_, ignored] = capsys.readouterr().out.split("Not used here:\n")
    keys = [line.split(":")[0].strip() for line in ignored.split("Written")[0].splitlines()]
    assert sorted(keys) == sorted(
        [
            *(f"paths.{key}" for key in VALUES["paths"]),
            *(f"pretrainedparams.{key}" for key in VALUES["pretrainedparams"]),
            *("net.mood", "net.rnn_size", "trialparams.trial_params.rescale", "trialparams.trial_params.colour"),
        ]
    )


def test_the_output_is_where_it_was_asked_for_and_nothing_is_overwritten(
    write_config: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    combos = COMBOS | {"pattern_length": [3, 10]}
    arguments = ["import", str(write_config(combosparams={"combos_params": combos})), "-o", str(tmp_path / "mine.yaml")]
    assert main(arguments) == 0
    first, second = tmp_path / "mine_pattern_length_3.yaml", tmp_path / "mine_pattern_length_10.yaml"
    first.unlink()
    second.write_text("my own")
    assert main(arguments) == 2
    assert f"{second}: exists already" in capsys.readouterr().err
    assert second.read_text() == "my own"
    assert not first.exists()


class _Code:
    """Prints as a value that would leave a file behind if it were run."""

    def __repr__(self) -> str:
        return "__import__('pathlib').Path('was_run').write_text('x')"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": {"nr_neurons": _Code()}}, "net.nr_neurons is"),
        ({"combosparams": {"combos_params": _Code()}}, "combosparams.combos_params is"),
        ({"net": {"net_name": "Marmoset_Normalised"}}, "did you mean 'Marmoset_Normalized'"),
        ({"net": {"rnn_size": 29}}, "net.rnn_size is 29, but Marmoset_Normalized has 55 regions"),
        ({"net": {"nr_neurons": "many"}}, "net.nr_neurons is 'many'; a whole number is needed"),
        ({"trainvalidate": {"iterations": 0}}, "config.ini, as a study: search.replicates: "),
        ({"net": {"random_w": None}}, "net.random_w is missing"),
        ({"trainvalidate": {"remap_w": "yes"}}, "trainvalidate.remap_w is 'yes'; True or False is needed"),
        ({"trainvalidate": {"init": "kaiming"}}, "unknown initialisation 'kaiming'"),
        ({"trialparams": {"trial_params": "{'task_name': "}}, "trialparams.trial_params is \"{'task_name':\"; a dict"),
        ({"trialparams": {"trial_params": TRIALS | {"task_name": "bin_mem"}}}, "unknown task 'bin_mem'"),
        ({"combosparams": {"combos_params": COMBOS | {"lr": []}}}, "combos_params.lr is []; a list of numbers"),
        ({"combosparams": {"combos_params": COMBOS | {"lr": [0.1, 0.1]}}}, "has a value twice"),
        ({"combosparams": {"combos_params": COMBOS | {"n_back": [2]}}}, "has 'n_back', which a grid for seq_mem can't"),
        ({"combosparams": {"combos_params": COMBOS | {"optimizer": ["Adagrad"]}}}, "unknown optimizer 'Adagrad'"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    write_config: Write, capsys: pytest.CaptureFixture[str], changes: dict[str, dict[str, Any]], message: str
) -> None:
    assert main(["import", str(write_config(**changes))]) == 2
    error = capsys.readouterr().err
    assert "config.ini" in error
    assert message in error
    assert len(error.splitlines()) == 1
    assert list(Path().iterdir()) == []


def test_what_is_no_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.ini"
    for content, message in [
        ("[net]\nnet_name = x\n", "section [trainvalidate] is missing"),
        ("x", "not a config.ini"),
    ]:
        file.write_text(content)
        assert main(["import", str(file)]) == 2
        assert message in capsys.readouterr().err
    assert main(["import", str(tmp_path / "none.ini")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.long
def test_an_imported_study_runs_its_grid(write_config: Write, tmp_path: Path) -> None:
    changes = {
        "net": {"nr_neurons": 1},
        "trainvalidate": {"epochs": 4, "iterations": 2},
        "trialparams": {"trial_params": TRIALS | {"nr_of_trials": 50}},
    }
    [_] = imported(write_config(**changes))
    smaller = ["connectome.name=distance_rule:marmoset", "confirm.replicates=2"]
    arguments = [part for change in smaller for part in ("--set", change)]
    command = [sys.executable, Path(__file__).parents[3] / "tune_main.py", "--space", "marmoset_seq_mem.yaml"]
    done = subprocess.run([*command, *arguments, "--output", tmp_path / "results"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [directory] = (tmp_path / "results").iterdir()
    trials = Results.open(directory).read_table("trials")
    tried = {
        arm: set(zip(rows["tune.learning_rate"], rows["tune.nonlinearity"], rows["tune.optimizer"], strict=True))
        for arm, rows in trials.groupby("arm")
    }
    every = set(itertools.product(COMBOS["lr"], COMBOS["nonlinearity"], COMBOS["optimizer"]))
    assert tried == {"connectome": every, "shuffled": every}
    assert len(trials) == 2 * len(every)
    assert set(trials["epochs"]) == {6}
    assert set(trials["status"]) == {"completed"}
    page = (directory / "report" / "index.html").read_text()
    assert "Every arm tried every combination of these values once. No trial was stopped early." in page
