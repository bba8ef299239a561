"""Whatever module of biotune.study is imported first, Ray finds its settings in the environment."""

import importlib
import os
import subprocess
import sys

import pytest

from biotune.study import ray_settings
from biotune.study.ray_settings import SETTINGS

EACH = """
import importlib, importlib.abc, os, pkgutil, sys
import optuna, tensorboardX, torch  # once for all, instead of in each process
import biotune.report, biotune.training

class Watch(importlib.abc.MetaPathFinder):
    \"\"\"Ends the process as Ray is about to be imported: with 3 where a setting is missing.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ray":
            missing = [setting for setting in sys.argv[1:] if setting not in os.environ]
            print(module, f"imports Ray too early for {missing}" if missing else "imports Ray", flush=True)
            os._exit(3 if missing else 0)

folder = os.path.join(biotune.__path__[0], "study")
names = [f"biotune.study.{found.name}" for found in pkgutil.iter_modules([folder])]
failed = 0
for module in ["biotune.study", *names]:
    sys.stdout.flush()
    if os.fork() == 0:
        sys.meta_path.insert(0, Watch())
        importlib.import_module(module)
        print(module, "does without", flush=True)
        os._exit(0)
    failed += os.waitstatus_to_exitcode(os.wait()[1]) != 0
sys.exit(failed)
"""


def test_no_module_of_a_study_imports_ray_before_its_settings_are_there() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, "-c", EACH, *SETTINGS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    with_ray = [line.split()[0] for line in done.stdout.splitlines() if line.endswith("imports Ray")]
    assert len(with_ray) > 5
    assert "biotune.study" not in with_ray  # reading a study takes no Ray
    assert "biotune.study.worker.train" in with_ray


def test_what_is_set_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_FUNCTION_THREAD_TIMEOUT_S", "7")
    importlib.reload(ray_settings)
    assert os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] == "7"
