"""n-back memory of pictures seen through an encoder: does the last show the same as the one `n_back` before it?"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from biotune.tasks.encoder import LATENTS, latents, trained_encoder, weights_digest
from biotune.tasks.pic_mem import PictureTask


@dataclass(frozen=True)
class PicLatentMem(PictureTask):
    """Whether the last of n pictures, seen as the latents of an encoder, matches the one `n_back` before it.

    Inputs per step: (cue, 50 latents of a picture, scaled to the range from 0 to 1). The encoder is a small
    convolutional network, trained once on pictures that no trial uses, see `biotune.tasks.encoder`. See `PictureTask`
    and, for what is scored, `MatchingTask`.

    Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011.
    """

    name: ClassVar[str] = "pic_latent_mem"
    input_size: ClassVar[int] = 1 + LATENTS

    def vectors(self) -> np.ndarray:
        return latents(self.pictures)

    def digest(self) -> str:
        return hashlib.sha256((super().digest() + weights_digest(self.pictures)).encode()).hexdigest()

    def prepare(self) -> str | None:
        encoder = trained_encoder(self.pictures)
        return (
            f"Trials show pictures ({self.pictures}) as the encoder {encoder.file.name} sees them, "
            f"which names {encoder.accuracy:.1%} of them correctly and was trained on others"
        )
