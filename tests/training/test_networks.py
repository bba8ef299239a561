"""Networks out of a checkpoint alone: their edges, their weights, and what they compute."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from biotune.errors import UserError
from biotune.network import save_checkpoint
from biotune.training import Networks, Trial, TrialPlan, edges, load_networks

MakePlan = Callable[..., TrialPlan]
DALE = {"signs": 0.3, "dale": True, "remap": "magnitude"}


def outputs(networks: Networks, place: int, inputs: torch.Tensor) -> torch.Tensor:
    """y_t of inputs [trials, time, input_size], by the definition."""
    topology = networks.topologies[place]
    weights = torch.zeros(topology.size, topology.size)
    weights[topology.target, topology.source] = networks.values[place]
    hidden, found = torch.zeros(len(inputs), topology.size), []
    for step in range(inputs.shape[1]):
        driven = inputs[:, step] @ networks.weight_ih[place].T + networks.bias[place]
        hidden = torch.tanh(driven + hidden @ weights.T)
        read = hidden if networks.read is None else hidden[:, networks.read[place]]
        found.append(read @ networks.weight_out[place].T + networks.bias_out[place])
    return torch.stack(found, 1)


@pytest.mark.parametrize("network", [{}, DALE, {"readout": 0.4}], ids=["either sign", "Dale", "partial readout"])
def test_the_networks_of_a_checkpoint_compute_what_they_computed(
    make_plan: MakePlan, tmp_path: Path, network: dict[str, object]
) -> None:
    trial = Trial(make_plan(network=network))
    trial.run_epoch()
    population = trial.loop.population
    save_checkpoint(
        tmp_path / "block.pt", trial.state_dict() | {"edges": edges(trial.topologies, population), "seconds": 1.0}
    )
    networks = load_networks(tmp_path / "block.pt")
    assert torch.equal(Networks.of([(networks, 2), (networks, 0)]).weight_out, networks.weight_out[[2, 0]])
    assert len(networks) == 3
    assert networks.plan["replicates"] == [0, 1, 2]
    assert networks.plan["network"]["nonlinearity"] == "tanh"
    assert (networks.sign is None) == ("dale" not in network)
    assert (networks.read is None) == ("readout" not in network)
    inputs = torch.from_numpy(trial.task.trials(5, np.random.default_rng(1)).inputs)
    expected = population(inputs.expand(3, *inputs.shape), slice(None)).detach()
    for place, topology in enumerate(trial.topologies):
        held = networks.topologies[place]
        assert held.digest == topology.digest
        assert (held.rewired, held.entries_changed) == (topology.rewired, topology.entries_changed)
        np.testing.assert_array_equal(held.region, topology.region)
        torch.testing.assert_close(outputs(networks, place, inputs), expected[place])
        if networks.sign is not None:
            assert (networks.values[place] * networks.sign[place] >= 0).all()


def test_a_checkpoint_of_networks_that_are_still_trained_has_no_edges(make_plan: MakePlan, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "trial.pt", Trial(make_plan()).state_dict() | {"seconds": 1.0})
    with pytest.raises(UserError, match=r"trial\.pt: its networks are not trained to the end"):
        load_networks(tmp_path / "trial.pt")
