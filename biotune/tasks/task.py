"""What a task is: trials of input sequences and targets, and what a network that learns nothing would score."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Trials:
    """A batch of trials.

    Args:
        inputs: float32 `[count, time, input_size]`.
        targets: what is asked for at the scored steps: float32 `[count, scored, output_size]` where the loss is `mse`,
            int64 `[count, scored]`, class numbers, where it is `nll`.
    """

    inputs: np.ndarray
    targets: np.ndarray


class Task(ABC):
    """A task: one of these in a file of its own, its options the fields of a frozen dataclass."""

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
        """Outputs per step; classes where the loss is `nll`."""

    @property
    @abstractmethod
    def time(self) -> int:
        """Steps of a trial."""

    @property
    @abstractmethod
    def scored(self) -> slice | np.ndarray:
        """The steps that count: a slice, or int64 step numbers."""

    @property
    @abstractmethod
    def null_loss(self) -> float:
        """Loss of the best predictor that doesn't look at its inputs."""

    @property
    @abstractmethod
    def null_accuracy(self) -> float | None:
        """Its accuracy; `None` where the task has none."""

    @abstractmethod
    def trials(self, count: int, generator: np.random.Generator) -> Trials:
        """Draws `count` trials."""

    def digest(self) -> str | None:
        """SHA-256 of what the trials come from beside options and seed, such as pictures; None where there is nothing.

        A study is not gone on with where this is another one.
        """
        return None

    def prepare(self) -> str | None:
        """Gets ready what takes time or a network, such as pictures to download, before many processes ask for it.

        Returns:
            a line for the user on what that was, where there was anything.
        """
        return None
