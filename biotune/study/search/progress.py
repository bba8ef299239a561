"""The search as a state machine: which trial is next, whether a trial that reports goes on, and how it ends.

It knows nothing of Ray's workers. Each call makes an event, which is written to the journal and only then takes effect;
resuming applies the journal's events in the same way. So a resumed search has the same samplers and rungs as when it
was killed.
"""

from functools import partial

from biotune.results import RUNNING
from biotune.results.journal import Event, Journal
from biotune.results.vocabulary import Ending
from biotune.study.definition.study import Study
from biotune.study.history.events import (
    Ended,
    Progress,
    Proposed,
    StudyEvent,
    append,
    replay,
    require_own,
    trial_name,
)
from biotune.study.history.record import Record, TrialRecord
from biotune.study.search.rungs import Rungs
from biotune.study.search.sampler import ArmSampler
from biotune.training import TrialReport


class SearchProgress:
    """The search of all arms.

    Args:
        study: what is searched.
        record: receives the events.
        journal: keeps them.
        past: the journal's events, when the study is resumed.
        bounded: whether the trials of an arm that run at once are bounded, so that its sampler has something to learn
            from: of those that TPE proposes, at most half as many run as have ended (one in any case). What room is
            left goes to the other arms.

    Raises:
        UserError: an event of the past is none of this study.
    """

    def __init__(
        self, study: Study, record: Record, journal: Journal, past: list[Event], bounded: bool = False
    ) -> None:
        self.study, self.record, self.journal, self.bounded = study, record, journal, bounded
        search, tune = study.config.search, study.config.tune
        self.samplers = {arm: ArmSampler(arm, tune, search, study.config.seed) for arm in study.arms}
        self.rungs = {arm: Rungs(search) for arm in study.arms}
        self.waiting = [(index, arm) for index in range(search.trials_per_arm) for arm in study.arms]
        self.waiting.reverse()
        replay(journal, past, partial(self._apply, again=True))
        self.unfinished: list[str] = []
        for name in [t.trial for t in reversed(record.trials.values()) if t.status == RUNNING]:
            self.take_up_again(name)

    @property
    def trials(self) -> int:
        """The number of all trials, including those not yet proposed."""
        return len(self.record.trials) + len(self.waiting)

    @property
    def finished(self) -> bool:
        """Whether all trials have ended."""
        return not self.waiting and all(trial.status != RUNNING for trial in self.record.trials.values())

    def propose(self) -> TrialRecord | None:
        """The next trial to run: one that a kill left unfinished, or a new one; None when there is none now."""
        if self.unfinished:
            return self.record.trials[self.unfinished.pop()]
        following = next((one for one in reversed(self.waiting) if self._may_begin(*one)), None)
        if following is None:
            return None
        index, arm = following
        setting, origin = self.samplers[arm].propose(index)
        name = trial_name(arm, index)
        proposed = Proposed(trial=name, arm=arm, index=index, origin=origin, setting=setting)
        self._apply(append(self.journal, proposed))
        return self.record.trials[name]

    def _may_begin(self, index: int, arm: str) -> bool:
        """Whether an arm's trial may begin now; see `bounded`."""
        search = self.study.config.search
        if not self.bounded or search.sampler != "tpe" or index < search.shared_settings:
            return True
        known = self.record.of_arm(arm)
        if index != len(known):
            return False  # another of its arm comes first
        running = sum(trial.status == RUNNING for trial in known)
        return running < max((len(known) - running) // 2, 1)

    def report(self, trial: str, report: TrialReport) -> str:
        """Takes a trial's report in; "continue" or "stop"."""
        self._apply(append(self.journal, Progress(trial=trial, report=report)))
        return self.record.trials[trial].verdict

    def take_up_again(self, trial: str) -> None:
        """Has a trial whose worker died proposed again, from where it is; if nothing of it is left to do, ends it."""
        held = self.record.trials[trial]
        if held.standing.finished or held.verdict == "stop" or held.status != RUNNING:
            self.end(trial)
        else:
            self.unfinished.append(trial)

    def end(self, trial: str, error: str = "") -> None:
        """Ends a trial that was completed, was stopped, or failed; an error after its last report changes nothing."""
        held = self.record.trials[trial]
        if held.status != RUNNING:
            return
        status: Ending
        failure = ""
        if len(held.curves.validation) and held.score is None:
            status = "diverged"
        elif held.standing.finished:
            status = "completed"
        elif held.verdict == "stop":
            status = "stopped"
        else:
            status, failure = "failed", error or "it ended without having trained to its end"
        self._apply(append(self.journal, Ended(trial=trial, status=status, error=failure)))

    def _apply(self, event: StudyEvent, again: bool = False) -> None:
        """Takes an event in; `again` when it comes from the journal of a run that ended.

        One that has been taken in already changes nothing.

        Raises:
            ValueError: it is none of this study.
        """
        match event:
            case Proposed(trial=name) if name not in self.record.trials:
                require_own(self.study, event)
                due = [one for one in self.waiting if one[1] == event.arm][-1:]
                if due != [(event.index, event.arm)]:  # the trials of an arm are proposed in this order alone
                    raise ValueError(f"trial {name!r} was proposed before another that comes first")
                self.record.apply(event)
                self.waiting.remove(due[0])
                if again:
                    self.samplers[event.arm].repeat(event.index, event.setting)
            case Progress(trial=name):
                self.record.apply(event)
                trial = self.record.trials[name]
                if trial.objective is None:
                    trial.verdict = "stop"  # never told to ASHA, whose rungs would keep it
                elif not trial.standing.finished and trial.verdict != "stop":
                    trial.verdict = self.rungs[trial.arm].verdict(name, trial.epochs, trial.objective)
            case Ended(trial=name):
                known = self.record.trials.get(name)
                told = known is not None and known.status != RUNNING
                self.record.apply(event)
                trial = self.record.trials[name]
                if not told:
                    self.samplers[trial.arm].learn(trial.index, trial.status, trial.objective)
            case _:
                self.record.apply(event)
