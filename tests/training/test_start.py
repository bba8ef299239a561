"""Transfer: what is taken up from trained networks, and what is drawn anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from biotune.errors import UserError
from biotune.network import DamagedCheckpoint, load_checkpoint, save_checkpoint
from biotune.training import Start, Trial, TrialPlan, edges

MakePlan = Callable[..., TrialPlan]


def trained(plan: TrialPlan, file: Path) -> Trial:
    trial = Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    networks = edges(trial.topologies, trial.loop.population)
    save_checkpoint(file, trial.state_dict() | {"edges": networks, "seconds": 1.0})
    return trial


def test_networks_start_from_trained_ones_with_a_new_readout(make_plan: MakePlan, tmp_path: Path) -> None:
    source = make_plan(phase="confirm", seed=7, replicates=(0, 1, 2))
    before = trained(source, tmp_path / "block.pt")
    start = Start(
        make_plan(phase="confirm", seed=7, replicates=(2, 0)), ((tmp_path / "block.pt", 2), (tmp_path / "block.pt", 0))
    )
    after = Trial(make_plan(task={"name": "seq_mem", "pattern_length": 3}, replicates=(0, 1), start=start))
    for place, replicate in ((0, 2), (1, 0)):
        np.testing.assert_array_equal(after.topologies[place].source, before.topologies[replicate].source)
        for name in ("values", "weight_ih", "bias"):
            own, taken = getattr(after.loop.population, name), getattr(before.loop.population, name)
            torch.testing.assert_close(own[place], taken[replicate], rtol=0, atol=0)
        assert not torch.isclose(
            after.loop.population.weight_out[place], before.loop.population.weight_out[replicate]
        ).any()
    values = after.loop.population.values.detach().clone()
    after.run_epoch()
    assert not torch.isclose(after.loop.population.values, values).all()


@pytest.mark.parametrize(("there", "here"), [(1.0, 0.4), (0.4, 1.0), (0.4, 0.7)])
def test_the_new_readout_sees_the_share_of_the_study_that_starts(
    make_plan: MakePlan, tmp_path: Path, there: float, here: float
) -> None:
    source = make_plan(phase="confirm", seed=7, network={"readout": there})
    before = trained(source, tmp_path / "block.pt")
    start = Start(source, tuple((tmp_path / "block.pt", place) for place in (0, 1, 2)))
    plan = make_plan(network={"readout": here})
    after, anew = Trial(replace(plan, start=start)).loop.population, Trial(plan).loop.population
    assert torch.equal(after.values, before.loop.population.values)
    assert torch.equal(after.weight_out, anew.weight_out)
    assert (after.read is None) == (anew.read is None)
    assert after.read is None or torch.equal(after.read, anew.read)


def test_networks_that_started_from_trained_ones_are_started_from_on_their_own_edges(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    first = trained(make_plan(phase="confirm", seed=7, replicates=(0,)), tmp_path / "first.pt")
    start = Start(make_plan(phase="confirm", seed=7, replicates=(0,)), ((tmp_path / "first.pt", 0),))
    trained(make_plan(phase="confirm", seed=8, replicates=(0,), start=start), tmp_path / "second.pt")
    start = Start(make_plan(phase="confirm", seed=8, replicates=(0,)), ((tmp_path / "second.pt", 0),))
    third = Trial(make_plan(seed=9, replicates=(0,), start=start))
    assert third.topologies[0].digest == first.topologies[0].digest


def test_nothing_is_drawn_again_of_what_is_taken_up(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(phase="confirm", network={"signs": 0.3, "dale": True, "remap": "magnitude"})
    before = trained(plan, tmp_path / "block.pt")

    def drawn(*_: object) -> None:
        raise AssertionError("a topology was drawn")

    monkeypatch.setattr("biotune.training.topologies.draw_topology", drawn)
    start = Start(plan, tuple((tmp_path / "block.pt", place) for place in range(3)))
    after = Trial(make_plan(network={"signs": 0.3, "dale": True, "remap": "magnitude"}, seed=2, start=start))
    assert [t.digest for t in after.topologies] == [t.digest for t in before.topologies]
    assert after.loop.population.sign is not None
    assert before.loop.population.sign is not None
    torch.testing.assert_close(after.loop.population.sign, before.loop.population.sign, rtol=0, atol=0)
    start = Start(plan, ((tmp_path / "block.pt", 0),) * 3)
    with pytest.raises(UserError, match=r"block\.pt: its network 0 is of replicate 0, not of 1"):
        start.load()


def test_networks_without_dales_law_are_not_taken_up_under_it(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(phase="confirm", replicates=(0,))
    trained(plan, tmp_path / "block.pt")
    dale = {"signs": 0.3, "dale": True, "remap": "magnitude"}
    with pytest.raises(UserError, match="not trained under Dale's law"):
        Trial(make_plan(replicates=(0,), network=dale, start=Start(plan, ((tmp_path / "block.pt", 0),))))


def test_a_missing_damaged_or_unfitting_checkpoint_is_named(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(phase="confirm", replicates=(0,))

    def start(name: str) -> Trial:
        return Trial(make_plan(replicates=(0,), start=Start(plan, ((tmp_path / name, 0),))))

    with pytest.raises(UserError, match=r"gone\.pt: the trained networks are not there"):
        start("gone.pt")
    trained(make_plan(phase="confirm", replicates=(0,), topology={"neurons_per_region": 2}), tmp_path / "small.pt")
    with pytest.raises(
        UserError,
        match=r"small\.pt: its networks were not .* \(topology\.neurons_per_region is 2 there and 3 here",
    ):
        start("small.pt")
    trained(plan, tmp_path / "block.pt")
    content = load_checkpoint(tmp_path / "block.pt")
    del content["edges"]
    save_checkpoint(tmp_path / "running.pt", content)
    with pytest.raises(UserError, match=r"running\.pt: its networks are not trained to the end"):
        start("running.pt")
    (tmp_path / "block.pt").write_bytes((tmp_path / "block.pt").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"block\.pt: .* damaged; put back a copy") as refused:
        start("block.pt")
    assert not isinstance(refused.value, DamagedCheckpoint)  # of the trial's own checkpoint, as the driver takes it
