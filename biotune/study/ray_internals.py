"""What a study relies on in Ray beyond what Ray documents, each with the version of Ray that it was seen in.

Nothing else knows it, and `tests/study/test_ray_internals.py` fails if a version of Ray does it otherwise.

Ray and Tune read most of the settings when they are imported. So the package imports this module before all others, and
this module imports Ray only within its functions.
"""

import errno
import logging
import os
import pickle
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.exceptions import RayError
    from ray.tune.experiment import Trial

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune would write all that it knows of all trials every few seconds, and no study is restored from that
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # a worker trains one trial after another: if one takes more than two seconds to end, Tune would give up the next
    # one, without telling the search
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    # read by glibc when a worker starts: each trial has a thread of its own, which would leave a heap of its own behind
    "MALLOC_ARENA_MAX": "1",
}
"""Environment variables of Ray 2.60, and the values that a study needs; one that the user has set stays as it is."""

for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

# in a notebook without ipywidgets Ray says twice that it shows no widgets of its own, and tqdm that it shows no bar
logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message="IProgress not found")

UNPACKED_JOBS = "working_dir_files"
"""The folder that Ray unpacks the files of submitted jobs in. Seen in Ray 2.60."""

GUARDED_PAGE = "/api/cluster_status"
"""A page of Ray's dashboard that is only shown to whoever has the cluster's token. Seen in Ray 2.60."""

SCRAPE_LIST = "prom_metrics_service_discovery.json"
"""The file in Ray's temporary folder that tells Prometheus which addresses to ask for metrics. Seen in Ray 2.60."""


SOCKET = "session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""The longest of the names that Ray gives to its sockets, within its folder. Seen in Ray 2.60."""


def temporary_folder() -> Path:
    """Where Ray makes its folder, if it is told no other place. Seen in Ray 2.60."""
    named = os.environ.get("RAY_TMPDIR")
    if named is None and sys.platform == "linux":
        named = os.environ.get("TMPDIR")
    return Path(named or "/tmp")


def ray_folders() -> tuple[Path, Path]:
    """Where Ray's files are: of one that `ray start` started, and of one that a study starts.

    The second is in a folder that its user alone can enter, since Ray opens its own to everybody. Seen in Ray 2.60.
    """
    return temporary_folder() / "ray", temporary_folder() / f"biotune-{os.getuid()}" / "ray"


def name_process(title: str) -> None:
    """Gives a worker's process a title; Ray itself gives it back its own whenever `tune.report` returns.

    Seen in Ray 2.60: `ray._raylet.setproctitle`.
    """
    from ray._raylet import setproctitle  # type: ignore[attr-defined]  # a compiled module

    setproctitle(title)


def actor_of(trial: "Trial") -> str | None:
    """The id of the actor that runs one of Tune's trials, as Ray's messages give it; None if it has none yet.

    Seen in Ray 2.60: `Trial.temporary_state.ray_actor`, `ActorHandle._actor_id`.
    """
    actor = trial.temporary_state.ray_actor
    return None if actor is None else actor._actor_id.hex()


def names_actor(error: "RayError", actor: str) -> bool:
    """Whether an error's message gives the id of an actor: Ray says in no other way whose worker died.

    Seen in Ray 2.60.
    """
    return actor in str(error)


def forget(trial: "Trial", *reported: str) -> None:
    """Drops what Tune keeps of a trial that ended: statistics of every number of it, and these keys of its last report.

    For a long search that is more memory than everything else. Seen in Ray 2.60: `Trial.metric_analysis`,
    `Trial.metric_n_steps`, `Trial.last_result`.
    """
    trial.metric_analysis.clear()
    trial.metric_n_steps.clear()
    for name in reported:
        trial.last_result.pop(name, None)


def error_of(trial: "Trial") -> Exception | None:
    """What one of Tune's trials died of.

    Seen in Ray 2.60: `Trial.pickled_error_file`. `Trial.get_error` looks at the place that the file is copied to later.
    """
    file = trial.pickled_error_file
    return pickle.loads(Path(file).read_bytes()) if file else None


def unknown_end(error: RuntimeError) -> "RayError | None":
    """How a worker ended, if Tune ended with that error because it doesn't know what to do about it; otherwise None.

    Seen in Ray 2.60: a `RuntimeError` raised from the `RayError`.
    """
    from ray.exceptions import RayError

    return error.__cause__ if isinstance(error.__cause__, RayError) else None


def full_disk(error: Exception) -> Path | None:
    """Where there was no room for Tune's own files, if that is what Tune ended with; otherwise None.

    Seen in Ray 2.60: an `OSError`, or a `TuneError` that gives no more than the text of its traceback.
    """
    if os.strerror(errno.ENOSPC) not in str(error):
        return None
    return Path(getattr(error, "filename", None) or temporary_folder())


def reason_line(error: "RayError") -> str:
    """The line that says what happened, of the several that Ray writes about a worker's end. Seen in Ray 2.60."""
    from ray.exceptions import OutOfMemoryError

    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, OutOfMemoryError):
        return lines[0]  # advice on Ray's settings follows
    return lines[-1]


def ray_dashboard() -> str:
    """Ray's own dashboard for Grafana, as JSON. Seen in Ray 2.60."""
    from ray.dashboard.modules.metrics.grafana_dashboard_factory import generate_default_grafana_dashboard

    return generate_default_grafana_dashboard()[0]
