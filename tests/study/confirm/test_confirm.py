"""What the confirm phase makes of what its blocks say; Ray is stood in for, and its blocks are trained here."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from biotune.results.documents import CommonSetting, Selection
from biotune.results.journal import Journal
from biotune.study import load_study
from biotune.study.confirm import block, confirm
from biotune.study.confirm.block import Reached, confirm_block
from biotune.study.confirm.cells import make_cells
from biotune.study.confirm.confirm import Job, run_confirm
from biotune.study.confirm.course import course, is_done, take_look
from biotune.study.confirm.extension import More, extend, extension_of
from biotune.study.directory.directory import new_record
from biotune.study.history.events import Looked, Selected, append, replay
from biotune.study.history.record import Record
from biotune.study.history.tables import convergence_table
from biotune.study.plans.plans import Plans
from biotune.study.resources.fit import Resources
from biotune.training import BlockReport, TrialPlan

SETTING = {"learning_rate": 0.01, "nonlinearity": "tanh"}
AT = CommonSetting(index=0, setting=SETTING, regrets={})


class LocalRay:
    """A Ray whose tasks are generators of this process; of those that wait, the first is always ready."""

    def remote(self, **options: Any) -> Callable[[Callable[..., Any]], "LocalRay"]:
        assert options["num_returns"] == "streaming"

        def wrap(function: Callable[..., Any]) -> "LocalRay":
            self.function = function
            return self

        return wrap

    def options(self, name: str) -> Any:
        return type("Named", (), {"remote": staticmethod(self.function)})

    def wait(self, running: Sequence[Iterator[Any]], timeout: float) -> tuple[list[Iterator[Any]], list[Iterator[Any]]]:
        return [running[0]], list(running[1:])

    def get(self, said: Any) -> Any:
        return said


@pytest.fixture
def plans(small_space: Path) -> Plans:
    return Plans.load(load_study(small_space))


@pytest.fixture
def plan(plans: Plans) -> TrialPlan:
    return plans.plan("real", SETTING, "confirm", [0, 1])


def test_a_block_says_how_far_it_is_and_then_reports(
    plan: TrialPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "REPORT_SECONDS", 0.0)
    *reached, report = confirm_block(plan, tmp_path / "block.pt", threads=1, every=10)
    assert [one.epoch for one in reached if isinstance(one, Reached)] == list(range(1, plan.max_epochs + 1))
    seconds = [one.seconds for one in reached]
    assert seconds == sorted(seconds)
    assert isinstance(report, BlockReport)


def test_a_block_of_short_epochs_says_so_once_a_second_at_most(plan: TrialPlan, tmp_path: Path) -> None:
    said = list(confirm_block(plan, tmp_path / "block.pt", threads=1, every=10))
    assert len(said) <= 2 + said[-1].seconds
    assert said[0].epoch == 1  # type: ignore[union-attr]


def test_the_jobs_that_run_are_shown_with_their_epochs_until_they_are_confirmed(
    plans: Plans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(confirm, "ray", LocalRay())
    study, record = plans.study, Record(2, {"primary": 3}, planned=[3])
    cells = make_cells(study, {"rewired": AT}, dict.fromkeys(study.arms, AT), {}, plans.digest)
    record.selection = Selection(pair={}, own_best={}, cells=cells)
    shown: list[list[tuple[str, int, int]]] = []

    def changed(jobs: Sequence[Job]) -> None:
        shown.append([(job.cell.arm, job.replicates[0], job.reached.epoch) for job in jobs])

    run_confirm(
        study,
        record,
        Journal(tmp_path / "journal.jsonl"),
        plans.confirm,
        checkpoints=tmp_path,
        resources=Resources(cpus=1, gpus=0.0, concurrency=2, dashboard=None),
        every=10.0,
        set_aside=lambda checkpoint, reason: None,
        changed=changed,
        interrupted=lambda: False,
    )
    assert shown[0] == [("rewired", 2, 0), ("rewired", 0, 1)]
    assert all(len(running) <= 2 for running in shown)
    seen = {one for running in shown for one in running}
    assert {("real", 0, epoch) for epoch in range(1, 7)} <= seen
    assert shown[-1] == []
    assert len(record.blocks) == 4


def test_a_replication_and_a_condition_are_added_to_what_was_confirmed(
    write_space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "ray", LocalRay())
    space = write_space()
    journal = Journal(tmp_path / "journal.jsonl")
    plans = Plans.load(load_study(space))
    pair, own = {"rewired": AT}, dict.fromkeys(plans.study.arms, AT)
    cells = make_cells(plans.study, pair, own, plans.same, plans.digest)
    record = new_record(plans.study)
    record.apply(append(journal, Selected(selection=Selection(pair=pair, own_best=own, cells=cells))))

    def run(plans: Plans, record: Record) -> None:
        run_confirm(
            plans.study,
            record,
            journal,
            plans.confirm,
            checkpoints=tmp_path,
            resources=Resources(cpus=1, gpus=0.0, concurrency=1, dashboard=None),
            every=10.0,
            set_aside=lambda checkpoint, reason: None,
            changed=lambda jobs: None,
            interrupted=lambda: False,
        )

    run(plans, record)
    look = take_look(plans.study, record, course(plans.study, record))
    record.apply(append(journal, Looked(look=look)))
    before = convergence_table(record)

    conditions = {"fast": {"network": {"weight_decay": 0.1}}}
    study = load_study(space, added=conditions)
    assert study.digest == plans.study.digest
    more = Plans.load(study)
    again = new_record(study)
    replay(journal, journal.read(), again.apply)
    extension = extension_of(study, again, More(replicates=7, conditions=conditions), tmp_path)
    assert extension is not None
    extend(more, again, journal, extension)
    run(more, again)
    assert is_done(study, again)

    table = convergence_table(again)
    of_plan = table[(table["look"] == 3) & (table["condition"] == "primary")].reset_index(drop=True)
    assert of_plan.equals(before)
    past = table[table["look"] == 7]
    assert {(row.condition, row.replicate) for row in past.itertuples()} == {("primary", n) for n in (3, 4, 5, 6)}
    fast = table[table["condition"] == "fast"]
    assert fast.groupby("arm", observed=True)["replicate"].apply(list).to_dict() == {
        "real": [0, 1, 2],
        "rewired": [0, 1, 2],
    }
    once_more = new_record(study)
    replay(journal, journal.read(), once_more.apply)
    assert convergence_table(once_more).equals(table)
