"""The engine: puts trials into slots, steps all of them together, and answers those who ask.

One thread steps; whoever asks leaves a request, which that thread answers between two epochs. So nothing is locked, and
a trial joins and leaves at the end of an epoch.

A trial has slots from when it joins, or may go on, until it reaches its goal: the next epoch at which it has to be
judged, or its end. Its networks are then copied out and wait outside; so nobody's slot is idle while a trial waits for
its verdict, and what is there when it goes on, in whichever slots, is what was there before.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biotune.errors import KernelError, UserError
from biotune.training.engine.handed import EngineLost, Handed, NoRoom, Signature
from biotune.training.engine.slots import Slots

LEASE = 60.0
"""Seconds after which a trial that doesn't ask is taken to be dead, and loses its slots."""
IDLE = 10.0
"""Seconds for which a population without trials is kept: the next trial may be of the same kind."""

Row = tuple[Tensor | None, Tensor, Tensor | None]
"""Of an epoch, each [networks]: training losses (none at epoch 0), validation losses, accuracies (if there are any)."""


@dataclass(frozen=True)
class Heard:
    """What an engine says of a trial.

    Attributes:
        rows: of the epochs after the one asked about.
        test_losses: [networks], from the budget on.
    """

    rows: list[Row]
    test_losses: Tensor | None


@dataclass
class _Course:
    """A trial's networks, on their way.

    Attributes:
        handed: what the trial handed over. goal: the epoch up to which it may go.
        epoch: done.
        rows: of the epochs since, and of epoch 0 if it began there.
        state: of its networks, while they are in no slots.
        held: evaluations in a row, [networks], that met the level; met: whether it was held long enough.
        slots: where its networks are; none while they wait.
        error: why it can't be trained.
    """

    handed: Handed
    goal: int
    epoch: int
    state: dict[str, Any] | None
    test_losses: Tensor | None
    diverged: np.ndarray
    held: np.ndarray
    met: np.ndarray
    rows: list[Row] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    error: Exception | None = None
    asked: float = field(default_factory=time.monotonic)
    arrived: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, handed: Handed, goal: int) -> "_Course":
        count, state = len(handed), handed.state
        course = cls(
            handed,
            goal,
            epoch=state["epoch"],
            state=state,
            test_losses=state.get("test_losses"),
            diverged=state["diverged"].numpy().copy(),
            held=np.zeros(count, int),
            met=np.zeros(count, bool),
        )
        for losses in state["validation_losses"]:
            course._hold(losses)
        return course

    @property
    def begun(self) -> bool:
        """Whether it was evaluated before its first update."""
        return bool(self.handed.state["validation_losses"]) or bool(self.rows)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train; as `Trial.finished`."""
        if not self.begun:
            return False
        if self.epoch >= self.handed.epochs or bool(self.diverged.all()):
            return True
        return self.handed.until is not None and bool((self.met | self.diverged).all())

    @property
    def wants(self) -> bool:
        """Whether it is to be trained, or evaluated for the first time, now."""
        return self.error is None and not self.finished and (self.epoch < self.goal or not self.begun)

    def take_in(self, row: Row) -> None:
        training, validation, _ = row
        if training is not None:
            self.epoch += 1
            self.diverged |= ~training.isfinite().numpy()
        self.diverged |= ~validation.isfinite().numpy()
        self._hold(validation)
        self.rows.append(row)

    def after(self, epoch: int) -> list[Row]:
        """The rows after an epoch; -1: all, of a trial that has begun here."""
        known = self.epoch + 1 - len(self.rows)  # the epoch of the first row
        return self.rows[max(epoch + 1 - known, 0) :]

    def _hold(self, losses: Tensor) -> None:
        if self.handed.until is not None:
            level, sustain = self.handed.until
            self.held = np.where(losses.double().numpy() <= level, self.held + 1, 0)
            self.met |= self.held >= sustain


class _Group:
    """The trials of one signature, and the population that they share.

    Attributes:
        most: the largest capacity that memory is known to suffice for; None if it is not known.
        used: when it was last. trained: epochs of a network so far.
    """

    def __init__(self, device: torch.device, build: Callable[[Handed, int], Slots]) -> None:
        self.device, self.build = device, build
        self.courses: list[_Course] = []
        self.slots: Slots | None = None
        self.free: list[int] = []
        self.most: int | None = None
        self.used = time.monotonic()
        self.trained = 0

    def place(self) -> None:
        """Gives slots to trials that want some, in the order in which they came, as far as there are any."""
        here = [course for course in self.courses if course.slots or course.wants]
        if not here:
            return
        self.used = time.monotonic()
        capacity = 0 if self.slots is None else self.slots.capacity
        needed = sum(len(course.handed) for course in here)
        wanted = min(
            1 << (needed - 1).bit_length(), self.most or 2 * needed
        )  # a power of two, so that it changes rarely
        if wanted > capacity or 4 * wanted <= capacity:
            self._resize(here[0].handed, wanted)
        for course in [course for course in here if not course.slots]:
            count = len(course.handed)
            if self.slots is None or count > self.slots.capacity:
                course.error = NoRoom(
                    f"{count} networks of {course.handed.signature.neurons} neurons and "
                    f"{course.handed.signature.edges} edges don't fit into the memory of {self.device}; lower "
                    "search.replicates and confirm.population, or task.trials"
                )
                course.arrived.set()
                continue
            if count > len(self.free):
                break
            course.slots = self._matched(course.handed.digests)
            self.free = [slot for slot in self.free if slot not in course.slots]
            assert course.state is not None
            self.slots.put(course.slots, course.handed, course.state)
            course.state = None

    def _matched(self, digests: Sequence[str]) -> list[int]:
        """A free slot for each network: one that has its edges, if there is one, since these need not be written."""
        assert self.slots is not None
        left, chosen = list(self.free), []
        for digest in digests:
            slot = next((slot for slot in left if self.slots.edges[slot] == digest), None)
            chosen.append(slot)
            if slot is not None:
                left.remove(slot)
        return [left.pop(0) if slot is None else slot for slot in chosen]

    def step(self) -> bool:
        """Evaluates those that have just come, and trains the others for an epoch; False if there is nobody."""
        slots, running = self.slots, [course for course in self.courses if course.slots]
        if slots is None or not running:
            return False
        self.used = time.monotonic()
        if fresh := [course for course in running if not course.begun]:
            self._take_in(fresh, None, slots.steps.validate())
        running = [course for course in running if course.wants]
        if running:
            order = np.zeros((slots.capacity, slots.signature.trials[0]), dtype=np.int64)
            for course in running:
                order[course.slots] = course.handed.orders[course.epoch]
            training = slots.steps.epoch(order)
            self.trained += sum(len(course.slots) for course in running)
            self._take_in(running, training, slots.steps.validate())
            if tested := [course for course in running if course.epoch == course.handed.test_at]:
                losses = slots.score_test()
                for course in tested:
                    course.test_losses = losses[course.slots]
        for course in [course for course in self.courses if course.slots and not course.wants]:
            self.let_go(course)
            course.arrived.set()
        return True

    def let_go(self, course: _Course) -> None:
        """Copies a trial's networks out of their slots."""
        assert self.slots is not None
        course.state = self.slots.take(course.slots)
        self.free += course.slots
        course.slots = []

    def leave(self, course: _Course) -> None:
        """Forgets a trial."""
        self.courses.remove(course)
        self.free += course.slots
        course.slots = []

    def _take_in(self, courses: list[_Course], training: Tensor | None, evaluated: list[Tensor]) -> None:
        validation, *accuracies = evaluated
        for course in courses:
            at = course.slots
            accuracy = accuracies[0][at] if accuracies else None
            course.take_in((None if training is None else training[at], validation[at], accuracy))

    def _resize(self, like: Handed, capacity: int) -> None:
        """Another capacity; as large as memory allows, if that is less. Whoever is in slots waits for new ones."""
        before = 0
        if self.slots is not None:
            before = self.slots.capacity
            for course in [course for course in self.courses if course.slots]:
                self.let_go(course)
            self.slots = None
        while self.slots is None and capacity:
            try:
                self.slots = self.build(like, capacity)
            except (torch.OutOfMemoryError, MemoryError):
                _free(self.device)
                # what fitted before fits again, and fewer than one trial has are of no use
                capacity = max(size for size in (before, len(like), capacity // 2) if size < capacity)
                self.most = max(capacity, 1)
        self.free = [] if self.slots is None else list(range(capacity))


class Engine:
    """Trains the networks of whoever hands some over.

    Args:
        device: where they are trained.
        lease: seconds after which a trial that doesn't ask loses its slots.
    """

    def __init__(self, device: torch.device | str, lease: float = LEASE) -> None:
        self.device, self.lease = torch.device(device), lease
        self.groups: dict[Signature, _Group] = {}
        self.courses: dict[str, _Course] = {}
        self.requests: SimpleQueue[tuple[Callable[[], Any], Future]] = SimpleQueue()
        self.error: BaseException | None = None
        self.epochs = 0  # of a network, in groups that have gone

    # ---- what trials ask for, from any thread ---------------------------------------------------------------------

    def join(self, key: str, handed: Handed, goal: int) -> None:
        """Takes a trial's networks over.

        Args:
            key: by which it asks later. goal: the epoch up to which it may be trained.
        """

        def join() -> None:
            if key in self.courses:  # it wasn't known whether the first request had arrived
                self._forget(key)
            course = self.courses[key] = _Course.of(handed, goal)
            self._group(handed.signature).courses.append(course)

        self._ask(join)

    def poll(self, key: str, after: int, goal: int, patience: float) -> Heard:
        """What has come of a trial since an epoch; waits for so many seconds at most until it has reached its goal.

        Raises:
            EngineLost: the trial isn't known here.
            UserError: it can't be trained here.
        """

        def look() -> _Course:
            course = self._course(key)
            if goal > course.goal:
                course.goal = goal
                if course.wants:
                    course.arrived.clear()
            return course

        course = self._ask(look)
        course.arrived.wait(patience)

        def hear() -> Heard:
            course = self._course(key)
            if course.error is not None:
                raise course.error
            return Heard(course.after(after), course.test_losses)

        return self._ask(hear)

    def state(self, key: str, after: int) -> tuple[int, dict[str, Any], Heard]:
        """The epoch that a trial is at, the state of its networks there, and what has come of it since an epoch."""

        def state() -> tuple[int, dict[str, Any], Heard]:
            course = self._course(key)
            if course.slots:
                slots = self._group(course.handed.signature).slots
                assert slots is not None
                held = slots.take(course.slots)
            else:
                assert course.state is not None
                held = {name: course.state[name] for name in ("population", "optimizer")}
            return course.epoch, held, Heard(course.after(after), course.test_losses)

        return self._ask(state)

    def leave(self, key: str) -> None:
        """Forgets a trial, wherever it is; one that isn't known is forgotten already."""

        def leave() -> None:
            if key in self.courses:
                self._forget(key)

        self._ask(leave)

    def load(self) -> tuple[int, int]:
        """How many networks are here, and how many epochs of a network have been trained so far; answered at once."""
        networks = sum(len(course.handed) for course in list(self.courses.values()))
        return networks, self.epochs + sum(group.trained for group in list(self.groups.values()))

    # ---- the thread that steps ------------------------------------------------------------------------------------

    def run(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Answers and steps until it is ended, or fails; then every request is answered by `EngineLost`."""
        try:
            while not ended():
                self.turn(patience=0.2)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.error = self.error or EngineLost("the engine was ended")
            for course in self.courses.values():
                course.arrived.set()
            self._answer(0.0)

    def turn(self, patience: float = 0.0) -> bool:
        """Answers the requests that are there, then an epoch of everybody; whether there was anybody to train.

        Args:
            patience: seconds to wait for a request if nobody is to be trained.
        """
        busy = any(course.slots or course.wants for course in self.courses.values())
        self._answer(0.0 if busy else patience)
        now = time.monotonic()  # an epoch may be longer than a lease, and who has asked meanwhile is alive
        for key in [key for key, course in self.courses.items() if now - course.asked > self.lease]:
            self._forget(key)
        for signature in [s for s, group in self.groups.items() if not group.courses and now - group.used > IDLE]:
            self._drop(signature)
        for group in list(self.groups.values()):
            self._place(group)
            if group.step():
                busy = True
        return busy

    def _place(self, group: _Group) -> None:
        try:
            group.place()
        except (UserError, KernelError) as error:  # of this signature; the others go on
            for course in group.courses:
                course.error = course.error or error
                course.arrived.set()

    def _answer(self, patience: float) -> None:
        while True:
            try:
                request, answer = self.requests.get(timeout=patience) if patience else self.requests.get_nowait()
            except Empty:
                return
            patience = 0.0
            try:
                if self.error is not None:
                    raise EngineLost(f"the engine has ended ({type(self.error).__name__}: {self.error})")
                answer.set_result(request())
            except (EngineLost, UserError, KernelError) as error:
                answer.set_exception(error)
            except BaseException as error:
                answer.set_exception(EngineLost(f"{type(error).__name__}: {error}"))
                raise

    def _ask(self, request: Callable[[], Any]) -> Any:
        answer: Future = Future()
        self.requests.put((request, answer))
        if self.error is not None:
            self._answer(0.0)  # the thread that steps has ended
        return answer.result()

    def _course(self, key: str) -> _Course:
        if key not in self.courses:
            raise EngineLost(f"trial {key} isn't known here")
        course = self.courses[key]
        course.asked = time.monotonic()
        return course

    def _forget(self, key: str) -> None:
        course = self.courses.pop(key)
        self._group(course.handed.signature).leave(course)
        course.arrived.set()

    def _group(self, signature: Signature) -> _Group:
        if signature not in self.groups:
            self.groups[signature] = _Group(self.device, self._build)
        return self.groups[signature]

    def _build(self, like: Handed, capacity: int) -> Slots:
        try:
            return Slots(like, capacity, self.device)
        except (torch.OutOfMemoryError, MemoryError):
            idle = [signature for signature, group in self.groups.items() if not group.courses]
            if not idle:
                raise
            for signature in idle:
                self._drop(signature)
        return Slots(like, capacity, self.device)

    def _drop(self, signature: Signature) -> None:
        self.epochs += self.groups.pop(signature).trained
        _free(self.device)


def _free(device: torch.device) -> None:
    """Gives memory back that nothing holds."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
