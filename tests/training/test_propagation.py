"""How signals propagate through networks as they are drawn, against dense networks in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from biotune.results import PROPAGATION
from biotune.training import BlockReport, Trial, TrialPlan, lyapunov_exponent, measure_propagation

MakePlan = Callable[..., TrialPlan]

TASKS = [{"name": "seq_mem", "pattern_length": 2}, {"name": "nback_mem"}]


def dense(trial: Trial, replicate: int) -> tuple[dict[str, torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
    """The parameters of one network in float64, the recurrent matrix dense, and the function inputs -> states."""
    population, topology = trial.loop.population, trial.topologies[replicate]
    own = {name: p.detach()[replicate].double() for name, p in population.named_parameters()}
    own["values"] = torch.zeros(topology.size, topology.size, dtype=torch.float64)
    own["values"][topology.target, topology.source] = population.values.detach()[replicate].double()
    for parameter in own.values():
        parameter.requires_grad_()
    function = getattr(torch, population.nonlinearity)

    def states(inputs: torch.Tensor) -> torch.Tensor:
        h, found = inputs.new_zeros(len(inputs), topology.size), []
        for x in inputs.unbind(1):
            h = function(x @ own["weight_ih"].T + own["bias"] + h @ own["values"].T)
            found.append(h)
        return torch.stack(found, 1)

    return own, states


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("readout", [1.0, 0.5])
def test_it_is_that_of_dense_networks(make_plan: MakePlan, nonlinearity: str, task: dict, readout: float) -> None:
    network = {"nonlinearity": nonlinearity, "radius": 4.0, "readout": readout}
    trial = Trial(make_plan(phase="confirm", task=task, network=network))
    loop = trial.loop
    for place, row in enumerate(trial.propagation):
        own, states = dense(trial, place)
        h = states(loop.validation[0][place].double())
        assert row["mean_activity"] == pytest.approx(h.abs().mean().item(), rel=1e-5)
        saturated = h.abs() > np.sqrt(0.9) if nonlinearity == "tanh" else h == 0
        assert 0 < row["saturated"] < 1
        assert row["saturated"] == pytest.approx(saturated.double().mean().item(), abs=1e-3)

        slope = (1 - h.square() if nonlinearity == "tanh" else (h > 0).double())[:8].flatten(0, 1)
        product, before = torch.eye(h.shape[2], dtype=torch.float64), 0.0
        for steps in range(2 * len(slope)):
            product = slope[steps % len(slope)][:, None] * (own["values"] @ product)
            if steps == len(slope) - 1:
                before = product @ torch.from_numpy(np.random.default_rng(0).standard_normal(h.shape[2]))
        after = product @ torch.from_numpy(np.random.default_rng(0).standard_normal(h.shape[2]))
        expected = (after.norm().log() - before.norm().log()).item() / len(slope)
        assert row["lyapunov"] == pytest.approx(expected, abs=1e-5)

        chosen = loop.order(0)[place, : loop.batch]
        inputs, targets = (trials[place][chosen] for trials in loop.training)
        read = slice(None) if loop.population.read is None else loop.population.read[place]
        outputs = states(inputs.double())[:, loop.scored][..., read] @ own["weight_out"].T + own["bias_out"]
        if trial.task.loss == "mse":
            loss = functional.mse_loss(outputs, targets.double())
        else:
            loss = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())
        loss.backward()
        topology = trial.topologies[place]
        gradients = [own.pop("values").grad[topology.target, topology.source], *(p.grad for p in own.values())]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
        assert row["gradient_norm"] == pytest.approx(norm, rel=1e-4)


def test_the_gradient_is_of_what_is_trained_and_not_clipped(make_plan: MakePlan) -> None:
    whole, clipped, frozen = (
        np.array([row["gradient_norm"] for row in Trial(make_plan(phase="confirm", network=network)).propagation])
        for network in ({}, {"gradient_clip": 1e-6}, {"freeze_recurrent": True})
    )
    np.testing.assert_array_equal(whole, clipped)
    assert (frozen < whole).all()


@given(
    size=st.integers(2, 12),
    scale=st.floats(0.05, 20.0),
    slope=st.floats(0.05, 1.0),
    signs=st.integers(0, 2**12 - 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_permutation_scaled_by_g_has_the_exponent_log_g(
    size: int, scale: float, slope: float, signs: int, seed: int
) -> None:
    """Every step multiplies each vector's length by the scale and the slope, whatever its direction."""
    sign = np.array([1 if signs >> neuron & 1 else -1 for neuron in range(size)])
    order = np.random.default_rng(seed).permutation(size)
    weights = sp.csr_array((scale * sign, (np.arange(size), order)), shape=(size, size))
    found = lyapunov_exponent(weights, np.full((7, size), slope))
    assert found == pytest.approx(np.log(scale) + np.log(slope), abs=1e-12)


@pytest.mark.parametrize("radius", [0.01, 0.5])
def test_with_slopes_near_1_it_is_the_log_of_the_spectral_radius(make_plan: MakePlan, radius: float) -> None:
    """Eight trials of 21 steps turn the vector only so far; a complex pair leaves it oscillating."""
    task = {"name": "seq_mem", "pattern_length": 10}
    trial = Trial(make_plan(phase="confirm", task=task, network={"radius": radius}))
    for parameter in (trial.loop.population.weight_ih, trial.loop.population.bias):
        parameter.detach().mul_(1e-3)
    for row in measure_propagation(trial.loop):
        assert row["lyapunov"] == pytest.approx(np.log(radius), abs=0.01)


def test_training_is_the_same_whether_or_not_it_is_measured(make_plan: MakePlan) -> None:
    plan = make_plan(phase="confirm", network={"optimizer": "Adam"})
    untouched, measured = Trial(plan), Trial(plan)
    generator = torch.get_rng_state()
    for _ in range(3):
        gradients = [parameter.grad for parameter in measured.loop.population.parameters()]
        copies = [gradient if gradient is None else gradient.clone() for gradient in gradients]
        measure_propagation(measured.loop)
        for parameter, gradient, copy in zip(measured.loop.population.parameters(), gradients, copies, strict=True):
            assert parameter.grad is gradient
            assert copy is None or torch.equal(gradient, copy)
        untouched.run_epoch()
        measured.run_epoch()
    assert torch.equal(torch.get_rng_state(), generator)
    for one, other in zip(untouched.loop.validation_losses, measured.loop.validation_losses, strict=True):
        assert torch.equal(one, other)
    states = [trial.loop.population.state_dict() for trial in (untouched, measured)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_block_reports_how_its_networks_started_also_when_it_was_resumed(make_plan: MakePlan) -> None:
    plan = make_plan(phase="confirm")
    trial = Trial(plan)
    started = [{name: row[name] for name in PROPAGATION} for row in trial.propagation]
    trial.run_epoch()
    resumed = Trial(plan)
    resumed.load_state_dict(trial.state_dict())
    while not resumed.finished:
        resumed.run_epoch()
    rows = BlockReport.of(resumed, seconds=1.0).topologies
    assert [{name: row[name] for name in PROPAGATION} for row in rows] == started
    assert [set(row) for row in resumed.propagation] == [{*PROPAGATION, "left_empty"}] * 3
    trained = measure_propagation(resumed.loop)
    assert all(trained[place]["gradient_norm"] != started[place]["gradient_norm"] for place in range(3))


def test_a_search_trial_does_not_measure_it(make_plan: MakePlan) -> None:
    assert Trial(make_plan(phase="search")).propagation == []


def test_what_is_not_finite_is_left_empty_and_the_row_says_so(make_plan: MakePlan) -> None:
    trial = Trial(make_plan(phase="confirm", network={"nonlinearity": "relu"}))
    before = trial.propagation[2]
    with torch.no_grad():
        trial.loop.population.bias[0] = -100.0
        trial.loop.population.bias[1] = torch.inf
    rows = measure_propagation(trial.loop)
    assert rows[0]["saturated"] == 1.0
    assert rows[0]["mean_activity"] == 0.0
    assert np.isnan(rows[0]["lyapunov"])
    assert rows[0]["left_empty"] == "lyapunov: a small disturbance of the states becomes 0"
    assert all(np.isnan(rows[1][name]) for name in PROPAGATION)
    assert rows[1]["left_empty"] == "; ".join(f"{name}: not a finite number" for name in PROPAGATION)
    assert rows[2] == before


def test_reasons_of_topology_and_network_stand_together(make_plan: MakePlan) -> None:
    plan = make_plan(phase="confirm", topology={"neurons_per_region": 1}, network={"nonlinearity": "relu"}, trials=4)
    trial = Trial(plan)
    with torch.no_grad():
        trial.loop.population.bias.fill_(-100.0)
    trial.propagation = measure_propagation(trial.loop)
    for row in BlockReport.of(trial, seconds=1.0).topologies:
        reasons = dict(part.split(": ") for part in str(row["left_empty"]).split("; "))
        assert {"silhouette", "lyapunov"} <= set(reasons)
        assert {name for name, value in row.items() if value != value} == set(reasons)
