"""What is refused before any trial is trained, since no network of an arm could be drawn."""

from pathlib import Path

import pytest

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.plans.plans import Plans


def test_a_readout_that_would_see_no_neuron_is_refused(small_space: Path) -> None:
    study = load_study(small_space, overrides=["arms.rewired.network={readout: 0.001}"])
    with pytest.raises(UserError, match=r"arm rewired: network\.readout: 0\.001 of \d+ neurons comes to none"):
        Plans.load(study)
    Plans.load(load_study(small_space, overrides=["arms.rewired.network={readout: 0.4}"]))
