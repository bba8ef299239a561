"""The rules of the search, without Ray's workers: what is proposed, who goes on, what a resumed search knows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.results import Results
from biotune.results.documents import Reading, Selection
from biotune.results.journal import Journal
from biotune.study import Study, load_study
from biotune.study.confirm.confirm import make_jobs
from biotune.study.confirm.course import course
from biotune.study.confirm.selection import select
from biotune.study.definition.study import Setting
from biotune.study.history.record import Record, TrialRecord
from biotune.study.history.tables import curves_table, trials_table
from biotune.study.search.progress import SearchProgress
from biotune.study.search.sampler import sobol_settings
from biotune.training import UNREPORTED, Evaluations, TrialReport

WriteSpace = Callable[..., Path]


def report(epochs: int, loss: float, *, first: int = 0, finished: bool = False, updates: float = 1.0) -> TrialReport:
    """What a worker reports: losses that fall to `loss`, for two replicates."""
    rows: list[list[float | None]] = [[loss, loss]] * (epochs + 1 - first)
    standing = replace(UNREPORTED, score=loss, finished=finished, mean_updates=updates)
    return TrialReport(Evaluations(first, [[None, None]] * len(rows), rows, accuracy=[]), standing)


def start(study: Study, file: Path) -> SearchProgress:
    journal = Journal(file)
    past = journal.read()
    return SearchProgress(study, Record(study.config.search.replicates, {"primary": 3}, [16]), journal, past)


def run_all(progress: SearchProgress, loss: Callable[[TrialRecord], float], until: int | None = None) -> None:
    """Runs the trials one after another, until `until` of them have been proposed, or all."""
    search = progress.study.config.search
    while until is None or len(progress.record.trials) < until:
        trial = progress.propose()
        if trial is None:
            return
        for epoch in [*search.rungs, search.max_epochs]:
            if epoch > trial.epochs and trial.verdict == "continue":
                progress.report(trial.trial, report(epoch, loss(trial), finished=epoch == search.max_epochs))
        progress.end(trial.trial)


def named(arm: str, setting: Setting, reading: Reading) -> str:
    """Stands in for the digest of a plan."""
    return f"{arm}, {dict(setting)}"


def by_rate(trial: TrialRecord) -> float:
    return abs(np.log(trial.setting["learning_rate"] / 0.02)) + 0.01 * trial.index + 0.001 * len(trial.arm)


def state(progress: SearchProgress) -> list[tuple[Any, ...]]:
    trials = progress.record.trials.values()
    return [(t.trial, t.setting, t.origin, t.status, t.epochs, t.score) for t in trials]


def test_all_arms_try_the_same_settings_first_and_their_own_after_them(small_space: Path, tmp_path: Path) -> None:
    progress = start(load_study(small_space), tmp_path / "journal.jsonl")
    run_all(progress, by_rate)
    real, rewired = progress.record.of_arm("real"), progress.record.of_arm("rewired")
    assert len(real) == len(rewired) == 5
    for index in range(2):
        assert real[index].setting == rewired[index].setting
        assert real[index].origin == "shared"
    assert real[4].setting != rewired[4].setting
    assert real[4].origin == "tpe"


def test_an_arm_neither_stops_nor_steers_another(small_space: Path, tmp_path: Path) -> None:
    study = load_study(small_space)
    alone, beside = start(study, tmp_path / "alone.jsonl"), start(study, tmp_path / "beside.jsonl")
    run_all(alone, by_rate)
    run_all(beside, lambda trial: by_rate(trial) * (1e-6 if trial.arm == "rewired" else 1))
    assert [t for t in state(alone) if t[0].startswith("real")] == [t for t in state(beside) if t[0].startswith("real")]


def test_settings_spread_over_their_domains_and_stay_inside(small_space: Path) -> None:
    tune = load_study(small_space).config.tune
    settings = sobol_settings(tune, 16, seed=5)
    rates = np.log10([setting["learning_rate"] for setting in settings])
    assert ((rates >= -3) & (rates <= -1)).all()
    assert np.histogram(rates, bins=4, range=(-3, -1))[0].tolist() == [4, 4, 4, 4]
    assert [setting["nonlinearity"] for setting in settings].count("tanh") == 8
    assert settings[:8] == sobol_settings(tune, 8, seed=5)
    assert settings != sobol_settings(tune, 16, seed=6)


def test_a_grid_tries_every_combination_in_every_arm_and_nothing_else(write_space: WriteSpace, tmp_path: Path) -> None:
    grid = [
        ("loguniform: [1.0e-3, 1.0e-1]", "choice: [0.001, 0.01, 0.1]"),
        ("trials_per_arm: 5, shared_settings: 2,", "sampler: grid,"),
        ("grace: 1", "grace: 9"),
    ]
    study = load_study(write_space(*grid))
    progress = start(study, tmp_path / "journal.jsonl")
    run_all(progress, by_rate, until=5)
    progress = start(study, tmp_path / "journal.jsonl")  # resumed
    run_all(progress, by_rate)
    every = {(rate, f) for rate in (0.001, 0.01, 0.1) for f in ("tanh", "relu")}
    for arm in ("real", "rewired"):
        trials = progress.record.of_arm(arm)
        assert len(trials) == 6
        assert {(t.setting["learning_rate"], t.setting["nonlinearity"]) for t in trials} == every
        assert {(t.status, t.origin) for t in trials} == {("completed", "shared")}  # grace = max_epochs: none stopped


def test_a_trial_goes_on_only_among_the_best_of_its_rung(write_space: WriteSpace, tmp_path: Path) -> None:
    space = write_space(("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 9, shared_settings: 9"))
    progress = start(load_study(space, arms=["real"]), tmp_path / "journal.jsonl")
    run_all(progress, lambda trial: 1.0 + trial.index)
    trials = progress.record.of_arm("real")
    assert trials[0].status == "completed"  # the first at a rung is never stopped
    assert [trial.status for trial in trials[1:]] == ["stopped"] * 8
    assert {trial.epochs for trial in trials[1:]} == {1}


def test_a_trial_that_is_not_finite_is_diverged_and_spares_the_others(small_space: Path, tmp_path: Path) -> None:
    progress = start(load_study(small_space), tmp_path / "journal.jsonl")
    run_all(progress, lambda trial: float("inf") if trial.index == 0 else by_rate(trial))
    trials = progress.record.of_arm("real")
    assert trials[0].status == "diverged"
    assert trials[0].score is None
    assert {trial.status for trial in trials[1:]} <= {"completed", "stopped"}


def test_a_failed_trial_is_counted_and_kept(small_space: Path, tmp_path: Path) -> None:
    progress = start(load_study(small_space), tmp_path / "journal.jsonl")
    first = progress.propose()
    assert first is not None
    progress.end(first.trial, error="the worker died")
    silent = progress.propose()
    assert silent is not None
    progress.end(silent.trial)
    run_all(progress, by_rate)
    table = trials_table(progress.record).set_index("trial")
    assert table.loc[first.trial, "status"] == table.loc[silent.trial, "status"] == "failed"
    assert table.loc[first.trial, "error"] == "the worker died"
    assert len(table) == 10


@pytest.mark.parametrize("killed_at", range(1, 10))
def test_a_search_resumed_from_its_journal_ends_as_if_never_killed(
    small_space: Path, tmp_path: Path, killed_at: int
) -> None:
    study = load_study(small_space)
    undisturbed = start(study, tmp_path / "whole.jsonl")
    run_all(undisturbed, by_rate)
    killed = start(study, tmp_path / "killed.jsonl")
    run_all(killed, by_rate, until=killed_at)
    in_flight = killed.propose()  # proposed, and a first report journaled, then killed
    assert in_flight is not None
    killed.report(in_flight.trial, report(1, by_rate(in_flight)))
    with (tmp_path / "killed.jsonl").open("ab") as journal:
        journal.write(b'{"event":"progress","trial":"re')  # a line that the kill cut short
    resumed = start(study, tmp_path / "killed.jsonl")
    run_all(resumed, by_rate)
    assert state(resumed) == state(undisturbed)
    again = start(study, tmp_path / "killed.jsonl")
    assert again.propose() is None
    assert state(again) == state(undisturbed)


def test_a_search_in_whose_past_every_event_comes_twice_goes_on_as_if_once(small_space: Path, tmp_path: Path) -> None:
    study = load_study(small_space)
    run_all(start(study, tmp_path / "once.jsonl"), by_rate, until=7)
    twice = Journal(tmp_path / "twice.jsonl")
    for event in Journal(tmp_path / "once.jsonl").read():
        for _ in range(2):
            twice.append(event)
    searches = [start(study, tmp_path / name) for name in ("once.jsonl", "twice.jsonl")]
    for search in searches:
        run_all(search, by_rate)
    assert state(searches[0]) == state(searches[1])


@pytest.mark.parametrize("again", ["resumed", "its worker died", "its worker died for the last time"])
def test_a_trial_that_has_nothing_left_to_do_is_not_run_again(small_space: Path, tmp_path: Path, again: str) -> None:
    progress = start(load_study(small_space), tmp_path / "journal.jsonl")
    trials = [progress.propose() for _ in range(3)]
    names = [trial.trial for trial in trials if trial is not None]
    assert names == ["real-0000", "rewired-0000", "real-0001"]
    progress.report("real-0000", report(1, 0.1))
    progress.report("real-0000", report(9, 0.1, first=2, finished=True))
    progress.report("rewired-0000", report(1, float("inf")))
    progress.report("real-0001", report(1, 0.5))
    if again == "resumed":
        progress = start(load_study(small_space), tmp_path / "journal.jsonl")
    for name in names:
        if again == "its worker died":
            progress.take_up_again(name)
            progress.take_up_again(name)  # when it has ended, too
        elif again != "resumed":
            progress.end(name, error=again)
    assert [progress.record.trials[name].status for name in names] == ["completed", "diverged", "stopped"]
    following = progress.propose()
    assert following is not None
    assert following.trial == "rewired-0001"


def test_what_a_retried_trial_reports_again_is_kept_once(small_space: Path, tmp_path: Path) -> None:
    progress = start(load_study(small_space), tmp_path / "journal.jsonl")
    trial = progress.propose()
    assert trial is not None
    progress.report(trial.trial, report(5, 0.5))
    progress.report(trial.trial, report(3, 0.4))  # from an older checkpoint, its whole history
    progress.report(trial.trial, report(6, 0.3, first=4))
    curves = curves_table(progress.record)
    assert curves.groupby("replicate")["epoch"].apply(list).tolist() == [list(range(7))] * 2
    assert curves["updates"].max() == 18


def searched(study: Study, journal: Path, updates: Mapping[str, Sequence[float]]) -> Record:
    """A search with these updates at each trial of each arm, infinite where it diverges."""
    progress = start(study, journal)
    while (trial := progress.propose()) is not None:
        needed = updates[trial.arm][trial.index]
        loss = 0.001 if math.isfinite(needed) else math.inf
        progress.report(trial.trial, report(9, loss, finished=True, updates=min(needed, 1e3)))
        progress.end(trial.trial)
    return progress.record


def test_a_pair_has_the_setting_of_minimax_regret_and_each_arm_its_best_of_the_common_ones(
    write_space: WriteSpace, tmp_path: Path
) -> None:
    study = load_study(write_space(("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 4, shared_settings: 3")))
    # the last trial of each arm is at a setting of its own
    updates = {"real": [30.0, 12.0, 10.0, 1.0], "rewired": [10.0, 12.0, 30.0, 1.0]}
    selection = select(study, searched(study, tmp_path / "journal.jsonl", updates), {}, named)
    assert selection.pair["rewired"].index == 1
    assert selection.pair["rewired"].regrets == pytest.approx(
        dict.fromkeys(("rewired", "real"), math.log(1.2)), abs=1e-3
    )
    assert {arm: at.index for arm, at in selection.own_best.items()} == {"real": 2, "rewired": 0}
    assert selection.cell("real", "pair", against="rewired").setting == selection.pair["rewired"].setting


times = st.lists(st.floats(1, 100) | st.just(math.inf), min_size=3, max_size=3)


@given(times, times, st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_null_that_is_added_or_doubled_changes_nothing_for_another(
    write_space: WriteSpace,
    tmp_path_factory: pytest.TempPathFactory,
    null: list[float],
    added: list[float],
    doubled: bool,
) -> None:
    sizes = ("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 3, shared_settings: 3")
    more = ("reference_arm:", "  added: {null: {name: erdos_renyi, level: neuron}}\nreference_arm:")
    space = write_space(sizes, more)
    updates = {"real": [3.0, 1.0, 2.0], "rewired": null, "added": null if doubled else added}

    def chosen(*arms: str) -> Selection:
        study = load_study(space, arms=list(arms))
        file = tmp_path_factory.mktemp("search") / "journal.jsonl"
        return select(study, searched(study, file, updates), {}, named)

    without, with_it = chosen("real", "rewired"), chosen("real", "rewired", "added")
    assert with_it.pair["rewired"] == without.pair["rewired"]
    assert {arm: with_it.own_best[arm] for arm in ("real", "rewired")} == without.own_best
    for arm, phase, against in (
        ("rewired", "pair", ""),
        ("real", "pair", "rewired"),
        ("rewired", "own_best", ""),
        ("real", "own_best", ""),
    ):
        cells = [selection.cell(arm, phase, against=against) for selection in (without, with_it)]
        assert cells[0].plan == cells[1].plan


def test_of_trials_with_the_same_updates_the_loss_decides(write_space: WriteSpace, tmp_path: Path) -> None:
    space = write_space(("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 3, shared_settings: 3"))
    study = load_study(space, arms=["real"])
    progress = start(study, tmp_path / "journal.jsonl")
    for loss in (0.9, 0.1, 5.0):
        trial = progress.propose()
        assert trial is not None
        progress.report(trial.trial, report(9, loss, finished=True, updates=27.0))
        progress.end(trial.trial)
    assert select(study, progress.record, {}, named).own_best["real"].index == 1


def test_an_arm_in_which_nothing_trained_is_confirmed_at_the_setting_of_its_pair(
    small_space: Path, tmp_path: Path
) -> None:
    study = load_study(small_space)
    progress = start(study, tmp_path / "journal.jsonl")
    run_all(progress, lambda trial: float("inf") if trial.arm == "real" else by_rate(trial))
    selection = select(study, progress.record, {}, named)
    assert selection.cell("real", "own_best") == selection.cell("real", "pair", against="rewired")
    assert selection.pair["rewired"].regrets == {"rewired": 0.0, "real": None}
    assert {job.cell.arm for job in make_jobs(study, selection.cells, course(study, progress.record))} == {
        "real",
        "rewired",
    }


def test_a_setting_at_which_both_trained_goes_before_a_faster_one(write_space: WriteSpace, tmp_path: Path) -> None:
    sizes = ("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 3, shared_settings: 3")
    study = load_study(write_space(sizes, ("grace: 1", "grace: 9")))
    updates = {"real": [math.inf, 1.0, 2.0], "rewired": [1.0, 9.0, 8.0]}
    selection = select(study, searched(study, tmp_path / "journal.jsonl", updates), {}, named)
    assert selection.pair["rewired"].index == 2
    assert selection.own_best["rewired"].index == 0


def test_nothing_is_selected_where_no_trial_trained(small_space: Path, tmp_path: Path) -> None:
    study = load_study(small_space)
    progress = start(study, tmp_path / "journal.jsonl")
    run_all(progress, lambda trial: float("inf"))
    with pytest.raises(UserError, match="every trial at a common setting ended as diverged"):
        select(study, progress.record, {}, named)


def test_the_positive_control_has_no_say_in_whether_anything_trained(write_space: WriteSpace, tmp_path: Path) -> None:
    study = load_study(write_space(("reference_arm: real", "reference_arm: real\npositive_control: frozen")))
    progress = start(study, tmp_path / "journal.jsonl")
    run_all(progress, lambda trial: by_rate(trial) if trial.arm == "positive_control" else float("inf"))
    assert any(trial.status == "completed" for trial in progress.record.of_arm("positive_control"))
    with pytest.raises(UserError, match="every trial at a common setting ended as diverged"):
        select(study, progress.record, {}, named)


def test_the_sampler_keeps_away_from_settings_that_diverged(write_space: WriteSpace, tmp_path: Path) -> None:
    sizes = ("trials_per_arm: 5, shared_settings: 2", "trials_per_arm: 40, shared_settings: 8")
    study = load_study(write_space(sizes), arms=["real"])
    progress = start(study, tmp_path / "journal.jsonl")

    def loss(trial: TrialRecord) -> float:  # the best rate is the last before all diverge
        rate = trial.setting["learning_rate"]
        return float("inf") if rate > 0.02 else float(np.log(0.02 / rate))

    run_all(progress, loss)
    late = [trial.status for trial in progress.record.of_arm("real")[10:]]
    assert late.count("diverged") < 0.6 * len(late)  # were they passed over in silence, nearly all would be


def test_a_choice_of_several_types_is_held_as_text(write_space: WriteSpace, tmp_path: Path) -> None:
    changes = [("{choice: [tanh, relu]}", "{choice: [tanh, relu]}\n  spectral_radius: {choice: [as_it_comes, 0.9, 1]}")]
    study = load_study(write_space(*changes))
    domain = study.config.tune["spectral_radius"]
    assert domain.mixed
    record = Record(study.config.search.replicates, {"primary": 3}, [16], frozenset(["spectral_radius"]))
    progress = SearchProgress(study, record, Journal(tmp_path / "journal.jsonl"), [])
    run_all(progress, by_rate)
    results = Results(tmp_path)
    results.write_table("trials", trials_table(record))
    assert set(results.read_table("trials")["tune.spectral_radius"]) <= {"as_it_comes", "0.9", "1"}
