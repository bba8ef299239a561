"""An update that is recorded and replayed does what it does when it is run; on a machine without a GPU too.

There, what a CUDA graph does is done by `Replayed`: it notes every operation of PyTorch with the tensors that it reads
and writes, takes back what they have changed, and does the same operations on the same tensors at every replay.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from biotune.training import Trial, TrialPlan
from biotune.training import recorded as module
from biotune.training.recorded import Recorded
from biotune_kernels import available_backends
from biotune_kernels.backends import load

GPU = torch.cuda.is_available()
MakePlan = Callable[..., TrialPlan]


class Replayed:
    """Does what `torch.cuda.CUDAGraph` does, on a CPU."""

    def __init__(self) -> None:
        self.operations: list[tuple[Any, tuple, dict, list[Tensor]]] = []

    def replay(self) -> None:
        with torch.no_grad():
            for function, arguments, options, results in self.operations:
                again = tree_leaves(function(*arguments, **options))
                for result, new in zip(results, again, strict=True):
                    if isinstance(new, Tensor) and new.data_ptr() != result.data_ptr():
                        result.copy_(new)


class _Recording(TorchDispatchMode):
    def __init__(self, graph: Replayed) -> None:
        super().__init__()
        self.graph, self.own, self.changed = graph, set(), {}

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if "_local_scalar_dense" in str(function):
            raise AssertionError("recorded work waits for a value")
        if function._schema.is_mutable:
            for tensor in tree_leaves((arguments, options)):
                if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in self.own:
                    self.changed.setdefault(tensor.data_ptr(), (tensor.detach(), tensor.detach().clone()))
        found = function(*arguments, **options)
        results = [one for one in tree_leaves(found) if isinstance(one, Tensor)]
        before = {
            one.untyped_storage().data_ptr() for one in tree_leaves((arguments, options)) if isinstance(one, Tensor)
        }
        self.own |= {one.untyped_storage().data_ptr() for one in results} - before

        def kept(value: Any) -> Any:
            return value.detach() if isinstance(value, Tensor) else value

        self.graph.operations.append((function, *tree_map(kept, (arguments, options)), list(map(kept, results))))
        return found


@contextmanager
def recording(graph: Replayed, **_: object) -> Iterator[None]:
    mode = _Recording(graph)
    with mode:
        yield
    for tensor, content in mode.changed.values():
        tensor.copy_(content)


@contextmanager
def nothing(*_: object) -> Iterator[None]:
    yield


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Replayed]:
    """Every work is recorded at its second call, as on a GPU."""
    made: list[Replayed] = []

    def make() -> Replayed:
        made.append(Replayed())
        return made[-1]

    monkeypatch.setattr(module.torch.cuda, "CUDAGraph", make)
    monkeypatch.setattr(module.torch.cuda, "graph", recording)
    monkeypatch.setattr(module.torch.cuda, "device", nothing)
    start = Recorded.__init__

    def init(self: Recorded, device: torch.device) -> None:
        start(self, torch.device("cuda"))

    monkeypatch.setattr(Recorded, "__init__", init)
    return made


def losses(plan: TrialPlan) -> list[Tensor]:
    trial = Trial(plan)
    while not trial.finished:
        trial.run_epoch()
    return [*trial.loop.training_losses, *trial.loop.validation_losses, *trial.loop.accuracies]


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"optimizer": "Adam", "gradient_clip": 0.01}},
        {"network": {"optimizer": "AdamW", "weight_decay": 0.1}},
        {"network": {"optimizer": "RMSprop", "momentum": 0.5}, "batch": 40},
        {"network": {"optimizer": "SGD", "freeze_recurrent": True}},
        {"network": {"signs": 0.3, "dale": True, "readout": 0.5}},
        {"task": {"name": "nback_mem"}, "network": {"nonlinearity": "relu"}},
    ],
    ids=str,
)
def test_replayed_updates_train_as_those_that_are_run(
    make_plan: MakePlan, changes: dict[str, Any], graphs: list[Replayed], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(backend="dense", **changes)
    found = losses(plan)
    sizes = len({plan.batch, plan.training_trials % plan.batch} - {0})
    assert len(graphs) == (sizes if plan.updates_per_epoch * plan.max_epochs > 1 else 0) + 1
    monkeypatch.undo()
    expected = losses(plan)
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_replayed_trial_goes_on_from_a_checkpoint(make_plan: MakePlan, graphs: list[Replayed]) -> None:
    plan = make_plan(backend="dense")
    whole, interrupted, resumed = Trial(plan), Trial(plan), Trial(plan)
    for _ in range(2):
        interrupted.run_epoch()
    for _ in range(3):
        resumed.run_epoch()  # so that its graphs are recorded when the state is loaded
    resumed.load_state_dict(interrupted.state_dict())
    for trial in (whole, resumed):
        while not trial.finished:
            trial.run_epoch()
    assert torch.equal(torch.stack(whole.loop.validation_losses), torch.stack(resumed.loop.validation_losses))


def test_work_that_waits_for_a_value_is_noticed(graphs: list[Replayed]) -> None:
    values = torch.ones(3)
    recorded = Recorded(torch.device("cpu"))

    def work() -> list[Tensor]:
        return [values * float(values.sum())]

    recorded(work)
    with pytest.raises(AssertionError, match="waits for a value"):
        recorded(work)


@pytest.mark.skipif(not GPU, reason="needs a GPU")
@pytest.mark.parametrize("backend", ["triton", "dense"])
@pytest.mark.parametrize("optimizer", ["Adam", "RMSprop"])
def test_a_cuda_graph_trains_as_its_launches_do(
    make_plan: MakePlan, backend: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(device="cuda", backend=backend, network={"optimizer": optimizer})
    found = losses(plan)
    monkeypatch.setattr(Recorded, "__call__", lambda _, work: work() or ())
    expected = losses(plan)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.skipif(not GPU, reason="needs a GPU")
@pytest.mark.parametrize("backend", [name for name, why in available_backends("cuda").items() if GPU and why is None])
@pytest.mark.parametrize("neurons", [3, 36])
def test_on_a_gpu_a_network_is_the_same_in_any_company(make_plan: MakePlan, backend: str, neurons: int) -> None:
    if not load(backend).independent(torch.device("cuda"), 6 * neurons, torch.float32):
        pytest.skip("it is not independent")

    def trained(replicates: tuple[int, ...]) -> Tensor:
        plan = make_plan(
            device="cuda",
            backend=backend,
            batch=40,
            replicates=replicates,
            topology={"neurons_per_region": neurons, "target_sparsity": 0.7},
        )
        return torch.stack(losses(plan))[:, replicates.index(2)]

    alone = trained((2,))
    for company in ((0, 2), (2, 1, 0), tuple(range(70))):
        assert torch.equal(trained(company), alone)
