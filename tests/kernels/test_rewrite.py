"""A population whose networks differ in nonlinearity, and one of whose networks is given other edges in place."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biotune_kernels import SparsePattern, available_backends, sparse_rnn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(reason is not None, reason=f"{name}: {reason}"))
    for name, reason in available_backends(DEVICE).items()
]
SIZE, EDGES, POPULATION, BATCH, STEPS = 19, 60, 4, 5, 4


def edges(seed: int, ordered: bool = False) -> tuple[Tensor, Tensor]:
    place = torch.randperm(SIZE**2, generator=torch.Generator().manual_seed(seed))[:EDGES]
    place = place.sort().values if ordered else place
    return place // SIZE, place % SIZE


def passes(backend: str, pattern: SparsePattern, nonlinearity: str | Tensor, seed: int = 0) -> list[Tensor]:
    """Hidden states and all gradients."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(DEVICE).requires_grad_()

    given = {
        "inputs": random(POPULATION, BATCH, STEPS, 2),
        "values": random(POPULATION, EDGES),
        "weight_ih": random(POPULATION, SIZE, 2),
        "bias": random(POPULATION, SIZE),
    }
    hidden = sparse_rnn(pattern=pattern, nonlinearity=nonlinearity, backend=backend, **given)
    grad = torch.randn(hidden.shape, generator=generator).to(DEVICE)
    return [hidden.detach(), *torch.autograd.grad(hidden, list(given.values()), grad)]


def stacked(*of: tuple[Tensor, Tensor]) -> SparsePattern:
    return SparsePattern(torch.stack([t for t, _ in of]), torch.stack([s for _, s in of]), SIZE).to(DEVICE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_network_has_the_nonlinearity_that_is_its_own(backend: str) -> None:
    pattern = stacked(*(edges(seed) for seed in range(POPULATION)))
    kinds = torch.tensor([0, 1, 1, 0], dtype=torch.uint8, device=DEVICE)
    mixed = passes(backend, pattern, kinds)
    of_name = {0: passes(backend, pattern, "tanh"), 1: passes(backend, pattern, "relu")}
    for network, kind in enumerate(kinds.tolist()):
        for found, expected in zip(mixed, of_name[kind], strict=True):
            torch.testing.assert_close(found[network], expected[network], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=10)
@given(
    network=st.integers(0, POPULATION - 1), ordered=st.lists(st.booleans(), min_size=5, max_size=5), used=st.booleans()
)
def test_rewritten_edges_are_those_of_a_new_pattern(
    backend: str, network: int, ordered: list[bool], used: bool
) -> None:
    """Whatever was derived from the edges before, and whether they come sorted or not; bit for bit."""
    held = [edges(seed, ordered[seed]) for seed in range(POPULATION)]
    pattern = stacked(*held)
    addresses = pattern.target.data_ptr(), pattern.source.data_ptr()
    if used:
        passes(backend, pattern, "tanh")
    held[network] = edges(9, ordered[4])
    pattern.rewrite(network, *held[network])
    assert (pattern.target.data_ptr(), pattern.source.data_ptr()) == addresses
    for found, expected in zip(passes(backend, pattern, "tanh"), passes(backend, stacked(*held), "tanh"), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["dense", "triton"])
def test_what_backends_keep_on_a_gpu_is_brought_up_to_date_at_its_address(name: str) -> None:
    """So that passes which were recorded read the new edges."""
    pattern = stacked(*(edges(seed) for seed in range(POPULATION)))
    if name == "triton":
        pairs = pytest.importorskip("biotune_kernels.backends.triton.pairs")
        kept = pairs.edge_at_place(pattern, 32)
        expected = pairs.edge_at_place(stacked(edges(9), *(edges(seed) for seed in range(1, POPULATION))), 32)
    else:
        passes(name, pattern, "tanh")
        (kept,) = pattern.memo.values()
    address = kept.data_ptr()
    assert pattern.rewrite(0, *edges(9))
    assert any(one is kept for one in pattern.memo.values())
    assert kept.data_ptr() == address
    if name == "triton":
        assert torch.equal(kept, expected)


def test_a_backend_that_cannot_says_so() -> None:
    pattern = stacked(*(edges(seed) for seed in range(POPULATION)))
    pattern.kept("of a backend", lambda: "what it keeps")
    assert not pattern.rewrite(1, *edges(9))
    assert pattern.memo == {}


@pytest.mark.parametrize(
    ("network", "target", "message"),
    [
        (4, edges(9)[0], "network: expected 0 to 3, got 4"),
        (0, edges(9)[0][:-1], "expected two tensors of one shape"),
        (0, edges(9)[0] + SIZE, "they must lie within 0 to 18"),
    ],
)
def test_edges_that_do_not_fit_are_refused_and_change_nothing(network: int, target: Tensor, message: str) -> None:
    pattern = stacked(*(edges(seed) for seed in range(POPULATION)))
    before = pattern.target.clone()
    with pytest.raises(ValueError, match=message):
        pattern.rewrite(network, target, edges(9)[1])
    assert torch.equal(pattern.target, before)


def test_another_number_of_edges_is_refused() -> None:
    pattern = stacked(*(edges(seed) for seed in range(POPULATION)))
    target, source = edges(9)
    with pytest.raises(ValueError, match="as many edges as before"):
        pattern.rewrite(0, target[1:], source[1:])


def test_a_tensor_of_another_shape_is_refused() -> None:
    pattern = stacked(*(edges(seed) for seed in range(POPULATION)))
    with pytest.raises(ValueError, match=r"nonlinearity: expected uint8 \[population\] = \[4\]"):
        passes("reference", pattern, torch.zeros(3, dtype=torch.uint8))
