"""Signs of the weights: which neurons inhibit, and what the connectome says of it."""

import numpy as np
import pytest

from biotune.errors import UserError
from biotune.network import edge_signs
from biotune.topology import Topology


def full(weight: np.ndarray) -> Topology:
    size = len(weight)
    target, source = np.divmod(np.arange(size * size), size)
    return Topology(size, target, source, weight.ravel(), np.zeros(size, np.int64))


def test_a_share_of_the_neurons_inhibits_over_all_its_edges_and_the_same_ones_in_every_wiring() -> None:
    topology = full(np.ones((20, 20)))
    signs = edge_signs(topology, 0.2, True, np.random.default_rng(3))
    assert signs is not None
    by_source = signs.reshape(20, 20)
    assert (by_source == by_source[0]).all()
    assert (by_source[0] < 0).sum() == 4
    sparser = Topology(20, topology.target[::3], topology.source[::3], topology.weight[::3], topology.region)
    np.testing.assert_array_equal(edge_signs(sparser, 0.2, True, np.random.default_rng(3)), signs[::3])


def test_signs_from_data_are_those_of_the_edges() -> None:
    weight = np.random.default_rng(0).random((5, 5)) * [1, -1, 1, 1, -1]
    signs = edge_signs(full(weight), "data", True, np.random.default_rng(0))
    np.testing.assert_array_equal(signs, np.sign(weight).ravel())


@pytest.mark.parametrize(
    ("weight", "signs", "message"),
    [
        (np.ones((3, 3)), "data", "no negative weight"),
        (np.array([[1.0, 1.0], [-1.0, 1.0]]), "data", "1 of 2 neurons have outgoing weights of both signs"),
        (np.ones((3, 3)), 0.1, "comes to 0"),
    ],
)
def test_signs_that_cannot_be_had(weight: np.ndarray, signs: str | float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        edge_signs(full(weight), signs, True, np.random.default_rng(0))
