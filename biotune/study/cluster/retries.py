"""How often a trial or a confirm block whose worker died is tried again."""

from pathlib import Path

from biotune.io.files import require_room
from biotune.io.storage import Place
from biotune.study.ray_internals import temporary_folder

MAX_RETRIES = 2
"""How often a trial or a block is tried again from the same checkpoint; if it dies there once more, it has failed."""


class Retries:
    """Counts deaths, and starts again from zero when training has got further.

    A machine that is taken away, or another process that takes all memory, may kill a trial any number of times; a
    trial that is itself at fault dies at the same place each time. So a death only counts if no checkpoint was saved
    since the one before.

    Args:
        directory: the results directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.held: dict[Place, tuple[int | None, int]] = {}

    def again(self, checkpoint: Place) -> bool:
        """Counts one more death; returns whether training is to be tried again from the checkpoint.

        Raises:
            StorageError: it died because there is no room on the disk of the results, or on that of Ray's own files.
        """
        # if a cluster was joined, Ray may have no folder here
        for folder in filter(Path.exists, (self.directory, temporary_folder())):
            require_room(folder)
        saved = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        before, deaths = self.held.get(checkpoint, (saved, 0))
        deaths = deaths + 1 if saved == before else 1
        self.held[checkpoint] = saved, deaths
        return deaths <= MAX_RETRIES
