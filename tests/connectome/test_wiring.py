import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.connectome import Connectome, Provenance
from biotune.errors import UserError

PROVENANCE = Provenance(kind="file", species="mouse", citation="", licence="", orientation="")


def connectome(size: int, edges: list[tuple[int, int, float]]) -> Connectome:
    source, target, weight = zip(*edges, strict=True) if edges else ((), (), ())
    return Connectome("test", size, np.array(source), np.array(target), np.array(weight), PROVENANCE)


@given(st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 5)), st.floats(1e-9, 1e9), min_size=1), st.randoms())
def test_edges_in_any_order_are_sorted_by_source_then_target_and_keep_their_weights(weights, random):
    pairs = list(weights)
    random.shuffle(pairs)
    made = connectome(6, [(*pair, weights[pair]) for pair in pairs])
    assert list(zip(made.source, made.target, strict=True)) == sorted(weights)
    assert all(made.matrix()[target, source] == weight for (source, target), weight in weights.items())
    assert np.count_nonzero(made.matrix()) == made.edges == len(weights)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "no edges"),
        ([(0, 1, 1.0), (0, 1, 2.0)], "edge 0 -> 1 occurs twice"),
        ([(0, 3, 1.0)], "regions 0 to 2"),
        ([(-1, 0, 1.0)], "regions 0 to 2"),
        ([(0, 1, 1.0), (2, 1, float("nan"))], "edge 2 -> 1 has nan"),
        ([(0, 1, float("inf"))], "has inf"),
        ([(0, 1, 0.0)], "has 0.0"),
        ([(0, 1, float("-inf"))], "has -inf"),
    ],
)
def test_what_is_no_connectome_is_refused(edges, message):
    with pytest.raises(UserError, match=message):
        connectome(3, edges)


def test_as_many_labels_as_regions():
    with pytest.raises(UserError, match="1 labels for 2 regions"):
        Connectome("test", 2, np.array([0]), np.array([1]), np.array([1.0]), PROVENANCE, labels=("V1",))


def test_with_edges_keeps_the_regions_and_checks_the_edges():
    made = Connectome("test", 2, np.array([0]), np.array([1]), np.array([1.0]), PROVENANCE, labels=("V1", "V2"))
    turned = made.with_edges(made.target, made.source, made.weight)
    assert turned.labels == made.labels
    assert np.array_equal(turned.matrix(), made.matrix().T)
    with pytest.raises(UserError, match="has 0"):
        made.with_edges(made.target, made.source, 0 * made.weight)


def test_signs_are_the_weights_own():
    made = connectome(3, [(0, 1, 1.0), (1, 2, -2.0)])
    assert made.signed
    assert made.matrix()[2, 1] == -2.0
    assert not connectome(3, [(0, 1, 1.0), (1, 2, 2.0)]).signed


def test_the_digest_is_that_of_size_and_edges():
    made = connectome(3, [(0, 1, 1.0), (1, 2, 2.0)])
    assert made.digest == connectome(3, [(1, 2, 2.0), (0, 1, 1.0)]).digest
    others = [connectome(4, [(0, 1, 1.0), (1, 2, 2.0)]), connectome(3, [(0, 1, 2.0), (1, 2, 1.0)])]
    assert len({made.digest, *(other.digest for other in others)}) == 3


def test_density_leaves_self_connections_out():
    assert connectome(3, [(0, 0, 1.0), (0, 1, 1.0), (1, 0, 1.0), (1, 2, 1.0)]).density == pytest.approx(0.5)


def test_the_arrays_cannot_be_changed():
    made = connectome(2, [(0, 1, 1.0)])
    with pytest.raises(ValueError, match="read-only"):
        made.weight[0] = 2.0
