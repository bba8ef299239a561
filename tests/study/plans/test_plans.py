"""The plans of a study's trials; what is refused before any is trained, since no network of an arm could be drawn."""

from collections.abc import Callable
from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.results.documents import CommonSetting
from biotune.study import load_study
from biotune.study.confirm.cells import make_cells
from biotune.study.definition.study import Setting
from biotune.study.plans.plans import Plans


def test_a_readout_that_would_see_no_neuron_is_refused(small_space: Path) -> None:
    study = load_study(small_space, overrides=["arms.rewired.network={readout: 0.001}"])
    with pytest.raises(UserError, match=r"arm rewired: network\.readout: 0\.001 of \d+ neurons comes to none"):
        Plans.load(study)
    Plans.load(load_study(small_space, overrides=["arms.rewired.network={readout: 0.4}"]))


def test_what_is_read_under_the_primary_is_trained_to_the_budget_and_the_rest_until_it_has_learnt(
    write_space: Callable[..., Path],
) -> None:
    conditions = """conditions:
  primary: {}
  fast: {network: {learning_rate: 0.5}}
  longer: {task: {pattern_length: 3}, network: {learning_rate: 0.01}}
"""
    plans = Plans.load(load_study(write_space(("tune:", f"{conditions}tune:"))))
    setting: Setting = {"learning_rate": 0.01, "nonlinearity": "tanh"}
    fast = CommonSetting(index=1, setting={**setting, "learning_rate": 0.5}, regrets={})
    pair = CommonSetting(index=0, setting=dict(setting), regrets={})
    best = {"real": fast, "rewired": pair}
    cells = make_cells(plans.study, {"rewired": pair}, best, plans.same, plans.digest)
    read = {
        (cell.arm, *((one.condition, one.phase) for one in cell.readings)): plans.confirm(cell, [0, 1]).until_met
        for cell in cells
    }
    assert read == {
        ("real", ("primary", "pair")): False,
        ("rewired", ("primary", "pair"), ("primary", "own_best")): False,
        ("real", ("primary", "own_best"), ("fast", "pair")): False,  # its own best is what this condition sets
        ("rewired", ("fast", "pair")): True,
        ("real", ("longer", "pair")): True,
        ("rewired", ("longer", "pair")): True,
    }
    longer = plans.confirm(cells[-1], [0])
    assert (longer.task["pattern_length"], longer.level) == (3, plans.study.level("longer"))
    assert plans.search("real", setting).until_met is False
