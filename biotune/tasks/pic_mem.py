"""n-back memory of pictures: does the last one show the same as the one `n_back` before it?"""

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from biotune.errors import UserError, unknown_name
from biotune.tasks.matching import MatchingTask, targets
from biotune.tasks.pictures import PICTURES, trial_pictures
from biotune.tasks.task import Trials

Match = Literal["class", "image"]


@dataclass(frozen=True)
class PictureTask(MatchingTask):
    """Whether the last of n pictures matches the one `n_back` before it, whatever numbers stand for a picture.

    Inputs per step: (cue, the numbers that stand for a picture). Steps 0 to n - 1 show pictures drawn uniformly; at
    step n the cue is 1; then one silent step follows, which is scored, see `MatchingTask`.

    Args:
        pictures: the set, a name of `PICTURES`.
        match: `class`: a match is another picture of the same class, and a picture of another class is none; `image`: a
            match is the identical picture, and any other is none.

    Raises:
        UserError: an option isn't known.
    """

    pictures: str = "digits"
    match: Match = "class"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pictures not in PICTURES:
            raise unknown_name(f"pictures of task {self.name}", self.pictures, PICTURES)
        if self.match not in get_args(Match):
            raise UserError(f"task {self.name}: match is {self.match!r}; class or image is needed")

    @property
    def time(self) -> int:
        return self.trial_length + 2

    @abstractmethod
    def vectors(self) -> np.ndarray:
        """The numbers that stand for each of the set's trial pictures: float32 `[pictures, input_size - 1]`."""

    def trials(self, count: int, generator: np.random.Generator) -> Trials:
        matches = self.draw_matches(count, generator)
        shown = self.draw_pictures(matches, trial_pictures(self.pictures).classes, generator)
        inputs = np.zeros((count, self.time, self.input_size), np.float32)
        inputs[:, : self.trial_length, 1:] = self.vectors()[shown]
        inputs[:, self.trial_length, 0] = 1
        return Trials(inputs, targets(matches))

    def digest(self) -> str:
        shown = trial_pictures(self.pictures)
        return hashlib.sha256(shown.pixels.tobytes() + shown.classes.tobytes()).hexdigest()

    def draw_pictures(self, matches: np.ndarray, classes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Which picture each step shows: int64 `[count, trial_length]`.

        Args:
            matches: bool `[count]`, which trials match.
            classes: int64 `[pictures]`, class of each picture, from 0.
            generator: of the draws.
        """
        shown = generator.integers(len(classes), size=(len(matches), self.trial_length))
        earlier = shown[:, self.compared]
        if self.match == "image":
            others = generator.integers(1, len(classes), size=len(matches))
            shown[:, -1] = np.where(matches, earlier, (earlier + others) % len(classes))
            return shown
        # with the pictures sorted by class: a match is a random step, other than 0, on the circle of the pictures of
        # the class, and no match a random step over the pictures of all other classes
        order = np.argsort(classes, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        size = np.bincount(classes)[classes[earlier]]
        start = np.searchsorted(classes[order], classes[earlier])
        same = start + (place[earlier] - start + generator.integers(1, size)) % size
        other = (start + size + generator.integers(len(classes) - size)) % len(classes)
        shown[:, -1] = order[np.where(matches, same, other)]
        return shown


@dataclass(frozen=True)
class PicMem(PictureTask):
    """Whether the last of n pictures, seen pixel by pixel, matches the one `n_back` before it.

    Inputs per step: (cue, pixels from 0 to 1). See `PictureTask` and, for what is scored, `MatchingTask`.

    Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011.
    """

    name: ClassVar[str] = "pic_mem"

    @property
    def input_size(self) -> int:
        return 1 + PICTURES[self.pictures].side ** 2

    def vectors(self) -> np.ndarray:
        pixels = trial_pictures(self.pictures).pixels
        return pixels.reshape(len(pixels), -1)

    def prepare(self) -> str | None:
        return f"Trials show {len(trial_pictures(self.pictures).classes):,} pictures: {self.pictures}"
