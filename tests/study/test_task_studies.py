"""The studies of matching tasks in search_spaces/: every arm trains, and one runs to its report, accuracy and all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from biotune.results import Results
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.training import Trial

ROOT = Path(__file__).parents[2]
NAMES = ["nback_mem", "pic_mem", "pic_latent_mem"]
REDUCED = [
    "connectome={name: 'distance_rule:marmoset'}",
    "topology.neurons_per_region=1",
    "task.trials=50",
    "search={trials_per_arm: 2, shared_settings: 2, replicates: 2, max_epochs: 3, grace: 1}",
    "confirm={replicates: 3, max_epochs: 3, population: 2}",
]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_trains(name: str) -> None:
    study = load_study(ROOT / "search_spaces" / f"{name}.yaml", overrides=REDUCED)
    plans = Plans.load(study)
    assert study.level("primary") < study.task.null_loss == np.log(2)
    for arm in study.arms:
        trial = Trial(plans.plan(arm, study.first_setting, "search", [0]))
        trial.run_epoch()
        assert np.isfinite(trial.score)
        assert len(trial.loop.accuracies) == 2


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs_to_its_report_with_its_accuracies(name: str, tmp_path: Path) -> None:
    changes = [part for change in REDUCED for part in ("--set", change)]
    space = ROOT / "search_spaces" / f"{name}.yaml"
    command = [sys.executable, ROOT / "tune_main.py", "--space", space, "--output", tmp_path, *changes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [directory] = tmp_path.iterdir()
    curves = Results.open(directory).read_table("curves")
    right = curves["accuracy"] * 10  # of ten validation trials
    assert right.between(0, 10).all()
    assert right.to_numpy() == pytest.approx(right.round().to_numpy())
    if name == "pic_latent_mem":
        assert "of them correctly" in done.stdout


@pytest.mark.long
def test_matching_is_learnt_in_loss_and_in_accuracy() -> None:
    overrides = ["connectome={name: 'distance_rule:marmoset'}"]
    study = load_study(ROOT / "search_spaces" / "nback_mem.yaml", overrides=overrides)
    trial = Trial(Plans.load(study).plan("random", {"learning_rate": 3e-3, "nonlinearity": "relu"}, "search", [0]))
    for _ in range(60):
        trial.run_epoch()
    assert trial.loop.best_losses()[0] < study.level("primary")
    assert max(float(accuracy) for accuracy in trial.loop.accuracies) > 0.85
