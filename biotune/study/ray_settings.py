"""What Ray and Tune read from the environment, most of it as they are imported.

The package imports this before any of its modules, so that none of them can be first. What is set already stays.
"""

import os

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune would write all that it knows of all trials every few seconds; nothing is ever restored from that
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # where a worker goes on to its next trial, Tune would give up, without a word to the search, a trial whose
    # predecessor in the process takes more than two seconds to end
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    # glibc reads it when a worker starts: each trial has a thread of its own, and would leave a heap of its own behind
    "MALLOC_ARENA_MAX": "1",
}

for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)
