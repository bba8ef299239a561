"""Engines as Ray actors, and how trials reach them."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray
import torch
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

from biotune.errors import KernelError, UserError
from biotune.training import Engine, EngineLost, Handed, Heard
from biotune_kernels.backends import NAMES, load

ANSWER_SECONDS = 60.0
"""An engine whose process doesn't answer for so long is lost: a GPU was taken away, and no other came. What only the
thread that steps can answer takes an epoch, which may be longer."""
BEGIN_SECONDS = 300.0
"""Within which an engine must have begun; a busy machine takes a minute to import PyTorch."""
SETTLE_SECONDS = 5.0
"""For which one engine is waited for if another has answered."""
CALLS = 512
"""Trials that may ask an engine at the same time."""


class EngineActor:
    """An engine, and the thread that steps it. If that fails the process ends, and Ray starts another.

    Args:
        device: "cpu" or "cuda". threads: of PyTorch, for what runs on the cores.
    """

    def __init__(self, device: str, threads: int) -> None:
        if device == "cuda":
            torch.zeros(
                1, device=device
            )  # a driver that is too old for this PyTorch is known at once, by its own words
        self.engine, self.threads = Engine(device), threads
        threading.Thread(target=self._run, daemon=True).start()

    def join(self, key: str, handed: Handed, goal: int) -> None:
        self.engine.join(key, handed, goal)

    def poll(self, key: str, after: int, goal: int, patience: float) -> Heard:
        return self.engine.poll(key, after, goal, patience)

    def state(self, key: str, after: int) -> tuple[int, dict[str, Any], Heard]:
        return self.engine.state(key, after)

    def leave(self, key: str) -> None:
        self.engine.leave(key)

    def load(self) -> tuple[int, int]:
        return self.engine.load()

    def process(self) -> int:
        """The id of its process."""
        return os.getpid()

    def _run(self) -> None:
        torch.set_num_threads(self.threads)
        try:
            self.engine.run()
        finally:
            os._exit(1)  # a GPU that failed is seldom usable again by the same process


class EngineActors:
    """The engines of a study, as a trial sees them: its networks go to the one that has the fewest.

    Args:
        actors: handles of `EngineActor`.
    """

    def __init__(self, actors: Sequence[Any]) -> None:
        self.actors = list(actors)
        self.own = self.actors[0]

    def join(self, key: str, handed: Handed, goal: int) -> None:
        self.own = self._emptiest()
        _ask(self.own, "join", key, handed, goal)

    def poll(self, key: str, after: int, goal: int, patience: float) -> Heard:
        found: Heard = _ask(self.own, "poll", key, after, goal, patience)
        return found

    def state(self, key: str, after: int) -> tuple[int, dict[str, Any], Heard]:
        found: tuple[int, dict[str, Any], Heard] = _ask(self.own, "state", key, after)
        return found

    def leave(self, key: str) -> None:
        _ask(self.own, "leave", key)

    def _emptiest(self) -> Any:
        if len(self.actors) == 1:
            return self.actors[0]
        answers = {actor.load.remote(): actor for actor in self.actors}
        ready, _ = ray.wait(list(answers), num_returns=len(answers), timeout=SETTLE_SECONDS)
        if not ready:
            ready, _ = ray.wait(list(answers), timeout=ANSWER_SECONDS)
        loads = []
        for answer in ready:
            with suppress(RayError):  # it has ended, or is being started
                loads.append((ray.get(answer)[0], self.actors.index(answers[answer])))
        if not loads:
            raise EngineLost(f"none of {len(self.actors)} engines answers")
        return self.actors[min(loads)[1]]


def _ask(actor: Any, what: str, *arguments: Any) -> Any:
    """What an engine answers; one that is being started anew is waited for. It may be asked the same twice."""
    end = time.monotonic() + ANSWER_SECONDS
    answer = None
    while True:
        answer = getattr(actor, what).remote(*arguments) if answer is None else answer
        try:
            return ray.get(answer, timeout=ANSWER_SECONDS)
        except RayTaskError as error:
            if isinstance(error.cause, EngineLost | UserError | KernelError):
                raise error.cause from None
            raise
        except GetTimeoutError:
            if not _answers(actor):
                raise EngineLost(f"no answer for {ANSWER_SECONDS:g} seconds") from None
        except ActorUnavailableError as error:
            if time.monotonic() > end:
                raise EngineLost(_last_line(error)) from None
            answer = None
            time.sleep(0.5)
        except RayActorError as error:
            raise EngineLost(_last_line(error)) from None


def _answers(actor: Any) -> bool:
    """Whether the process of an engine answers, however long its epochs are."""
    try:
        ray.get(actor.load.remote(), timeout=ANSWER_SECONDS)
    except RayError:
        return False
    return True


def _last_line(error: RayError) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


@contextmanager
def started(count: int, device: str, threads: int, study: str) -> Iterator[EngineActors | None]:
    """So many engines, until the end of the context; None if there are to be none.

    Args:
        device: "cuda": each has a GPU of its own. threads: of PyTorch. study: its name, for the dashboard.

    Raises:
        UserError: one cannot begin.
    """
    if not count:
        yield None
        return
    actor: Any = ray.remote(EngineActor)
    asked = {"num_cpus": 0, "num_gpus": int(device == "cuda"), "max_concurrency": CALLS, "max_restarts": -1}
    names = [f"{study}/engine-{index}-{os.getpid()}" for index in range(count)]
    actors = [actor.options(name=name, **asked).remote(device, threads) for name in names]
    try:
        for one in actors:
            try:
                ray.get(one.load.remote(), timeout=BEGIN_SECONDS)
            except RayError as error:
                raise UserError(f"an engine cannot begin on {device} ({_last_line(error)})") from None
        yield EngineActors(actors)
    finally:
        for one in actors:
            ray.kill(one)


def why_not_shared(neurons: int, device: str, dtype: torch.dtype) -> str | None:
    """Why networks of so many neurons cannot share an engine; None if they can."""
    if any(load(name).independent(torch.device(device), neurons, dtype) for name in NAMES):
        return None
    return (
        f"no kernels give networks of {neurons} neurons the same numbers on {device} whichever others are beside them"
    )
