"""What a task is: trials of input sequences and targets, and the score of a predictor that ignores its inputs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Trials:
    """A batch of trials.

    Args:
        inputs: float32 `[count, time, input_size]`.
        targets: at the scored steps: float32 `[count, scored, output_size]` if the loss is `mse`, int64
            `[count, scored]`, class numbers, if it is `nll`.
    """

    inputs: np.ndarray
    targets: np.ndarray


class Task(ABC):
    """A task. Each is a frozen dataclass in a file of its own, and its fields are its options."""

    name: ClassVar[str]
    """What a study calls it."""
    loss: ClassVar[Literal["mse", "nll"]]
    """Mean squared error, or negative log-likelihood of the class."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Inputs per step."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Outputs per step; the number of classes if the loss is `nll`."""

    @property
    @abstractmethod
    def time(self) -> int:
        """Steps of a trial."""

    @property
    @abstractmethod
    def scored(self) -> slice | np.ndarray:
        """The steps that are scored: a slice, or int64 step numbers."""

    @property
    @abstractmethod
    def null_loss(self) -> float:
        """Loss of the best predictor that doesn't look at its inputs."""

    @property
    @abstractmethod
    def null_accuracy(self) -> float | None:
        """Accuracy of that predictor; `None` if the task has no accuracy."""

    @abstractmethod
    def trials(self, count: int, generator: np.random.Generator) -> Trials:
        """Draws `count` trials."""

    def digest(self) -> str | None:
        """SHA-256 of what the trials depend on apart from options and seed, such as pictures; None if there is nothing.

        A study is not resumed if this has changed.
        """
        return None

    def prepare(self) -> str | None:
        """Does what takes time or an internet connection, such as a download, before many processes need it.

        Returns:
            a line that tells the user what was prepared; None if there was nothing.
        """
        return None
