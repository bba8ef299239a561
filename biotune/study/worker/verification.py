"""Whether the kernels that trials run on compute what they should, looked at on each machine before they are used."""

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch

from biotune.errors import KernelError, UserError, unknown_name
from biotune.results.documents import SeenKernels
from biotune.training import DRAWN, Engines, Trial, TrialPlan
from biotune_kernels import SparsePattern, Verification, available_backends, choose, for_recording, verify
from biotune_kernels.backends import NAMES, load
from biotune_kernels.contract import MIXED
from biotune_kernels.memory import describe_machine


def require_known(name: str) -> None:
    """Makes sure that there are kernels of a name.

    Raises:
        UserError: there are none.
    """
    if name not in ("auto", *NAMES):
        raise unknown_name("kernels", name, ("auto", *NAMES))


def why_unusable(plan: TrialPlan) -> str | None:
    """Why a plan's kernels can't be used here, on its device; None if they can, and for "auto"."""
    if plan.backend == "auto":
        return None
    reason = available_backends(plan.device, plan.dtype)[plan.backend]
    return None if reason is None else f"backend {plan.backend} can't be used on {socket.gethostname()}: {reason}"


def batch_sizes(plan: TrialPlan) -> list[int]:
    """Trials of the passes that training makes: of an update, of an epoch's last one, and of an evaluation."""
    training = plan.training_trials
    sizes = {min(plan.batch, training), training % plan.batch or plan.batch, plan.trials - training}
    return sorted(sizes)


def verify_passes(name: str, trial: Trial, pattern: SparsePattern, nonlinearities: Sequence[str]) -> list[Verification]:
    """How far kernels are from their definition in each of the passes that a trial makes, on the edges of a pattern."""
    return [
        verify(name, pattern, size, trial.task.input_size, nonlinearity, trial.plan.dtype)
        for size in batch_sizes(trial.plan)
        for nonlinearity in nonlinearities
    ]


def trusted_trial(plan: TrialPlan, engines: Engines | None = None, rungs: Sequence[int] = ()) -> Trial:
    """The trial of a plan, on kernels that can be trusted on this machine; an engine verifies its own.

    A process verifies each kind of pass once, unless its machine remembers that it has passed. What "auto" stands for
    is verified as it is chosen.

    Raises:
        KernelError: the plan's kernels cannot be used here, or compute something other than they should.
    """
    if engines is not None:
        return Trial(plan, engines=engines, rungs=rungs)
    if reason := why_unusable(plan):
        raise KernelError(reason)
    trial = Trial(plan)
    if plan.backend != "auto":
        pattern = trial.loop.population.pattern
        for found in verify_passes(plan.backend, trial, pattern, [plan.network.nonlinearity]):
            if not found.passed:
                raise KernelError(f"{socket.gethostname()}: {found}")
    return trial


def neurons_of(plan: TrialPlan) -> int:
    """Neurons of a plan's first network."""
    if plan.start is not None:
        return plan.start.load().topologies[0].size
    return DRAWN.of(plan, plan.replicates[0]).size


@dataclass(frozen=True)
class Asked:
    """The trials of an arm in a phase.

    Attributes:
        plan: of one of them, or of only its first networks.
        networks: how many a trial has. nonlinearities: that they may have.
        shared: whether an engine trains them beside other trials' networks.
    """

    phase: str
    arm: str
    plan: TrialPlan
    networks: int
    nonlinearities: list[str]
    shared: bool = False

    @property
    def dependent(self) -> list[str]:
        """Backends that can't be taken, since a network's numbers would depend on which others are beside it."""
        if not self.shared:
            return []
        device, neurons = torch.device(self.plan.device), neurons_of(self.plan)
        return [name for name in NAMES if not load(name).independent(device, neurons, self.plan.dtype)]

    def pattern(self, trial: Trial) -> SparsePattern:
        """The edges of as many networks as a trial has: those that were made, repeated."""
        made = trial.loop.population.pattern
        if made.population == self.networks:
            return made
        place = torch.arange(self.networks, device=made.device) % made.population
        return SparsePattern(made.target[place], made.source[place], made.size)


@dataclass
class Look:
    """What was seen on a machine.

    Attributes:
        processor: its own. precision: how exactly float32 matrices are multiplied, in PyTorch's words.
        names: the backend of each plan that was asked for.
        seen: each pass of each of them.
        wrong: backend -> why it can't be used on this machine.
    """

    processor: str
    precision: str
    names: list[str] = field(default_factory=list)
    seen: list[Verification] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)

    def entries(self) -> list[SeenKernels]:
        """For `environment.json`: an entry per backend, with the largest deviation of its passes."""
        entries = []
        for name in dict.fromkeys(found.backend for found in self.seen):
            own = [found for found in self.seen if found.backend == name]
            shapes = [f"{f.asked.networks} × {f.asked.neurons} neurons / {f.asked.edges} edges" for f in own]
            entries.append(
                SeenKernels(
                    backend=name,
                    device=own[0].device,
                    processor=self.processor,
                    gpu=None if own[0].device == "cpu" else own[0].machine,
                    versions=dict(own[0].versions),
                    dtype=own[0].asked.dtype,
                    precision=own[0].asked.precision,
                    deviation={of: max(found.deviation[of] for found in own) for of in own[0].deviation},
                    tolerance=own[0].tolerance,
                    networks=list(dict.fromkeys(shapes)),
                    batch=sorted({found.asked.batch for found in own}),
                    nonlinearity=sorted({found.asked.nonlinearity for found in own}),
                )
            )
        return entries


def look(asked: Sequence[Asked], threads: int, without: Collection[str] = ()) -> Look:
    """Chooses the kernels of each plan that leaves it to "auto", and verifies every pass of all plans.

    Args:
        asked: what is to run.
        threads: per trial.
        without: backends that "auto" may not choose.

    Raises:
        UserError: an arm's networks can't be made.
    """
    torch.set_num_threads(threads)
    found = Look(describe_machine(torch.device("cpu")), torch.get_float32_matmul_precision())
    for one in asked:
        name = one.plan.backend
        if reason := why_unusable(one.plan):
            found.names.append(name)
            found.wrong[name] = reason
            continue
        try:
            trial = Trial(one.plan)
        except (UserError, ValueError) as error:
            raise UserError(f"arm {one.arm}: {error}") from error
        pattern, task = one.pattern(trial), trial.task
        if name == "auto":
            first = MIXED if one.shared else one.nonlinearities[0]
            shape = pattern, one.plan.batch, task.time, task.input_size, first, one.plan.dtype
            with for_recording():  # as a trial trains
                choice = choose(*shape, {*without, *one.dependent})
            found.wrong |= {refused.backend: str(refused) for refused in choice.refused}
            name = choice.backend
        found.names.append(name)
        if name in one.dependent:
            found.wrong[name] = f"backend {name} gives a network other numbers in other company; an engine can't use it"
        seen = verify_passes(name, trial, pattern, [MIXED] if one.shared else one.nonlinearities)
        found.seen += seen
        found.wrong |= {one.backend: str(one) for one in seen if not one.passed}
    return found
