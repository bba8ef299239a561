"""What runs on a worker: a plan, trained from its checkpoint if it has one."""

import socket
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from biotune.errors import StorageError
from biotune.io.storage import Place
from biotune.network import load_checkpoint, save_checkpoint
from biotune.study.worker.verification import trusted_trial
from biotune.training import Engines, ForeignState, Trial, TrialPlan, keep_freed_memory

REPORT_SECONDS = 1.0
"""Between two reports of a trial to the driver, apart from those that decide how it goes on."""


def train(
    plan: TrialPlan, checkpoint: Place, every: float, engines: Engines | None = None, rungs: Sequence[int] = ()
) -> Generator[tuple[Trial, float], None, None]:
    """Trains a plan, yielding after every epoch the trial and the seconds spent on it so far, setting it up included.

    A checkpoint is written every `every` seconds. If there is one, training goes on from it, and its epoch is yielded
    first: a kill may have come before that was reported.

    Args:
        plan: what to train. checkpoint: where it is kept. every: seconds between two writings.
        engines: that train its networks; None: they are trained here. rungs: epochs that no engine passes before the
            epoch after is asked for. Whoever asks for no more, closes the trial's loop.

    Raises:
        StorageError: the checkpoint cannot be kept.
        DamagedCheckpoint: the one that is there cannot be read; the driver sets it aside and begins again.
        ForeignState: the one that is there is of another plan, or of topologies that this machine draws differently.
        KernelError: the plan's kernels cannot be trusted on this machine.
        EngineError: no engine can train it.
    """
    folder = checkpoint.parent
    if isinstance(folder, Path) and not folder.is_dir():  # the driver made it; made here, no other machine would see it
        where = f"not seen on {socket.gethostname()}, where a trial was to run"
        raise StorageError(f"{folder}: {where}; let that machine see it")
    try:
        started = saved = time.monotonic()
        keep_freed_memory()
        state = load_checkpoint(checkpoint) if checkpoint.exists() else None
        trial, spent = trusted_trial(plan, engines, rungs), 0.0
        if state is not None:
            spent = state["seconds"]
            try:
                trial.load_state_dict(state)
            except ForeignState as error:
                host = socket.gethostname()
                raise ForeignState(f"{checkpoint}: {error} ({host}); put back what belongs together") from None
            del state
        if trial.loop.epoch or trial.finished:  # finished at epoch 0: every replicate diverged as it was drawn
            yield trial, spent
        while not trial.finished:
            trial.run_epoch()
            now = time.monotonic()
            if now - saved >= every:
                save_checkpoint(checkpoint, trial.state_dict() | {"seconds": spent + now - started})
                saved = now
            yield trial, spent + now - started
    except GeneratorExit:  # it was stopped
        trial.loop.close()
        raise
    except SystemExit as error:  # Ray would take it for its own way to end a worker
        raise RuntimeError(f"the task's code called sys.exit({error.code!r})") from error
