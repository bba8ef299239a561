"""The studies in search_spaces/: what all keep to; and those on gain, dose, conditions and A/A, run at reduced size."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from biotune.errors import UserError
from biotune.results import Results
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.training import Trial, draw_topology

ROOT = Path(__file__).parents[2]
SPACES = ROOT / "search_spaces"
NAMES = ["aa", "conditions", "dose", "gain"]
NO_DATA = "connectome={name: 'distance_rule:marmoset'}"
REDUCED = [
    NO_DATA,
    "topology.neurons_per_region=2",
    "task.trials=40",
    "task.pattern_length=2",
    "search={trials_per_arm: 2, shared_settings: 2, replicates: 2, max_epochs: 3, grace: 1}",
    "confirm={replicates: 3, max_epochs: 3, population: 2}",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_trains(name: str) -> None:
    study = load_study(SPACES / f"{name}.yaml", overrides=REDUCED)
    plans = Plans.load(study)
    setting = study.first_setting
    for arm in study.arms:
        trial = Trial(replace(plans.plan(arm, setting, "search", [0]), backend="dense"))
        trial.run_epoch()
        assert np.isfinite(trial.score)


@pytest.mark.parametrize("space", sorted(SPACES.glob("*.yaml")), ids=lambda space: space.stem)
def test_every_study_has_the_common_settings_that_its_tuned_keys_need(space: Path) -> None:
    config = load_study(space).config
    enough = {1: 16, 2: 32}  # docs/study.md
    assert config.search.sampler == "grid" or config.search.shared_settings >= enough[len(config.tune)]


def test_a_dose_rewires_its_share_of_the_connectome() -> None:
    study = load_study(SPACES / "dose.yaml", overrides=[NO_DATA, "topology.neurons_per_region=1"])
    plans = Plans.load(study)
    edges = {arm: draw_topology(plans.plan(arm, {}, "confirm", [0]), 0).matrix() for arm in study.arms}
    kept = [
        np.mean(matrix[edges["marmoset"] > 0] == edges["marmoset"][edges["marmoset"] > 0]) for matrix in edges.values()
    ]
    assert kept[0] == 1
    assert np.all(np.diff(kept) < 0)
    for share, dose in zip(kept, (0, 0.1, 0.25, 0.5, 1), strict=True):
        assert 1 - dose <= share <= 1 - 0.8 * dose


def test_the_two_arms_of_an_aa_study_differ_in_their_draws_alone() -> None:
    study = load_study(SPACES / "aa.yaml", overrides=REDUCED)
    plans = Plans.load(study)
    one, two = (Trial(replace(plans.plan(arm, {}, "confirm", [0]), backend="dense")) for arm in study.arms)
    assert not np.array_equal(one.topologies[0].matrix(), two.topologies[0].matrix())
    assert one.topologies[0].edges == two.topologies[0].edges
    assert one.loop.population.weight_ih.equal(two.loop.population.weight_ih)
    torch.testing.assert_close(one.loop.training, two.loop.training)


def test_an_aa_study_of_what_draws_nothing_is_refused() -> None:
    study = load_study(SPACES / "aa.yaml", overrides=[*REDUCED, "topology.neurons_per_region=1"])
    with pytest.raises(UserError, match=r"arm two: topology\.draw: 1 .* nothing is random"):
        Plans.load(study)


@pytest.mark.slow
def test_the_gain_sweep_scales_every_arm_at_every_rate() -> None:
    study = load_study(SPACES / "gain.yaml", overrides=REDUCED)
    plans = Plans.load(study)
    swept = [name for name, condition in study.conditions.items() if condition.gain]
    for arm in study.arms:
        networks = [plans.plan(arm, study.first_setting, "confirm", [0], name).network for name in swept]
        assert [(one.gain, one.learning_rate) for one in networks] == [
            (scale, rate) for rate in (1e-3, 4e-3) for scale in (0.35, 0.6, 1, 1.6, 2.5)
        ]
        assert {one.radius for one in networks} == {0.9}


@pytest.mark.parametrize("name", NAMES)
def test_the_head_says_what_the_study_asks(name: str) -> None:
    text = (SPACES / f"{name}.yaml").read_text()
    assert re.match(r"# [A-Z].*\?\n", text)
    assert "--set" not in text


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs_to_its_report(name: str, tmp_path: Path) -> None:
    changes = [part for change in REDUCED for part in ("--set", change)]
    command = [
        sys.executable,
        ROOT / "tune_main.py",
        "--space",
        SPACES / f"{name}.yaml",
        "--output",
        tmp_path,
        *changes,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [directory] = tmp_path.iterdir()
    results = Results.open(directory)
    assert results.read_json("state")["phase"] == "finished"
    topologies = results.read_table("topologies")
    assert topologies["modularity"].notna().all()
    assert (topologies["left_empty"] == "").all()
