"""The studies of brains in search_spaces/, and connectomes that a study names: files and random graphs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from biotune.connectome import CATALOGUE
from biotune.results import Results
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.training import Trial, draw_topology

ROOT = Path(__file__).parents[2]
REGIONS = [name for name, entry in CATALOGUE.items() if entry.nodes == "regions"]
STUDIES = [("celegans", None), ("mushroom_body", None), *(("species", name) for name in REGIONS)]
REDUCED = [
    "task.trials=40",
    "task.pattern_length=2",
    "search={trials_per_arm: 2, shared_settings: 2, replicates: 2, max_epochs: 3, grace: 1}",
    "confirm={replicates: 3, max_epochs: 3, population: 2}",
]


def space(name: str) -> Path:
    return ROOT / "search_spaces" / f"{name}.yaml"


@pytest.fixture(autouse=True)
def _data() -> None:
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the published connectomes are needed: set BIOTUNE_DATA to a folder that has them")


@pytest.mark.parametrize(("name", "connectome"), STUDIES)
def test_every_arm_trains(name: str, connectome: str | None) -> None:
    overrides = [] if connectome is None else [f"connectome.name={connectome}", "topology.neurons_per_region=2"]
    study = load_study(space(name), overrides=[*REDUCED, *overrides])
    plans = Plans.load(study)
    setting = study.first_setting
    for arm in study.arms:
        trial = Trial(replace(plans.plan(arm, setting, "search", [0]), backend="dense"))
        trial.run_epoch()
        assert np.isfinite(trial.score)


def test_neurons_of_the_worm_are_the_networks_neurons() -> None:
    plans = Plans.load(load_study(space("celegans")))
    for arm in ("celegans", "degrees", "random"):
        topology = draw_topology(plans.plan(arm, {}, "confirm", [0]), 0)
        assert (topology.size, topology.edges) == (300, 5084)
    as_it_is = draw_topology(plans.plan("celegans", {}, "confirm", [0]), 0)
    assert np.array_equal(as_it_is.matrix(), plans.connectomes["celegans"].matrix())


def test_files_and_random_graphs_are_arms_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "worm.csv"
    file.write_text("pre,post,n,nt_type\n1,2,5,ACH\n2,3,4,GABA\n3,1,1,DA\n")
    ring = "name: watts_strogatz, size: 20, neighbours: 4"
    study = load_study(
        space("celegans"),
        overrides=[
            *REDUCED,
            f"connectome={{path: {file}, columns: {{weight: n}}, transmitters: {{DA: -1}}}}",
            f"arms={{file: {{}}, ring: {{connectome: {{{ring}, rewiring: 0.0}}}}, "
            f"small: {{connectome: {{{ring}, rewiring: 0.3}}}}}}",
            "reference_arm=file",
        ],
    )
    plans = Plans.load(study)
    drawn = {arm: Trial(plans.plan(arm, {}, "confirm", [0])).topologies[0] for arm in study.arms}
    assert sorted(drawn["file"].weight.tolist()) == [-4, -1, 5]
    assert not np.array_equal(drawn["ring"].matrix(), drawn["small"].matrix())
    assert drawn["ring"].edges == drawn["small"].edges == 80


@pytest.mark.long
@pytest.mark.parametrize(("name", "arms"), [("celegans", 4), ("mushroom_body", 5), ("species", 5)])
def test_the_study_runs_to_its_report(name: str, arms: int, tmp_path: Path) -> None:
    changes = [argument for change in REDUCED for argument in ("--set", change)]
    command = [sys.executable, ROOT / "tune_main.py", "--space", space(name), *changes, "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [directory] = tmp_path.iterdir()
    results = Results.open(directory)
    assert len(results.read_table("trials")) == 2 * arms
    page = (directory / "report" / "index.html").read_text()
    if name == "celegans":
        assert "300 of 448 nodes were kept" in page
