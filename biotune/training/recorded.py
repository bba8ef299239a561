"""Work that is done again and again on the same tensors, without waiting for Python on a GPU."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from biotune_kernels import for_recording, record

Work = Callable[[], Sequence[Tensor] | None]


class Recorded:
    """Runs work that reads and writes fixed tensors; on an NVIDIA GPU it is recorded as a CUDA graph, and replayed.

    A small network's pass takes a GPU less time than Python needs to ask for it. A graph asks for a whole update at
    once. The first call runs the work as it is: kernels are compiled and backends chosen then, which can't be recorded.
    The second call records it. Elsewhere than on a GPU every call runs it.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.calls = 0
        self.replay: Callable[[], None] | None = None
        self.results: Sequence[Tensor] = ()

    def __call__(self, work: Work) -> Sequence[Tensor]:
        """What the work returns; the next call overwrites it.

        Args:
            work: the same at every call. Whatever it reads must stay at its address; it must not wait for the device,
                nor do anything whose kernels or shapes depend on the values. It isn't kept, since what it works on
                would keep itself alive.
        """
        if self.device.type != "cuda":
            return work() or ()
        self.calls += 1
        if self.calls == 1:
            with for_recording():
                return work() or ()
        if self.replay is None:
            with for_recording(), torch.cuda.device(self.device):
                self.replay, found = record(work)
            self.results = found or ()
        self.replay()
        return self.results
