"""The positive control: an arm that a key of the study adds, and that a study must be able to find."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from biotune.errors import UserError
from biotune.results import POSITIVE_CONTROL
from biotune.results.documents import Selection
from biotune.study import load_study
from biotune.study.confirm.selection import select
from biotune.study.history.record import Record, TrialRecord
from biotune.study.plans.plans import Plans
from biotune.topology import measures
from biotune.training import UNREPORTED, Trial

ROOT = Path(__file__).parents[2]
WriteSpace = Callable[..., Path]


@pytest.mark.parametrize("kind", ["frozen", "quarter_radius"])
def test_it_is_the_reference_arm_but_for_one_thing(small_space: Path, kind: str) -> None:
    study = load_study(
        small_space, overrides=[f"positive_control={kind}", "arms.real={topology: {target_sparsity: 0.5}}"]
    )
    control, reference = study.arms[POSITIVE_CONTROL], study.arms["real"]
    assert list(study.arms) == ["real", "rewired", POSITIVE_CONTROL]
    assert control.network.freeze_recurrent == (kind == "frozen")
    assert control.topology.spectral_radius == (0.9 if kind == "frozen" else 0.225)
    network = control.network.model_copy(update={"freeze_recurrent": False})
    topology = control.topology.model_copy(update={"spectral_radius": 0.9})
    assert (network, topology) == (reference.network, reference.topology)
    assert (control.null, control.connectome) == (reference.null, reference.connectome)


def test_a_quarter_of_the_norm_is_a_quarter_of_the_radius(small_space: Path) -> None:
    study = load_study(small_space, overrides=["positive_control=quarter_radius", "topology.frobenius_norm=6"])
    plans = Plans.load(study)
    control, reference = (
        measures(trial.topologies[0], trial.initial_values[0])
        for arm in (POSITIVE_CONTROL, "real")
        for trial in [Trial(plans.plan(arm, study.first_setting, "confirm", [0]))]
    )
    for measure in ("spectral_radius", "frobenius_norm"):
        assert control[measure] == pytest.approx(reference[measure] / 4, rel=1e-5)
    assert reference["frobenius_norm"] == pytest.approx(6)


def test_it_stays_with_a_subset_of_the_arms_and_is_read_back_as_written(small_space: Path, tmp_path: Path) -> None:
    study = load_study(small_space, overrides=["positive_control=frozen"], arms=["real"])
    assert list(study.arms) == ["real", POSITIVE_CONTROL]
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(study.resolved()))
    assert load_study(again).arms == study.arms
    assert list(yaml.safe_load(again.read_text())["arms"]) == ["real"]


def test_a_study_has_none_unless_it_asks_for_one(small_space: Path) -> None:
    assert list(load_study(small_space).arms) == ["real", "rewired"]


def test_that_of_a_transfer_starts_from_the_reference_arms_networks(small_space: Path) -> None:
    study = load_study(small_space, overrides=["positive_control=frozen", "network.start_from={results: elsewhere}"])
    start = study.arms[POSITIVE_CONTROL].network.start_from
    assert start is not None
    assert (start.results, start.arm) == ("elsewhere", "real")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["positive_control=frosen"], "positive_control: input should be 'frozen' or 'quarter_radius', found 'frosen'"),
        (["positive_control=frozen", "arms.positive_control={}"], "there is one of that name"),
        (["positive_control=frozen", "network.freeze_recurrent=true"], "use quarter_radius"),
        (["positive_control=quarter_radius", "topology.spectral_radius=as_it_comes"], "is as it comes; set it"),
        (["positive_control=quarter_radius", "network.start_from={results: x}"], "is that of trained networks"),
        (["positive_control=quarter_radius", "tune.spectral_radius={uniform: [0.3, 1.2]}"], "which is tuned"),
        (["positive_control=quarter_radius", "tune.frobenius_norm={uniform: [3, 9]}"], "which is tuned"),
        (["positive_control=frozen", "tune.freeze_recurrent={choice: [true, false]}"], "which is tuned"),
    ],
)
def test_one_that_changes_nothing_or_cannot_be_is_refused(
    small_space: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=r"--set positive_control.*: positive_control: ") as error:
        load_study(small_space, overrides=overrides)
    assert message in str(error.value)


def test_it_has_no_say_in_what_the_arms_are_compared_at(small_space: Path) -> None:
    def chosen(control: list[float], overrides: list[str]) -> Selection:
        study = load_study(small_space, overrides=["search.trials_per_arm=2", *overrides])
        record = Record(2, {"primary": 3}, planned=[16])
        for arm in study.arms:
            updates = control if arm == POSITIVE_CONTROL else [5.0, 6.0]
            for index, mean in enumerate(updates):
                trial = TrialRecord(f"{arm}-{index}", arm, index, "shared", {"learning_rate": 0.1 * (index + 1)})
                trial.status, trial.standing = "completed", replace(UNREPORTED, mean_updates=mean, score=0.1)
                record.trials[trial.trial] = trial
        return select(study, record, {"primary": []}, lambda arm, setting, reading: f"{arm} {setting}")

    without, with_it = chosen([], []), chosen([900.0, 1.0], ["positive_control=frozen"])
    assert with_it.pair["rewired"] == without.pair["rewired"]
    assert with_it.cell(POSITIVE_CONTROL, "own_best").setting == {"learning_rate": 0.2}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["quarter_radius", "frozen"])
def test_a_study_finds_it(kind: str, tmp_path: Path) -> None:
    changes = [
        f"positive_control={kind}",
        "connectome={name: 'distance_rule:marmoset'}",
        "tune={learning_rate: {choice: [0.005]}}",
        "search={sampler: grid, replicates: 1, max_epochs: 2, grace: 2}",
        "confirm={replicates: 5, max_epochs: 50}",
    ]
    command = [sys.executable, ROOT / "tune_main.py", "--space", ROOT / "search_spaces" / "seq_mem.yaml"]
    options = ["--arms", "marmoset", "--output", tmp_path, *(part for change in changes for part in ("--set", change))]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    [directory] = tmp_path.iterdir()
    control = json.loads((directory / "summary.json").read_text())["control"]
    assert control["found"], control["sentence"]
    assert control["sentence"] in " ".join(done.stdout.split())
