"""The driver with many simulated trials: what a sampler forgets, what a resumed search knows, and what it costs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

import biotune.study.search.sampler
from biotune.results.journal import Journal
from biotune.study import Study, load_study
from biotune.study.search.progress import SearchProgress
from biotune.study.search.sampler import BEST, ArmSampler
from checks.scale import Simulation, begin, draw, simulate
from checks.short_study import write_short_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return one_arm(tmp_path_factory.mktemp("space") / "space.yaml", 130)


def forget_soon(patch: pytest.MonkeyPatch) -> None:
    """A sampler forgets trials when it has more than 60."""
    patch.setattr(biotune.study.search.sampler, "MOST", 60)
    patch.setattr(biotune.study.search.sampler, "LATEST", 30)


def one_arm(space: Path, trials: int) -> Study:
    write_short_study(space, "scale", trials, arms=1, replicates=4, epochs=81, grace=9)
    return load_study(space)


def run(progress: SearchProgress, until: int | None = None) -> None:
    for _ in Simulation(progress, at_once=1).run():
        if until is not None and len(progress.record.trials) >= until:
            return


def state(progress: SearchProgress) -> list[tuple[Any, ...]]:
    trials = progress.record.trials.values()
    return [(t.trial, t.setting, t.origin, t.status, t.epochs, t.score) for t in trials]


@pytest.fixture(scope="module")
def undisturbed(study: Study, tmp_path_factory: pytest.TempPathFactory) -> SearchProgress:
    """The search from start to end, with a sampler that forgets soon."""
    with pytest.MonkeyPatch.context() as patch:
        forget_soon(patch)
        progress = begin(study, Journal(tmp_path_factory.mktemp("whole") / "journal.jsonl"))
        run(progress)
    return progress


@pytest.mark.parametrize("killed_at", [30, 59, 60, 61, 90, 129])
def test_a_search_whose_sampler_let_go_of_trials_is_resumed_as_if_never_killed(
    study: Study, undisturbed: SearchProgress, tmp_path: Path, killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_soon(monkeypatch)
    killed = begin(study, Journal(tmp_path / "killed.jsonl"))
    run(killed, until=killed_at)
    assert killed.propose() is not None  # proposed, then killed
    resumed = begin(study, Journal(tmp_path / "killed.jsonl"))
    run(resumed)
    assert state(resumed) == state(undisturbed)
    origins = [trial.origin for trial in resumed.record.trials.values()]
    assert origins == ["shared"] * 8 + ["tpe"] * 52 + ["tpe_bounded"] * 70


SCORES = st.one_of(st.just(None), st.just("failed"), st.floats(1e-6, 1e3))
"""A trial's outcome: None if it diverged, "failed", or its best loss."""


@settings(max_examples=6, deadline=None)
@given(scores=st.lists(SCORES, min_size=150, max_size=150), at_once=st.integers(1, 12), chance=st.randoms())
def test_tpe_keeps_the_best_of_all_the_latest_and_the_running(
    study: Study, scores: list[Any], at_once: int, chance: Any
) -> None:
    most, latest = 60, 30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(biotune.study.search.sampler, "MOST", most)
        patch.setattr(biotune.study.search.sampler, "LATEST", latest)
        sampler = ArmSampler("arm0", study.config.tune, study.config.search, seed=1)
        running: list[int] = []
        told: dict[int, float] = {}
        held_running: dict[int, dict[str, Any]] = {}
        for index, _ in enumerate(scores):
            held_running[index], _ = sampler.propose(index)
            running.append(index)
            if len(running) < at_once:
                continue
            ended = running.pop(chance.randrange(len(running)))
            score = scores[ended]
            del held_running[ended]
            if score == "failed":
                sampler.learn(ended, "failed", None)
            else:
                sampler.learn(ended, "completed" if score is not None else "diverged", score)
                told[ended] = np.inf if score is None else score
    trials = sampler.study.get_trials(deepcopy=False)
    values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    best = sorted(value for value in told.values() if np.isfinite(value))[:BEST]
    assert sorted(values)[: len(best)] == best
    assert len(trials) <= most + at_once
    assert [t.params for t in trials if t.state == TrialState.RUNNING] == [
        held_running[i] for i in sorted(held_running)
    ]


def test_a_sampler_of_another_kind_forgets_nothing_and_is_not_marked(tmp_path: Path) -> None:
    study = one_arm(tmp_path / "space.yaml", 130)
    search = study.config.search.model_copy(update={"sampler": "random"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(biotune.study.search.sampler, "MOST", 20)
        sampler = ArmSampler("arm0", study.config.tune, search, seed=1)
        origins = []
        for index in range(40):
            origins.append(sampler.propose(index)[1])
            sampler.learn(index, "completed", 1.0)
    assert origins == ["shared"] * 8 + ["random"] * 32


@pytest.mark.slow
def test_what_the_driver_holds_of_a_trial_is_little_and_does_not_grow(tmp_path: Path) -> None:
    points = simulate(arms=1, trials=400)
    middle, last = points[4], points[-1]
    trials = last.trials - middle.trials
    assert trials == 200
    assert (last.memory_mib - middle.memory_mib) * 2**20 / trials < 50_000
    assert last.curves_mib / last.trials == pytest.approx(middle.curves_mib / middle.trials, rel=0.5)
    assert 0 < last.journal_mib * 2**20 / last.trials < 20_000
    draw({"one arm": points}, tmp_path / "scale.svg")
    assert "<svg" in (tmp_path / "scale.svg").read_text()


@pytest.mark.long
def test_the_command_prints_both_ways_of_sharing_the_trials_out(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "checks.scale", "--trials", "80"]
    files = ["--json", str(tmp_path / "scale.json"), "--figure", str(tmp_path / "scale.png")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "scale.json").read_text())
    assert [content[name][-1]["trials"] for name in ("four arms", "one arm")] == [80, 80]
    assert "four arms" in done.stdout
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")
    refused = subprocess.run([*command[:-1], "41"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "multiple of 40" in refused.stderr
