"""n-back memory of numbers: is the last value the one that was shown `n_back` steps before it?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from biotune.tasks.matching import MatchingTask, targets
from biotune.tasks.task import Trials


@dataclass(frozen=True)
class NBackMem(MatchingTask):
    """Whether the last of n numbers equals the one `n_back` before it.

    Inputs per step: (cue, value). Steps 0 to n - 1 show values from U(0, 1), the cue is 1 at the last; then one silent
    step follows, which is scored, see `MatchingTask`. In a trial that matches, the last value equals the one `n_back`
    before it; in any other trial it is drawn independently.

    Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011.
    """

    name: ClassVar[str] = "nback_mem"
    input_size: ClassVar[int] = 2

    @property
    def time(self) -> int:
        return self.trial_length + 1

    def trials(self, count: int, generator: np.random.Generator) -> Trials:
        matches = self.draw_matches(count, generator)
        values = generator.random((count, self.trial_length), dtype=np.float32)
        while len(chance := np.flatnonzero(~matches & (values[:, -1] == values[:, self.compared]))):
            values[chance, -1] = generator.random(len(chance), dtype=np.float32)
        values[matches, -1] = values[matches, self.compared]
        inputs = np.zeros((count, self.time, 2), np.float32)
        inputs[:, : self.trial_length, 1] = values
        inputs[:, self.trial_length - 1, 0] = 1
        return Trials(inputs, targets(matches))
