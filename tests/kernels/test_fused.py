"""The fused kernels against PyTorch's operations: on a GPU if there is one, otherwise in Triton's interpreter.

The interpreter must be asked for before Triton loads, so without a GPU these tests run in a process of their own.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from biotune.network.sums import fixed_order_sum, norms, readout
from biotune.training import OPTIMIZERS, WITH_MOMENTUM, Optimizer
from biotune_kernels import available_backends, fused_kernels

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
FUSED = fused_kernels("sums", torch.device(DEVICE), torch.float32)
INSTALLED = "isn't installed" not in (available_backends(DEVICE)["triton"] or "")

usable = pytest.mark.skipif(FUSED is None, reason="the fused kernels aren't usable")
sizes = st.sampled_from([1, 2, 3, 31, 33, 70])


@pytest.mark.slow
@pytest.mark.skipif(FUSED is not None, reason="the tests below run here")
@pytest.mark.skipif(not INSTALLED, reason="triton isn't installed")
def test_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", __file__]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@pytest.mark.parametrize("kind", ["fp32", "fp64"])
@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_for_a_gpu(kind: str, capability: int, compiled: Callable[..., Any]) -> None:
    from biotune_kernels.fused import optimizers, sums

    of_networks = dict.fromkeys(("learning_rate", "weight_decay", "momentum", "steps"), "*fp64")
    names = (
        "values sums states weight bias outputs grad to_states to_weight to_bias parameter gradient first second scale"
    )
    pointers = dict.fromkeys(names.split(), f"*{kind}") | of_networks
    blocks = {"BLOCK_N": 32, "BLOCK_B": 64}
    compiled(sums._sums, {"SQUARED": True, "CHUNK": 8192, "AT_ONCE": 1024}, capability, pointers=pointers)
    compiled(sums._readout, blocks, capability, pointers=pointers)
    compiled(sums._readout_to_states, blocks, capability, pointers=pointers)
    weights = compiled(
        sums._readout_to_weights,
        blocks,
        capability,
        pointers={name: of for name, of in pointers.items() if name != "steps"},
    )
    assert "atom" not in weights.asm["ptx"]
    constants = {"BETA_1": 0.9, "BETA_2": 0.999, "LOG2_BETA_1": -0.15, "LOG2_BETA_2": -0.0014, "EPSILON": 1e-8}
    for name in OPTIMIZERS:
        fixed = {"NAME": name, "DECAYS": True, "CHUNK": 4096, "AT_ONCE": 1024, **constants}
        compiled(optimizers._step, fixed, capability, pointers=pointers)


@usable
@settings(max_examples=8, deadline=None)
@given(rows=sizes, width=st.sampled_from([1, 5, 1000, 8192, 8193, 20_000]), seed=st.integers(0, 100))
def test_sums_and_norms(rows: int, width: int, seed: int) -> None:
    values, other = random(rows, width, seed=seed), random(rows, 3, 2, seed=seed + 1)
    torch.testing.assert_close(fixed_order_sum(values).double(), values.double().sum(-1), rtol=1e-5, atol=1e-3)
    expected = (values.double().square().sum(1) + other.double().square().sum((1, 2))).sqrt()
    found = norms([values, other])
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    place = rows // 2
    assert torch.equal(norms([values[place : place + 1], other[place : place + 1]]), found[place : place + 1])
    assert torch.equal(fixed_order_sum(values[place : place + 1]), fixed_order_sum(values)[place : place + 1])


@usable
@settings(max_examples=10, deadline=None)
@given(
    steps=st.integers(1, 3),
    population=st.integers(1, 3),
    neurons=sizes,
    trials=sizes,
    outputs=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_a_readout_and_its_gradients(
    steps: int, population: int, neurons: int, trials: int, outputs: int, seed: int
) -> None:
    def leaves(places: slice = slice(None)) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        states = random(steps, population, neurons, trials, seed=seed)[:, places]
        weight, bias = random(population, outputs, neurons, seed=seed + 1), random(population, outputs, seed=seed + 2)
        towards = random(steps, population, outputs, trials, seed=seed + 3)[:, places]
        return states.requires_grad_(), weight[places].requires_grad_(), bias[places].requires_grad_(), towards

    def run(places: slice = slice(None)) -> list[Tensor]:
        *given, towards = leaves(places)
        outputs = readout(*given)
        return [outputs, *torch.autograd.grad(outputs, given, towards)]

    states, weight, bias, towards = (one.double() for one in leaves())
    expected = [
        torch.einsum("pon,tpnb->tpob", weight, states) + bias[:, :, None],
        torch.einsum("pon,tpob->tpnb", weight, towards),
        torch.einsum("tpob,tpnb->pon", towards, states),
        towards.sum((0, 3)),
    ]
    found = run()
    for one, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), exact, rtol=1e-5, atol=1e-4)
    alone = run(slice(population - 1, population))
    for one, its, axis in zip(found, alone, (1, 1, 0, 0), strict=True):
        assert torch.equal(one.narrow(axis, population - 1, 1), its)


@usable
@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(list(OPTIMIZERS)),
    networks=st.lists(
        st.tuples(st.floats(1e-4, 1e-1), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.9]), st.floats(0.1, 1)),
        min_size=1,
        max_size=3,
    ),
    width=st.sampled_from([1, 7, 5000]),
)
def test_an_optimizer_steps_each_network_as_torchs_own_would(
    name: str, networks: list[tuple[float, float, float, float]], width: int
) -> None:
    rates, decays, momenta, scales = map(list, zip(*networks, strict=True))
    options = {
        "learning_rate": rates,
        "weight_decay": decays,
        "momentum": momenta if name in WITH_MOMENTUM else 0.0,
    }

    parameter = nn.Parameter(random(len(networks), width, seed=0))
    optimizer = Optimizer(name, [parameter], **options)
    for seed in range(1, 4):
        optimizer.step([random(len(networks), width, seed=seed)], torch.tensor(scales, device=DEVICE))
    expected = by_torch(name, options, scales, width)
    # of all together: where a gradient is nearly 0, RMSprop and Adam divide rounding errors by next to nothing
    moved = (expected - random(len(networks), width, seed=0)).norm()
    assert (parameter.detach() - expected).norm() < 1e-5 * moved


def by_torch(name: str, options: dict, scales: list[float], width: int) -> Tensor:
    """The same steps by torch's own optimiser, one network after another."""
    start = random(len(scales), width, seed=0)
    found = []
    for place, scale in enumerate(scales):
        parameter = nn.Parameter(start[place].clone())
        own = {
            "lr": options["learning_rate"][place],
            "weight_decay": options["weight_decay"][place],
            **({"momentum": options["momentum"][place]} if name in WITH_MOMENTUM else {}),
        }
        optimizer = getattr(torch.optim, name)([parameter], **own)
        for seed in range(1, 4):
            parameter.grad = random(len(scales), width, seed=seed)[place] * scale
            optimizer.step()
        found.append(parameter.detach())
    return torch.stack(found)
