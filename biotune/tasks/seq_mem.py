"""Sequence memory: a pattern of numbers is shown; after a cue it is to be repeated in order, without input."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from biotune.errors import UserError
from biotune.tasks.task import Task, Trials


@dataclass(frozen=True)
class SeqMem(Task):
    """Replay of a pattern of L values.

    Inputs per step: (cue, value). Steps 0 to L - 1 show L values from U(0, 1); at step L the cue is 1; in the L
    steps that follow, with inputs 0, the output is to be the pattern, in order. Scored: mean squared error in these L
    steps. The constant output 1/2, the mean, scores the variance of U(0, 1), which is 1/12.

    Args:
        pattern_length: L, at least 1.

    Raises:
        UserError: `pattern_length` isn't a whole number of at least 1.

    Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011.
    """

    pattern_length: int = 5

    name: ClassVar[str] = "seq_mem"
    loss: ClassVar[Literal["mse", "nll"]] = "mse"
    input_size: ClassVar[int] = 2
    output_size: ClassVar[int] = 1
    null_loss: ClassVar[float] = 1 / 12
    null_accuracy: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        length = self.pattern_length
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise UserError(f"task seq_mem: pattern_length is {length!r}; a whole number of at least 1 is needed")

    @property
    def time(self) -> int:
        return 2 * self.pattern_length + 1

    @property
    def scored(self) -> slice:
        return slice(self.pattern_length + 1, self.time)

    def trials(self, count: int, generator: np.random.Generator) -> Trials:
        pattern = generator.random((count, self.pattern_length), dtype=np.float32)
        inputs = np.zeros((count, self.time, 2), np.float32)
        inputs[:, : self.pattern_length, 1] = pattern
        inputs[:, self.pattern_length, 0] = 1
        return Trials(inputs, pattern[:, :, None])
