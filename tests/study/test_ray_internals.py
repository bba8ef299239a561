"""Ray still does what `biotune.study.ray_internals` says of it; Ray itself is not started."""

import errno
import importlib
import inspect
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray._common.utils import get_default_system_temp_dir
from ray._raylet import ActorID, getproctitle  # type: ignore[attr-defined]  # a compiled module
from ray.actor import ActorHandle
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RaySystemError, RayTaskError
from ray.tune import TuneError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from biotune.study import ray_internals
from biotune.study.ray_internals import (
    GUARDED_PAGE,
    SCRAPE_LIST,
    SETTINGS,
    UNPACKED_JOBS,
    actor_of,
    error_of,
    forget,
    full_disk,
    name_process,
    ray_dashboard,
    reason_line,
    temporary_folder,
    unknown_end,
)

RAY = Path(ray.__path__[0])


def test_a_study_is_read_without_ray_and_leaves_the_settings_for_whoever_imports_it() -> None:
    """Whatever module of `biotune.study` is imported first, Python imports the package itself before it."""
    code = """
import os, sys
import biotune.study
print("ray" in sys.modules, [name for name in sys.argv[1:] if name not in os.environ])
"""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, "-c", code, *SETTINGS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout == "False []\n", done.stderr


def test_what_is_set_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_FUNCTION_THREAD_TIMEOUT_S", "7")
    importlib.reload(ray_internals)
    assert os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] == "7"


def test_ray_still_reads_every_setting() -> None:
    folders = [RAY / name for name in ("_common", "_private", "air", "tune")]
    text = "".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    assert [name for name in SETTINGS if name not in text] == ["MALLOC_ARENA_MAX"]  # which glibc reads


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("_private/runtime_env/working_dir.py", f'"{UNPACKED_JOBS}"'),
        ("dashboard/modules/reporter/reporter_head.py", f'@routes.get("{GUARDED_PAGE}")'),
        ("_private/ray_constants.py", f'PROMETHEUS_SERVICE_DISCOVERY_FILE = "{SCRAPE_LIST}"'),
    ],
)
def test_ray_still_has_a_name_for(file: str, text: str) -> None:
    assert text in (RAY / file).read_text()


@pytest.mark.parametrize(
    "named", [{}, {"TMPDIR": "/one"}, {"RAY_TMPDIR": "/two"}, {"TMPDIR": "/a", "RAY_TMPDIR": "/b"}]
)
def test_ray_makes_its_folder_there(named: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert temporary_folder() == Path(get_default_system_temp_dir())


def test_a_process_takes_a_title() -> None:
    before = getproctitle()
    try:
        name_process("ray::small/real")
        assert getproctitle() == "ray::small/real"
    finally:
        name_process(before)


def test_an_actor_has_an_id() -> None:
    trial = Trial("a trial", stub=True)
    assert actor_of(trial) is None
    assert isinstance(ActorHandle._actor_id, property)
    number = ActorID.from_random()
    trial.temporary_state.ray_actor = SimpleNamespace(_actor_id=number)
    assert actor_of(trial) == number.hex()


def test_what_tune_keeps_of_a_trial_can_be_dropped() -> None:
    trial = Trial("a trial", stub=True)
    trial.update_last_result({"score": 0.5, "report": [1.0], "training_iteration": 1, "time_total_s": 1.0})
    assert trial.metric_analysis["score"]
    assert trial.metric_n_steps["score"]
    assert trial.last_result["report"] == [1.0]
    forget(trial, "report")
    assert not trial.metric_analysis
    assert not trial.metric_n_steps
    assert "report" not in trial.last_result
    assert "score" in trial.last_result


def test_tune_keeps_what_a_trial_died_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Trial, "local_path", str(tmp_path))
    trial = Trial("a trial", stub=True)
    assert error_of(trial) is None
    trial.handle_error(RayTaskError("search_trial", "the traceback", ValueError("of this")))
    error = error_of(trial)
    assert isinstance(error, RayTaskError)
    assert str(error.cause) == "of this"


def test_tune_ends_with_what_it_does_not_know() -> None:
    lost = RaySystemError("lost")
    with pytest.raises(RuntimeError) as raised:
        RayActorManager._actor_task_failed(None, SimpleNamespace(_tracked_actor=None), lost)  # type: ignore[arg-type]
    assert unknown_end(raised.value) is lost
    assert unknown_end(RuntimeError("of another kind")) is None


def test_tune_ends_with_the_text_of_a_full_disk(tmp_path: Path) -> None:
    file = tmp_path / "params.pkl"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    assert full_disk(full) == file
    assert full_disk(TuneError("".join(traceback.format_exception(full)))) == temporary_folder()
    assert full_disk(TuneError("something else")) is None
    assert "TuneError(traceback.format_exc())" in inspect.getsource(TuneController)


def test_the_line_that_says_what_happened_is_taken() -> None:
    assert reason_line(OutOfMemoryError("Task was killed.\nRefer to the documentation")) == "Task was killed."
    assert reason_line(RaySystemError("lost")) == "System error: lost"


def test_ray_has_a_dashboard_for_grafana() -> None:
    assert json.loads(ray_dashboard())["panels"]
