"""The default study without its file is the default study."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from biotune.connectome import load_connectome
from biotune.study.definition.load import load_study
from checks import default_study

ABSENT = (
    *("lifelines", "matplotlib", "optuna", "pandas", "pooch", "psutil", "pyarrow", "pydantic", "ray", "rich"),
    *("sklearn", "tensorboardX", "yaml"),
)
"""What a machine with only PyTorch, SciPy and pytest lacks."""


def test_its_plans_are_those_of_the_study() -> None:
    study = load_study("search_spaces/seq_mem.yaml")
    cortex = load_connectome("distance_rule:marmoset", seed=study.config.seed)
    setting = {"learning_rate": default_study.LEARNING_RATE}
    assert list(default_study.ARMS) == list(study.arms)
    assert study.config.reference_arm == default_study.REFERENCE_ARM
    for arm in study.arms:
        given = {"phase": "confirm", "replicates": [0, 3], "connectome": cortex, "backend": "auto", "device": "cpu"}
        of_study = replace(study.plan(arm, setting, **given), study="")
        assert default_study.plan(arm, cortex, [0, 3]) == of_study


def test_the_stand_in_is_the_one_that_the_study_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIOTUNE_DATA", raising=False)
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path))
    monkeypatch.setenv("BIOTUNE_DOWNLOAD_BASE", "http://127.0.0.1:1")
    found = default_study.connectome()
    stand_in = load_connectome("marmoset", otherwise="distance_rule", seed=1)
    assert (found.name, found.digest) == (stand_in.name, stand_in.digest)


@pytest.mark.slow
def test_a_machine_without_ray_and_tables_can_learn() -> None:
    program = f"""
import sys

sys.modules.update(dict.fromkeys({ABSENT!r}))  # importing them fails

import checks.gpu
from checks import learning

sys.exit(learning.main("--backends dense --epochs 1 --replicates 1 --neurons 1".split()))
"""
    environment = {key: value for key, value in os.environ.items() if key != "BIOTUNE_DATA"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all pass" in done.stdout
