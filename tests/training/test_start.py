"""Transfer: what is taken up from trained networks, and what is drawn anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from biotune.errors import UserError
from biotune.network import save_checkpoint
from biotune.training import Start, Trial, TrialPlan

MakePlan = Callable[..., TrialPlan]


def trained(plan: TrialPlan, file: Path) -> Trial:
    trial = Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    save_checkpoint(file, trial.state_dict())
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


def test_a_missing_or_unfitting_checkpoint_is_named(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(phase="confirm", replicates=(0,))
    with pytest.raises(UserError, match=r"gone\.pt: the trained networks are not there"):
        Trial(make_plan(replicates=(0,), start=Start(plan, ((tmp_path / "gone.pt", 0),))))
    trained(make_plan(phase="confirm", replicates=(0,), topology={"neurons_per_region": 2}), tmp_path / "small.pt")
    with pytest.raises(UserError, match=r"small\.pt: values of a network has the shape"):
        Trial(make_plan(replicates=(0,), start=Start(plan, ((tmp_path / "small.pt", 0),))))
