"""search_spaces/strategies.yaml: its arms are the strategies that their names say, and it runs at reduced size."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from biotune.results import Results
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.topology import Topology
from biotune.training import Trial

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "search_spaces" / "strategies.yaml"
REDUCED = [
    "topology.neurons_per_region=2",
    "task.trials=40",
    "search={trials_per_arm: 2, shared_settings: 2, replicates: 2, max_epochs: 3, grace: 1}",
    "confirm={replicates: 3, max_epochs: 3, population: 3}",
]
STRATEGIES = [
    *itertools.product(["", "shuffled"], ["", "equal"], ["", "frozen"]),
    ("ignored", "", ""),
    ("ignored", "", "frozen"),
]
ARMS = ["_".join(filter(None, (species, *said))) for species in ("marmoset", "macaque") for said in STRATEGIES]


@pytest.fixture(autouse=True, scope="module")
def _distance_rule_where_there_is_no_data() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")
        yield


@pytest.fixture(scope="module")
def plans() -> Plans:
    return Plans.load(load_study(SPACE, overrides=REDUCED))


def between_regions(topology: Topology) -> list[np.ndarray]:
    """The weights of each pair of regions, in order; a region with itself left out."""
    target, source = topology.region[topology.target], topology.region[topology.source]
    pair = target * (topology.region.max() + 1) + source
    return [topology.weight[pair == one] for one in np.unique(pair[target != source])]


def test_the_arms_are_the_strategies_crossed(plans: Plans) -> None:
    assert sorted(plans.study.arms) == sorted(ARMS)
    assert plans.study.config.reference_arm == "marmoset"
    for said in STRATEGIES:
        one, other = (plans.study.arms["_".join(filter(None, (s, *said)))] for s in ("marmoset", "macaque"))
        assert (one.null, one.topology, one.network) == (other.null, other.topology, other.network)
        assert (one.connectome.name, other.connectome.name) == ("marmoset", "macaque")


def train(plans: Plans, arm: str) -> Trial:
    return Trial(replace(plans.plan(arm, {"learning_rate": 1e-2}, "search", [0]), backend="dense"))


@pytest.fixture(scope="module")
def remapped(plans: Plans) -> Trial:
    return train(plans, "macaque")


@pytest.mark.parametrize("said", STRATEGIES, ids=lambda said: "-".join(filter(None, said)) or "remapped")
def test_an_arm_does_what_its_name_says(plans: Plans, remapped: Trial, said: tuple[str, str, str]) -> None:
    trial = train(plans, "_".join(filter(None, ("macaque", *said))))
    topology, values = trial.topologies[0], trial.initial_values[0]
    pairs, own_pairs = between_regions(topology), between_regions(remapped.topologies[0])

    same_weights = np.allclose([pair.sum() for pair in pairs], [pair.sum() for pair in own_pairs])
    assert same_weights == ("shuffled" not in said)
    assert np.isclose(sum(pair.sum() for pair in pairs), sum(pair.sum() for pair in own_pairs))
    assert all(np.ptp(pair) < 1e-12 * pair.sum() for pair in pairs) == ("equal" in said)

    agreement = spearmanr(topology.weight, values).statistic
    assert abs(agreement) < 0.2 if "ignored" in said else agreement > 0.9

    trial.run_epoch()
    moved = not np.array_equal(trial.loop.population.values.detach().numpy()[0], values.astype(np.float32))
    assert moved == ("frozen" not in said)
    assert np.isfinite(trial.score)


def test_macaque_can_be_its_own_reference() -> None:
    arms = ["macaque_frozen", "macaque_equal"]
    study = load_study(SPACE, overrides=["reference_arm=macaque"], arms=arms)
    assert sorted(study.arms) == sorted(["macaque", *arms])


@pytest.mark.long
def test_the_study_runs_to_its_report(tmp_path: Path) -> None:
    changes = [part for change in REDUCED for part in ("--set", change)]
    command = [sys.executable, ROOT / "tune_main.py", "--space", SPACE, "--output", tmp_path, *changes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    [directory] = tmp_path.iterdir()
    results = Results.open(directory)
    assert results.read_json("state")["phase"] == "finished"
    own = results.read_table("convergence").query("phase == 'own_best'")
    assert own.groupby("arm").size().to_dict() == dict.fromkeys(ARMS, 3)
    assert (directory / "report" / "index.html").exists()
