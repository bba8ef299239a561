"""What a trial promises: replicates train as if alone, and a resumed trial as if it had never stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biotune.network import load_checkpoint, save_checkpoint
from biotune.seeds import generator
from biotune.training import Trial, TrialPlan

MakePlan = Callable[..., TrialPlan]


def run(plan: TrialPlan) -> Trial:
    trial = Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    return trial


def validation(trial: Trial) -> np.ndarray:
    return torch.stack(trial.loop.validation_losses).numpy()


@pytest.mark.parametrize("backend", ["reference", "dense", "torch_csr"])
def test_a_population_trains_as_its_replicates_do_alone(make_plan: MakePlan, backend: str) -> None:
    plan = make_plan(backend=backend, dtype=torch.float64, max_epochs=10)
    together = run(plan)
    for index, replicate in enumerate(plan.replicates):
        alone = run(make_plan(backend=backend, dtype=torch.float64, max_epochs=10, replicates=(replicate,)))
        np.testing.assert_allclose(validation(together)[:, index], validation(alone)[:, 0], rtol=1e-9)


def test_the_first_step_in_float32_equals_each_replicates_own(make_plan: MakePlan) -> None:
    together = Trial(make_plan(batch=40))
    together.run_epoch()
    for index in range(3):
        alone = Trial(make_plan(batch=40, replicates=(index,)))
        alone.run_epoch()
        for name, parameter in together.loop.population.named_parameters():
            own = dict(alone.loop.population.named_parameters())[name]
            torch.testing.assert_close(parameter[index], own[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_one_step_equals_that_of_a_masked_rnn(make_plan: MakePlan, nonlinearity: str) -> None:
    trial = Trial(make_plan(replicates=(0,), network={"nonlinearity": nonlinearity}))
    population, topology = trial.loop.population, trial.topologies[0]
    rnn = torch.nn.RNN(2, topology.size, nonlinearity=nonlinearity, batch_first=True)
    target, source = torch.from_numpy(topology.target), torch.from_numpy(topology.source)
    with torch.no_grad():
        rnn.weight_hh_l0.zero_()
        rnn.weight_hh_l0[target, source] = population.values[0]
        rnn.weight_ih_l0.copy_(population.weight_ih[0])
        rnn.bias_ih_l0.copy_(population.bias[0])
        rnn.bias_hh_l0.zero_()
    inputs, targets = trial.loop.training
    hidden, _ = rnn(inputs[0])
    outputs = hidden[:, trial.loop.scored] @ population.weight_out[0].T + population.bias_out[0]
    expected = (outputs - targets[0]).square().mean()
    expected.backward()
    loss = (population(inputs, trial.loop.scored) - targets).square().mean()
    population.zero_grad()
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert population.values.grad is not None
    assert rnn.weight_hh_l0.grad is not None
    torch.testing.assert_close(population.values.grad[0], rnn.weight_hh_l0.grad[target, source], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(population.weight_ih.grad[0], rnn.weight_ih_l0.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(population.bias.grad[0], rnn.bias_ih_l0.grad, rtol=1e-4, atol=1e-6)


def test_the_same_plan_gives_the_same_numbers_and_another_seed_others(make_plan: MakePlan) -> None:
    first, second, other = run(make_plan()), run(make_plan()), run(make_plan(seed=2))
    np.testing.assert_array_equal(validation(first), validation(second))
    assert not np.isclose(validation(first), validation(other)).any()


def test_search_and_confirm_draw_different_networks_and_data(make_plan: MakePlan) -> None:
    search, confirm = Trial(make_plan()), Trial(make_plan(phase="confirm"))
    assert not np.isclose(validation(search), validation(confirm)).any()


def test_arms_share_data_input_weights_and_initial_values(make_plan: MakePlan) -> None:
    connectome = Trial(make_plan(network={"radius": None}))
    null = {"name": "degree_preserving", "level": "region", "weights": "carried", "fraction": 1.0}
    rewired = Trial(make_plan(null=null, network={"radius": None}))
    torch.testing.assert_close(connectome.loop.training, rewired.loop.training)
    torch.testing.assert_close(connectome.loop.population.weight_ih, rewired.loop.population.weight_ih)
    np.testing.assert_array_equal(np.sort(connectome.initial_values), np.sort(rewired.initial_values))
    assert not np.array_equal(connectome.topologies[0].source, rewired.topologies[0].source)


def test_what_the_topology_lacks_is_never_trained(make_plan: MakePlan) -> None:
    trial = run(make_plan())
    assert trial.loop.population.values.shape == (3, len(trial.topologies[0].target))


def test_frozen_recurrent_weights_do_not_move_and_the_others_do(make_plan: MakePlan) -> None:
    trial = Trial(make_plan(network={"freeze_recurrent": True}))
    before = {name: value.clone() for name, value in trial.loop.population.state_dict().items()}
    while not trial.finished:
        trial.run_epoch()
    moved = {name for name, value in trial.loop.population.state_dict().items() if not value.equal(before[name])}
    assert moved == {"weight_ih", "bias", "weight_out", "bias_out"}


def test_a_partial_readout_is_a_linear_layer_on_the_neurons_that_it_sees(make_plan: MakePlan) -> None:
    trial = Trial(make_plan(network={"readout": 0.4}))
    population, (inputs, targets), scored = trial.loop.population, trial.loop.training, trial.loop.scored
    whole = Trial(make_plan()).loop.population
    size = trial.topologies[0].size
    assert population.weight_out.shape == (3, trial.task.output_size, round(0.4 * size))
    for place in range(3):  # the same networks, with a readout that has zeros where the other has no weights
        with torch.no_grad():
            whole.weight_out[place] = 0
            whole.weight_out[place][:, population.read[place]] = population.weight_out[place]
            whole.bias_out[place] = population.bias_out[place]
    losses = []
    for networks in (population, whole):
        losses.append((networks(inputs, scored) - targets).square().mean())
        losses[-1].backward()
    torch.testing.assert_close(*losses)
    for name in ("values", "weight_ih", "bias", "bias_out"):
        torch.testing.assert_close(getattr(population, name).grad, getattr(whole, name).grad)
    for place in range(3):
        of_read = whole.weight_out.grad[place][:, population.read[place]]
        torch.testing.assert_close(population.weight_out.grad[place], of_read)
    before = validation(trial)[-1]
    assert (validation(run(make_plan(network={"readout": 0.4})))[-1] < before).all()


def test_a_replicate_reads_the_same_neurons_in_every_arm_of_its_size(make_plan: MakePlan) -> None:
    def read(**changes: Any) -> np.ndarray:
        neurons = Trial(make_plan(**changes | {"network": {"readout": 0.4, **changes.get("network", {})}}))
        return neurons.loop.population.read.numpy()

    found = read()
    null = {"name": "erdos_renyi", "level": "neuron", "weights": "carried", "fraction": 1.0}
    other = {"initialisation": "xavier", "signs": 0.3, "remap": "magnitude", "learning_rate": 0.1}
    for same in ({"null": null}, {"draw": 1}, {"network": other}, {"task": {"name": "nback_mem"}}, {"max_epochs": 9}):
        np.testing.assert_array_equal(read(**same), found)
    np.testing.assert_array_equal(read(replicates=(2, 0)), found[[2, 0]])
    assert len({tuple(neurons) for neurons in found}) == 3
    for another in ({"seed": 2}, {"phase": "confirm"}):
        assert not np.array_equal(read(**another), found)


def test_a_readout_that_sees_all_is_drawn_as_torchs_own_layer(make_plan: MakePlan) -> None:
    population = Trial(make_plan()).loop.population
    size = population.weight_ih.shape[1]
    for place in range(3):
        draw = generator(1, "search", place, "readout_weights")
        for found in (population.weight_out[place], population.bias_out[place]):
            drawn = draw.uniform(-(size**-0.5), size**-0.5, tuple(found.shape)).astype(np.float32)
            np.testing.assert_array_equal(found.detach().numpy(), drawn)
    assert population.read is None


def test_a_share_that_rounds_to_all_neurons_gives_the_same_numbers_as_all(make_plan: MakePlan) -> None:
    all_of_them, nearly = run(make_plan()), run(make_plan(network={"readout": 0.999}))
    assert nearly.loop.population.read is not None
    np.testing.assert_array_equal(validation(nearly), validation(all_of_them))


@pytest.mark.parametrize(
    "network",
    [{"optimizer": "Adam"}, {"optimizer": "AdamW"}, {"optimizer": "RMSprop"}, {"optimizer": "SGD"}, {"readout": 0.4}],
    ids=str,
)
def test_resuming_gives_the_same_numbers(make_plan: MakePlan, tmp_path: Path, network: dict[str, Any]) -> None:
    plan = make_plan(network=network)
    whole = run(plan)
    interrupted = Trial(plan)
    interrupted.run_epoch()
    interrupted.run_epoch()
    save_checkpoint(tmp_path / "trial.pt", interrupted.state_dict())
    resumed = Trial(plan)
    resumed.load_state_dict(load_checkpoint(tmp_path / "trial.pt"))
    while not resumed.finished:
        resumed.run_epoch()
    np.testing.assert_array_equal(validation(resumed), validation(whole))
    assert resumed.convergence() == whole.convergence()
    torch.testing.assert_close(resumed.loop.test_losses, whole.loop.test_losses, rtol=0, atol=0)


def test_a_replicate_that_diverges_leaves_the_others_untouched(make_plan: MakePlan) -> None:
    healthy, sick = Trial(make_plan()), Trial(make_plan())
    with torch.no_grad():
        sick.loop.population.values[1] = float("nan")
    for trial in (healthy, sick):
        while not trial.finished:
            trial.run_epoch()
    np.testing.assert_array_equal(validation(sick)[:, [0, 2]], validation(healthy)[:, [0, 2]])
    assert sick.loop.diverged.tolist() == [False, True, False]
    assert [outcome.diverged for outcome in sick.convergence()] == [False, True, False]
    assert np.isfinite(sick.score)
    assert not sick.diverged


def test_a_trial_whose_replicates_all_diverge_ends_early(make_plan: MakePlan) -> None:
    trial = Trial(make_plan(network={"learning_rate": 1e30, "nonlinearity": "relu", "gradient_clip": 1e30}))
    while not trial.finished:
        trial.run_epoch()
    assert trial.diverged
    assert trial.loop.epoch < trial.plan.epochs
    assert not any(outcome.converged for outcome in trial.convergence())


def test_a_gradient_is_clipped_by_its_own_replicate_alone(make_plan: MakePlan) -> None:
    clip = 1e-3
    trial = Trial(make_plan(batch=40, network={"optimizer": "SGD", "learning_rate": 1.0, "gradient_clip": clip}))
    with torch.no_grad():
        trial.loop.population.weight_out[2] *= 1000  # a gradient far larger than the others'
    before = [parameter.detach().clone() for parameter in trial.loop.population.parameters()]
    trial.run_epoch()
    steps = [new.detach() - old for new, old in zip(trial.loop.population.parameters(), before, strict=True)]
    norms = torch.stack([step.flatten(1).norm(dim=1) for step in steps]).norm(dim=0)
    torch.testing.assert_close(norms, torch.full((3,), clip), rtol=0.05, atol=0)


def test_runs_go_on_past_the_budget_only_to_see_a_crossing_hold(make_plan: MakePlan) -> None:
    trial = run(make_plan(max_epochs=4, sustain=3))
    assert trial.loop.epoch == 6
    assert trial.budget == 4 * 3
    outcome = trial.convergence()[0]
    assert outcome.budget == trial.budget
    assert outcome.final_loss == pytest.approx(float(validation(trial)[4, 0]))


def test_the_test_trials_are_fresh_and_scored_at_the_budget(make_plan: MakePlan) -> None:
    trial = run(make_plan())
    assert trial.loop.test_losses is not None
    assert not np.isclose(trial.loop.test_losses.numpy(), validation(trial)).any()


DALE = {"signs": 0.25, "dale": True, "remap": "magnitude", "learning_rate": 0.05}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_outgoing_weights_keep_their_neurons_sign_through_training(make_plan: MakePlan, optimizer: str) -> None:
    free = {**DALE, "dale": False, "optimizer": optimizer, "learning_rate": 0.05 if optimizer == "Adam" else 3.0}
    crossed = {}
    for dale in (False, True):
        trial = run(make_plan(max_epochs=40, network=free | {"dale": dale}))  # over 100 updates
        assert trial.loop.epoch * trial.plan.updates_per_epoch >= 100
        initial = np.sign(trial.initial_values)
        for topology, sign in zip(trial.topologies, initial, strict=True):
            of_neuron = [set(sign[topology.source == neuron]) for neuron in range(topology.size)]
            assert all(len(one) <= 1 for one in of_neuron)
            assert {-1.0, 1.0} <= set().union(*of_neuron)
        values = trial.loop.population.values.detach().numpy()
        assert not np.array_equal(values, trial.initial_values)
        crossed[dale] = int((values * initial < 0).sum())
    assert crossed[False] > 0
    assert crossed[True] == 0


def test_a_population_under_dales_law_trains_as_its_replicates_do_alone(make_plan: MakePlan) -> None:
    options = {"dtype": torch.float64, "max_epochs": 10}
    together = run(make_plan(**options, network=DALE))
    for replicate in range(3):
        alone = run(make_plan(**options, network=DALE, replicates=(replicate,)))
        np.testing.assert_allclose(validation(together)[:, replicate], validation(alone)[:, 0], rtol=1e-9)


def test_dales_law_holds_where_weights_are_frozen_and_a_resumed_trial_goes_on_alike(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    frozen = run(make_plan(network=DALE | {"freeze_recurrent": True}))
    np.testing.assert_array_equal(frozen.loop.population.values.detach().numpy(), frozen.initial_values)
    whole, half = run(make_plan(network=DALE)), Trial(make_plan(network=DALE))
    half.run_epoch()
    save_checkpoint(tmp_path / "half", half.state_dict())
    resumed = Trial(make_plan(network=DALE))
    resumed.load_state_dict(load_checkpoint(tmp_path / "half"))
    while not resumed.finished:
        resumed.run_epoch()
    np.testing.assert_array_equal(validation(resumed), validation(whole))
