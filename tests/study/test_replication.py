"""The predecessor's experiment as a study: what `biotune import` makes of its grid, and the commands of its head."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from biotune.study import load_study
from biotune.study.definition.predecessor import import_config
from biotune.study.plans.plans import Plans
from biotune.training import Trial

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "search_spaces" / "replication.yaml"
CONFIG = """[paths]
path_to_network = 'connectomes'
[net]
net_name = 'Marmoset_Normalized'
nr_neurons = 4
rand_partition = True
random_w = False
[trainvalidate]
epochs = 500
iterations = 5
init = 'default'
freeze_layer = False
remap_w = True
[trialparams]
trial_params = {'task_name': 'seq_mem', 'nr_of_trials': 500, 'train_size': 0.8}
[combosparams]
combos_params = {'lr': [1e-4, 1e-6], 'nonlinearity': ['relu', 'tanh'], 'optimizer': ['Adam', 'RMSprop', 'SGD'],
    'pattern_length': [3]}
"""
REDUCED = [
    "connectome={name: 'distance_rule:mouse_gamanut'}",
    "topology.neurons_per_region=1",
    "search.replicates=1",
    "search.max_epochs=3",
    "search.grace=3",
    "confirm={replicates: 3, max_epochs: 4}",
]


def head_commands() -> list[list[str]]:
    """The `--set` values of each command of the file's head, each loop run once."""
    lines = [line.removeprefix("#").strip() for line in SPACE.read_text().splitlines() if line.startswith("#")]
    text = " ".join(lines).replace("$length", "5").replace("$back", "2")
    commands = text.split("python tune_main.py --space search_spaces/replication.yaml")[1:]
    return [[quoted or bare for quoted, bare in re.findall(r'--set (?:"([^"]+)"|(\S+))', part)] for part in commands]


def test_it_is_what_the_import_of_the_predecessors_file_gives(tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text(CONFIG)
    [imported] = import_config(config).studies.values()
    study = load_study(SPACE).config
    for section in ("topology", "network", "search"):
        own = getattr(study, section).model_dump()
        assert {key: own[key] for key in imported[section]} == {
            key: None if value == "as_it_comes" else value for key, value in imported[section].items()
        }
    assert {key: domain.choice for key, domain in study.tune.items()} == {
        key: domain["choice"] for key, domain in imported["tune"].items()
    }
    arms = {name: arm.model_dump(by_alias=True, exclude_unset=True) for name, arm in study.arms.items()}
    assert arms == imported["arms"]
    assert study.reference_arm == imported["reference_arm"]
    task = study.task.model_dump()
    assert {key: task[key] for key in imported["task"]} == imported["task"]


def test_the_head_has_a_command_for_each_condition() -> None:
    names = [next(part for part in command if part.startswith("name=")) for command in head_commands()]
    assert names == [
        "name=replication-seq_mem-5",
        "name=replication-nback_mem-2",
        "name=replication-seq_mem-3-matched",
    ]


@pytest.mark.parametrize("overrides", [[], *head_commands()], ids=lambda overrides: overrides[0] if overrides else "")
def test_every_arm_trains(overrides: list[str]) -> None:
    study = load_study(SPACE, overrides=[*REDUCED, *overrides])
    plans = Plans.load(study)
    setting = study.first_setting
    for arm in study.arms:
        trial = Trial(replace(plans.plan(arm, setting, "search", [0]), backend="dense"))
        trial.run_epoch()
        assert np.isfinite(trial.score)
        matched = any("spectral_radius" in override for override in overrides)
        assert plans.plan(arm, setting, "confirm", [0]).network.radius == (0.9 if matched else None)


@pytest.mark.long
def test_it_runs_to_its_report(tmp_path: Path) -> None:
    changes = [*REDUCED, "tune.learning_rate={choice: [1.0e-2]}", "tune.optimizer={choice: [Adam]}"]
    options = [part for change in changes for part in ("--set", change)]
    command = [sys.executable, ROOT / "tune_main.py", "--space", SPACE, "--output", tmp_path, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    [directory] = tmp_path.iterdir()
    summary = json.loads((directory / "summary.json").read_text())
    assert [comparison["arm"] for comparison in summary["comparisons"]] == ["shuffled"]
    assert summary["search"][0]["statuses"]["stopped"] == 0
