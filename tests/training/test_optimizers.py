"""The optimisers against torch's own, and each network against itself alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from biotune.training import OPTIMIZERS, WITH_MOMENTUM, Optimizer

SHAPES = [(7,), (3, 2)]
STEPS = 5


def drawn(seed: int, networks: int) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The parameters, and their gradients at every step."""
    generator = torch.Generator().manual_seed(seed)

    def one() -> list[Tensor]:
        return [torch.randn(networks, *shape, generator=generator) for shape in SHAPES]

    return one(), [one() for _ in range(STEPS)]


def stepped(
    name: str, start: list[Tensor], gradients: list[list[Tensor]], before: int = 0, **options: list[float]
) -> list[Tensor]:
    """The parameters after all steps; `before` so many, the optimiser's state is taken to another one."""
    parameters = [nn.Parameter(one.clone()) for one in start]
    optimizer = Optimizer(name, parameters, **options)
    for number, of_step in enumerate(gradients):
        if number == before:
            state = optimizer.state_dict()
            optimizer = Optimizer(name, parameters, **options)
            optimizer.load_state_dict(state)
        optimizer.step([gradient.clone() for gradient in of_step], torch.ones(len(start[0])))
    return [parameter.detach() for parameter in parameters]


def by_torch(name: str, start: list[Tensor], gradients: list[list[Tensor]], **options: float) -> list[Tensor]:
    parameters = [nn.Parameter(one.clone()) for one in start]
    if name not in WITH_MOMENTUM:
        del options["momentum"]
    optimizer = getattr(torch.optim, name)(parameters, lr=options.pop("learning_rate"), **options)
    for of_step in gradients:
        for parameter, gradient in zip(parameters, of_step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(list(OPTIMIZERS)),
    networks=st.lists(
        st.tuples(st.floats(1e-4, 1e-1), st.sampled_from([0.0, 1e-3, 0.1]), st.sampled_from([0.0, 0.5, 0.9])),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 1000),
)
def test_each_network_is_stepped_as_torch_would_step_it_alone(
    name: str, networks: list[tuple[float, float, float]], seed: int
) -> None:
    start, gradients = drawn(seed, len(networks))
    names = "learning_rate", "weight_decay", "momentum"
    options = {of: list(values) for of, values in zip(names, zip(*networks, strict=True), strict=True)}
    if name not in WITH_MOMENTUM:
        options["momentum"] = [0.0] * len(networks)
    together = stepped(name, start, gradients, **options)
    for place in range(len(networks)):
        own = {of: values[place] for of, values in options.items()}
        its_start = [one[place : place + 1] for one in start]
        its_gradients = [[one[place : place + 1] for one in of_step] for of_step in gradients]
        expected = by_torch(name, its_start, its_gradients, **own)
        alone = stepped(name, its_start, its_gradients, **{of: [value] for of, value in own.items()})
        for found, one, other in zip(together, alone, expected, strict=True):
            torch.testing.assert_close(found[place], other[0], rtol=1e-4, atol=1e-4 * own["learning_rate"])
            if len(set(options["weight_decay"])) == 1:  # otherwise a network alone may skip the decay's sum with 0
                np.testing.assert_array_equal(found[place].numpy(), one[0].numpy())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_goes_on_from_its_state_in_the_same_tensors(name: str) -> None:
    start, gradients = drawn(0, 3)
    options = {"learning_rate": [1e-2, 1e-3, 1e-1]}
    whole, resumed = (stepped(name, start, gradients, before, **options) for before in (0, 2))
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())

    optimizer = Optimizer(name, [nn.Parameter(one) for one in start], **options)
    kept = [optimizer.steps, *(moment for moments in optimizer.moments for moment in moments)]
    addresses = [tensor.data_ptr() for tensor in kept]
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step(gradients[0], torch.ones(3))
    now = [optimizer.steps, *(moment for moments in optimizer.moments for moment in moments)]
    assert [tensor.data_ptr() for tensor in now] == addresses


def test_networks_may_have_taken_different_numbers_of_steps() -> None:
    start, gradients = drawn(0, 2)
    parameters = [nn.Parameter(one.clone()) for one in start]
    optimizer = Optimizer("Adam", parameters, learning_rate=1e-2)
    state = optimizer.state_dict()
    state["steps"][1] = 1000
    optimizer.load_state_dict(state)
    optimizer.step([one.clone() for one in gradients[0]], torch.ones(2))
    moved = [(one - parameter.detach()).abs() for one, parameter in zip(start, parameters, strict=True)]
    # a first step goes by the learning rate, since the short memory of both means is corrected for
    uncorrected = 0.1 / 0.001**0.5 * (1 - 0.999**1001) ** 0.5
    for of_parameter in moved:
        expected = torch.stack([torch.full_like(of_parameter[0], 1e-2 * factor) for factor in (1, uncorrected)])
        torch.testing.assert_close(of_parameter, expected, rtol=1e-3, atol=1e-5)


def test_momentum_is_refused_where_there_is_none() -> None:
    with pytest.raises(ValueError, match=r"momentum 0.9 is for RMSprop and SGD; Adam has no such option"):
        Optimizer("Adam", [nn.Parameter(torch.zeros(1, 2))], learning_rate=0.1, momentum=0.9)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_the_steps_of_a_network_do_not_depend_on_how_many_others_there_are(name: str) -> None:
    """The correction for a short memory is a power, which processors round differently, one by one and many at once."""

    def trained(population: int) -> Tensor:
        parameter = nn.Parameter(torch.ones(population, 3))
        optimizer = Optimizer(name, [parameter], learning_rate=0.01)
        for step in range(200):
            optimizer.step([torch.full_like(parameter, 1.0 + step)], torch.ones(population))
        return parameter.detach()[0]

    alone = trained(1)
    assert all(torch.equal(trained(population), alone) for population in (2, 4, 8, 17))
