"""How often what died is taken up again."""

from pathlib import Path

from biotune.io.files import require_room
from biotune.io.storage import Place
from biotune.study.ray_internals import ray_folder

MAX_RETRIES = 2
"""Times that a trial or a block is taken up again from the same checkpoint; dying there once more, it has failed."""


class Retries:
    """Counts deaths, and forgets them where training has got further.

    A preempted machine, or a neighbour that takes all memory, kills what runs as often as it likes; what kills itself
    does so at the same place each time. So only deaths count between which no checkpoint was saved.

    Args:
        directory: the results directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.held: dict[Place, tuple[int | None, int]] = {}

    def again(self, checkpoint: Place) -> bool:
        """Takes one more death in; whether what died is to go on from its checkpoint.

        Raises:
            StorageError: there is no room on the disk of the results, or of Ray's own files: it died of that.
        """
        for folder in filter(Path.exists, (self.directory, ray_folder())):  # of a cluster that is joined, Ray has none
            require_room(folder)
        saved = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        before, deaths = self.held.get(checkpoint, (saved, 0))
        deaths = deaths + 1 if saved == before else 1
        self.held[checkpoint] = saved, deaths
        return deaths <= MAX_RETRIES
