"""Pictures as a network sees them: a small convolutional encoder, trained once and stored under its digest.

The digest is that of the training pictures and the way of training. The encoder of the digits comes with biotune
(`encoders/`), so that every machine has the same. Any other encoder is trained when it is first needed, and stored in
the cache. Trained on another machine it would get other weights, so a study records their digest (`weights_digest`) and
is not resumed with another encoder. The file is written whole or not at all, so several processes may ask at once.
"""

import copy
import hashlib
import os
import pickle
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from biotune.errors import UserError
from biotune.tasks.pictures import PICTURES, Pictures, trial_pictures
from biotune_kernels.memory import cache_folder

SHIPPED = Path(__file__).parent / "encoders"
LATENTS = 50
CLASSES = 10
SEED = 1
UPDATES = 600
BATCH = 64
LEARNING_RATE = 3e-3
RECIPE = "two convolutions of 3 × 3 with 16 and 32 channels, each pooled by 2; linear; 1"
"""What the weights depend on apart from the numbers above; its last number is raised when the training changes."""


class Encoder(nn.Module):
    """Pictures -> latents -> classes: `z = W relu(pool(conv(relu(pool(conv(x)))))) + b`, `y = V relu(z) + c`.

    Args:
        side: pixels along an edge.
        generator: of the initial weights (He, uniform).
    """

    def __init__(self, side: int, generator: torch.Generator) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (side // 4) ** 2, LATENTS),
        )
        self.head = nn.Linear(LATENTS, CLASSES)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu", generator=generator)
            else:
                nn.init.zeros_(parameter)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Latents `[count, 50]` and class scores `[count, 10]` of pixels `[count, side, side]`."""
        found = self.body(pixels[:, None])
        return found, self.head(functional.relu(found))


@dataclass(frozen=True, eq=False)
class TrainedEncoder:
    """An encoder, its file, and the share of the trial pictures (it was trained on others) that it names correctly."""

    encoder: Encoder
    accuracy: float
    file: Path


@cache
def latents(name: str) -> np.ndarray:
    """The encoder's latents of each trial picture of a set, scaled to the range from 0 to 1.

    They are computed in float64 and rounded to float32 in the end: machines that sum in different orders then differ in
    less than one of 1,000 sets of 1,000 pictures.

    Returns:
        float32 `[pictures, 50]`.

    Raises:
        UserError: see `trained_encoder`.
    """
    encoder = copy.deepcopy(trained_encoder(name).encoder).double()
    with torch.no_grad():
        found, _ = encoder(torch.from_numpy(trial_pictures(name).pixels).double())
    low, high = found.amin(1, keepdim=True), found.amax(1, keepdim=True)
    return ((found - low) / (high - low)).float().numpy()


@cache
def trained_encoder(name: str) -> TrainedEncoder:
    """The encoder of a picture set: it comes with biotune, or from the cache, or is trained now and put into the cache.

    Args:
        name: of the set.

    Raises:
        UserError: the pictures can't be obtained, the cached file is damaged, or the cache can't be written.
    """
    learnt_from = PICTURES[name].read("encoder")
    file_name = f"{name}-{_digest(learnt_from)[:16]}.pt"
    shipped, cached = SHIPPED / file_name, cache_folder() / "encoders" / file_name
    file = shipped if shipped.exists() else cached
    encoder = Encoder(PICTURES[name].side, torch.Generator().manual_seed(SEED))
    if not file.exists():
        _train(encoder, learnt_from)
        _write(file, {"weights": encoder.state_dict(), "accuracy": _accuracy(encoder, trial_pictures(name))})
    try:
        held = torch.load(file, weights_only=True)
        encoder.load_state_dict(held["weights"])
        return TrainedEncoder(encoder.eval(), float(held["accuracy"]), file)
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file}: not readable as an encoder ({reason}); remove it to train it again") from None


def weights_digest(name: str) -> str:
    """SHA-256 of the weights of a picture set's encoder; errors as of `trained_encoder`."""
    digest = hashlib.sha256()
    for key, tensor in trained_encoder(name).encoder.state_dict().items():
        digest.update(key.encode() + tensor.numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def _digest(pictures: Pictures) -> str:
    recipe = repr((RECIPE, LATENTS, CLASSES, SEED, UPDATES, BATCH, LEARNING_RATE))
    return hashlib.sha256(recipe.encode() + pictures.pixels.tobytes() + pictures.classes.tobytes()).hexdigest()


@torch.enable_grad()  # the first caller may be evaluating a network, without gradients
def _train(encoder: Encoder, pictures: Pictures) -> None:
    """Trains on the classes with Adam, on one thread, since the order of a sum depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pixels, classes = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.classes)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=LEARNING_RATE)
        draw = torch.Generator().manual_seed(SEED)
        for _ in range(UPDATES):
            chosen = torch.randint(len(classes), (BATCH,), generator=draw)
            optimizer.zero_grad()
            functional.cross_entropy(encoder(pixels[chosen])[1], classes[chosen]).backward()
            optimizer.step()
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _accuracy(encoder: Encoder, pictures: Pictures) -> float:
    named = encoder(torch.from_numpy(pictures.pixels))[1].argmax(1).numpy()
    return float(np.mean(named == pictures.classes))


def _write(file: Path, content: dict[str, object]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as stream:
            torch.save(content, stream)
        Path(temporary).replace(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); set BIOTUNE_CACHE to another folder") from None
