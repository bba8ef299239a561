"""What the n-back tasks share: does the last of n items match the one `n_back` before it?"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from biotune.errors import UserError
from biotune.tasks.task import Task

FIXATION, NO_MATCH, MATCH = 0, 1, 2
"""The classes; fixation is never a target."""


@dataclass(frozen=True)
class MatchingTask(Task):
    """A trial shows `trial_length` items; in its last, silent step the network says whether the last item matched.

    Scored: negative log-likelihood of three classes, and accuracy, on the silent step: 1 no match, 2 match (0 is
    fixation, never scored). Half of the trials match, so a network that ignores its inputs does best by giving each of
    the two probability 1/2: its loss is log 2, its accuracy 1/2.

    Args:
        trial_length: n, items of a trial, at least 2.
        n_back: how many items before the last one the item to compare lies, at least 1 and below `trial_length`.

    Raises:
        UserError: they aren't whole numbers within these bounds.
    """

    trial_length: int = 5
    n_back: int = 2

    loss: ClassVar[Literal["mse", "nll"]] = "nll"
    output_size: ClassVar[int] = 3
    null_loss: ClassVar[float] = math.log(2)
    null_accuracy: ClassVar[float | None] = 0.5

    def __post_init__(self) -> None:
        for option, least in (("trial_length", 2), ("n_back", 1)):
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(
                    f"task {self.name}: {option} is {value!r}; a whole number of at least {least} is needed"
                )
        if self.n_back >= self.trial_length:
            raise UserError(
                f"task {self.name}: n_back is {self.n_back} and trial_length {self.trial_length}; "
                "n_back must be below trial_length"
            )

    @property
    @abstractmethod
    def time(self) -> int:
        """Steps of a trial, including the silent one, which is the last."""

    @property
    def scored(self) -> slice:
        return slice(self.time - 1, self.time)

    @property
    def compared(self) -> int:
        """The step of the item that the last one is compared with."""
        return self.trial_length - 1 - self.n_back

    def draw_matches(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Which of `count` trials match: half of them, in random order; bool `[count]`.

        If the count is odd, one more doesn't match.
        """
        return generator.permutation(count) < count // 2


def targets(matches: np.ndarray) -> np.ndarray:
    """The target classes: int64 `[count, 1]`."""
    return np.where(matches, MATCH, NO_MATCH).astype(np.int64)[:, None]
