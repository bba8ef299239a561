"""An engine trains the networks of many trials together, each to the numbers that it has by itself."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biotune.errors import KernelError
from biotune.training import OPTIMIZERS, Trial, TrialPlan
from biotune.training.engine import Engine, EngineLost, Handed, Heard, NoEngine, NoRoom, Slots, loop
from biotune.training.steps import Steps
from biotune_kernels import available_backends
from tests.training.conftest import small_connectome

MakePlan = Callable[..., TrialPlan]
BACKENDS = [name for name in ("cpu", "dense") if available_backends("cpu")[name] is None]


@pytest.fixture(autouse=True)
def one_thread_each() -> Iterator[None]:
    """Many threads that each have a pool of threads would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def running(engine: Engine) -> Iterator[Engine]:
    """An engine that steps in a thread of its own, as in its actor."""
    over = threading.Event()
    thread = threading.Thread(target=engine.run, args=(over.is_set,))
    thread.start()
    try:
        yield engine
    finally:
        over.set()
        thread.join()


def trained(plan: TrialPlan, engine: Any = None, rungs: tuple[int, ...] = (), epochs: int = 99) -> dict[str, Any]:
    """All that is known of a trial after its last epoch, or after so many."""
    trial = Trial(plan, engines=engine, rungs=rungs)
    while not trial.finished and trial.loop.epoch < epochs:
        trial.run_epoch()
    state = trial.state_dict()
    found = {
        "diverged": state["loop"]["diverged"],
        "tested": state["test_losses"],
        "started": trial.propagation,
        "outcome": trial.convergence(),
    }
    for name in ("training_losses", "validation_losses", "accuracies"):
        found[name] = torch.stack(state["loop"][name]) if state["loop"][name] else None
    return found | state["loop"]["population"] | {"optimizer": state["loop"]["optimizer"], "epoch": trial.loop.epoch}


def assert_same(found: Any, expected: Any, name: str = "") -> None:
    """Equal bit for bit; of two zeros the signs may differ."""
    if isinstance(expected, Tensor):
        np.testing.assert_array_equal(found.numpy(), expected.numpy(), name)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key], f"{name} {key}")
    elif isinstance(expected, list) and expected and isinstance(expected[0], list | dict | Tensor):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, name)
    else:
        assert repr(found) == repr(expected), name


COMPANY = [
    {"network": {"nonlinearity": "relu", "learning_rate": 0.003}},
    {"network": {"weight_decay": 0.1, "gradient_clip": 0.05}, "replicates": (0, 1)},
    {"network": {"signs": 0.3, "dale": True}, "replicates": (4,)},
    {"network": {"learning_rate": 1e30, "gradient_clip": 1e30, "nonlinearity": "relu"}, "replicates": (7, 8)},
    {"seed": 5, "max_epochs": 2, "replicates": (1, 2, 3, 4, 5)},
    {"until_met": True, "level": 0.2, "phase": "confirm"},
    {"connectome": small_connectome(seed=3), "null": None, "phase": "confirm"},
]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=5)
@given(
    company=st.permutations(range(len(COMPANY))).flatmap(
        lambda order: st.integers(1, len(COMPANY)).map(lambda count: order[:count])
    ),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    task=st.sampled_from([{"name": "seq_mem", "pattern_length": 2}, {"name": "nback_mem"}]),
    batch=st.sampled_from([7, 16, 64]),
    readout=st.sampled_from([1.0, 0.4]),
    frozen=st.booleans(),
    rungs=st.sampled_from([(), (1,), (1, 2, 3)]),
)
def test_a_trial_has_the_same_numbers_in_any_company(
    make_plan: MakePlan,
    backend: str,
    company: list[int],
    optimizer: str,
    task: dict[str, Any],
    batch: int,
    readout: float,
    frozen: bool,
    rungs: tuple[int, ...],
) -> None:
    """Whoever joins when, whatever the slots and the capacity: as in a process of its own."""

    def plan(index: int) -> TrialPlan:
        given = dict(COMPANY[index])
        network = {"optimizer": optimizer, "readout": readout, "freeze_recurrent": frozen}
        network |= given.pop("network", {})  # type: ignore[operator]
        return make_plan(backend=backend, task=task, batch=batch, network=network, **given)

    plans = [plan(index) for index in company]
    with running(Engine("cpu")) as engine, ThreadPoolExecutor(len(plans)) as pool:
        together = list(pool.map(lambda one: trained(one, engine, rungs), plans))
    for one, found in zip(plans, together, strict=True):
        assert_same(found, trained(one))


def test_networks_of_one_signature_share_a_population_and_others_do_not(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biotune.training.engine.engine.IDLE", float("inf"))
    engine = Engine("cpu")
    with running(engine), ThreadPoolExecutor(3) as pool:
        plans = [make_plan(backend="dense", network=network) for network in ({}, {"nonlinearity": "relu"})]
        list(pool.map(lambda one: trained(one, engine), [*plans, make_plan(backend="dense", batch=8)]))
    assert len(engine.groups) == 2


def test_a_trial_that_has_to_be_judged_is_not_trained_further(make_plan: MakePlan) -> None:
    plan = make_plan(backend="dense", max_epochs=6)
    with running(Engine("cpu")) as engine:
        trial = Trial(plan, engines=engine, rungs=(2,))
        for _ in range(2):
            trial.run_epoch()
        time.sleep(0.3)
        assert trial.state_dict()["loop"]["epoch"] == 2
        trial.run_epoch()  # it was judged to go on
        while trial.state_dict()["loop"]["epoch"] < plan.epochs:  # the engine is ahead
            assert trial.loop.epoch == 3


def test_what_is_trained_goes_on_from_its_state(make_plan: MakePlan) -> None:
    """In another engine, or in a process of its own; and from a state of the latter."""
    plan = make_plan(backend="dense", max_epochs=6, network={"optimizer": "RMSprop", "momentum": 0.5})
    whole = trained(plan)
    for first, then in ((True, True), (True, False), (False, True)):
        with running(Engine("cpu")) as one, running(Engine("cpu")) as other:
            begun = Trial(plan, engines=one if first else None, rungs=(3,))
            for _ in range(3):
                begun.run_epoch()
            resumed = Trial(plan, engines=other if then else None)
            resumed.load_state_dict(begun.state_dict())
            assert resumed.loop.epoch == 3
            while not resumed.finished:
                resumed.run_epoch()
            state = resumed.state_dict()["loop"]
        assert_same(torch.stack(state["validation_losses"]), whole["validation_losses"])
        assert_same(state["optimizer"], whole["optimizer"])


class Dying:
    """An engine that is lost again and again, and started anew."""

    def __init__(self, every: int) -> None:
        self.every, self.asked, self.begun = every, 0, 0
        self.engine, self.over = Engine("cpu"), threading.Event()
        self.start()

    def start(self) -> None:
        self.begun += 1
        self.engine, self.over = Engine("cpu"), threading.Event()
        threading.Thread(target=self.engine.run, args=(self.over.is_set,)).start()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            self.asked += 1
            if self.asked % self.every == 0:
                self.over.set()
                self.start()
                raise EngineLost("it was killed")
            return getattr(self.engine, name)(*arguments)

        return ask


def test_a_lost_engine_changes_nothing(make_plan: MakePlan) -> None:
    plan = make_plan(backend="dense", max_epochs=6)
    engines = Dying(every=4)
    trial = Trial(plan, engines=engines, rungs=(1, 2, 3, 4, 5))
    while not trial.finished:
        trial.run_epoch()
        trial.state_dict()
    engines.over.set()
    assert engines.begun > 3
    assert_same(torch.stack(trial.loop.validation_losses), trained(plan)["validation_losses"])


def test_who_loses_every_engine_fails(make_plan: MakePlan) -> None:
    engines = Dying(every=1)
    with pytest.raises(NoEngine, match="5 engines were lost in a row"):
        Trial(make_plan(backend="dense"), engines=engines)
    engines.over.set()


def test_a_trial_that_does_not_ask_loses_its_slots(make_plan: MakePlan) -> None:
    plan = make_plan(backend="dense", max_epochs=6)
    with running(Engine("cpu", lease=1.5)) as engine:
        trial = Trial(plan, engines=engine, rungs=(2,))
        assert engine.load()[0] == 3
        time.sleep(2.5)
        assert engine.load()[0] == 0
        while not trial.finished:  # it wasn't dead after all
            trial.run_epoch()
    assert_same(torch.stack(trial.loop.validation_losses), trained(plan)["validation_losses"])


def test_an_epoch_may_take_longer_than_a_lease(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, put, placed = make_plan(backend="dense", max_epochs=3), Slots.put, []
    take_part = Steps.epoch

    def slow(self: Steps, order: np.ndarray) -> Tensor:
        time.sleep(0.4)
        return take_part(self, order)

    def counted(self: Slots, slots: Sequence[int], handed: Handed, state: dict[str, Any]) -> None:
        placed.append(slots)
        put(self, slots, handed, state)

    monkeypatch.setattr(Steps, "epoch", slow)
    monkeypatch.setattr(Slots, "put", counted)
    monkeypatch.setattr(loop, "PATIENCE", 0.05)
    with running(Engine("cpu", lease=0.3)) as engine:
        trained(plan, engine)
    assert len(placed) == 1


def _little_memory(monkeypatch: pytest.MonkeyPatch, room: int) -> list[int]:
    """Slots for so many networks fit into memory; returns the capacities that were tried."""
    tried: list[int] = []
    make = Slots.__init__

    def init(self: Slots, like: Handed, capacity: int, device: torch.device) -> None:
        tried.append(capacity)
        if capacity > room:
            raise torch.OutOfMemoryError("out of memory")
        make(self, like, capacity, device)

    monkeypatch.setattr(Slots, "__init__", init)
    return tried


def test_too_little_memory_lowers_the_capacity_and_changes_nothing(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [make_plan(backend="dense", seed=seed) for seed in range(4)]
    expected = [trained(plan) for plan in plans]
    tried = _little_memory(monkeypatch, room=4)
    engine = Engine("cpu")
    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(trained, plan, engine) for plan in plans]
        while engine.requests.qsize() < len(plans):  # all of them are there before the first is placed
            time.sleep(0.01)
        with running(engine):
            found = [one.result() for one in begun]
    assert max(tried) > 4
    assert_same(found, expected)


def test_a_trial_that_does_not_fit_is_told_so(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    _little_memory(monkeypatch, room=2)
    with running(Engine("cpu")) as engine:
        with pytest.raises(NoRoom, match=r"3 networks of 18 neurons and \d+ edges don.t fit into the memory of cpu"):
            Trial(make_plan(backend="dense"), engines=engine)
        one = make_plan(backend="dense", replicates=(1,))
        assert_same(trained(one, engine), trained(one))


def test_kernels_that_depend_on_the_company_are_refused(make_plan: MakePlan) -> None:
    with running(Engine("cpu")) as engine, pytest.raises(KernelError, match="backend reference: on cpu, the numbers"):
        Trial(make_plan(backend="reference"), engines=engine)


def test_a_block_that_ends_early_ends_at_the_same_epoch(make_plan: MakePlan) -> None:
    plan = make_plan(backend="dense", phase="confirm", max_epochs=20, sustain=3, network={"learning_rate": 0.02})
    plan = replace(plan, until_met=True, level=float(trained(plan)["validation_losses"][8].max()))
    with running(Engine("cpu")) as engine:
        found = trained(plan, engine)
    assert found["epoch"] < 20
    assert_same(found, trained(plan))


def test_an_engine_that_fails_says_so_to_everybody(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine("cpu")

    def fail(*_: object) -> Heard:
        raise ValueError("the GPU has gone")

    monkeypatch.setattr(Slots, "put", fail)

    def run() -> None:
        with pytest.raises(ValueError, match="the GPU has gone"):
            engine.run()

    thread = threading.Thread(target=run)
    thread.start()
    with pytest.raises(NoEngine, match="the GPU has gone"):
        Trial(make_plan(backend="dense"), engines=engine)
    thread.join()
