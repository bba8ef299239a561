"""An estimate of how long a study will take, before it is run."""

import time

import torch

from biotune.study.plans.plans import Plans
from biotune.study.worker.verification import trusted_trial
from biotune.training import keep_freed_memory


def estimate(plans: Plans, concurrency: int) -> dict[str, float]:
    """About how many seconds each phase of a study will take, from two epochs of each arm trained here on one thread.

    At each rung ASHA lets about `1/reduction` of the trials go on, and more as long as few have reached it: the share
    is taken to lie halfway between `1/reduction` and 1.

    Args:
        plans: of the study, on the device to be timed.
        concurrency: trials at once.

    Raises:
        KernelError: the plans' kernels cannot be trusted here.
    """
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    config = plans.study.config
    search, confirm = config.search, config.confirm
    of_all_arms = 0.0  # seconds per epoch of one replicate of each arm, summed
    for arm in plans.study.arms:
        trial = trusted_trial(plans.search(arm, plans.study.first_setting))
        trial.run_epoch()
        start = time.perf_counter()
        trial.run_epoch()
        of_all_arms += (time.perf_counter() - start) / search.replicates
    torch.set_num_threads(threads)
    epochs, before, passing = 0.0, 0, 1.0
    for rung in [*search.rungs, search.max_epochs]:
        epochs += passing * (rung - before)
        before, passing = rung, passing * (1 / search.reduction + 1) / 2
    return {
        "search": of_all_arms * search.trials_per_arm * search.replicates * epochs / concurrency,
        "confirm": of_all_arms * 2 * confirm.replicates * confirm.max_epochs / concurrency,
    }
