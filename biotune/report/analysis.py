"""From the tables of a results directory to every number of the report. Nothing here draws or writes."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biotune.report import statistics
from biotune.report.answer import answer, disagreements, question
from biotune.report.limits import find_limits
from biotune.report.methods import citations, describe_arm, methods
from biotune.report.statistics import Share, Verdict
from biotune.report.summary import ArmResult, Comparison, Level, SearchResult, Summary
from biotune.report.wording import need
from biotune.results import Results
from biotune.training.criterion import updates_to_criterion

CONFIRMED = ("shared", "own_best")

LEVEL_FACTORS = (3.0, 2.0, 1.5, 0.5, 0.25)
"""The other criterion levels that the verdict is given at, as multiples of the study's own."""

STATUSES = ("completed", "stopped", "diverged", "failed", "running")


@dataclass(frozen=True)
class Tables:
    """The tables of a results directory."""

    trials: pd.DataFrame
    curves: pd.DataFrame
    topologies: pd.DataFrame
    convergence: pd.DataFrame

    @classmethod
    def read(cls, results: Results) -> "Tables":
        """Reads all four."""
        return cls(*(results.read_table(name) for name in ("trials", "curves", "topologies", "convergence")))


def summarise(results: Results, tables: Tables) -> Summary:
    """Computes every number of the report.

    Raises:
        UserError: study.yaml or state.json lacks a key.
    """
    study, state, environment = results.read_study(), results.read_json("state"), results.read_json("environment")
    arms: dict[str, Any] = need(study, "arms", "study.yaml")
    reference: str = need(study, "reference_arm", "study.yaml")
    analysis = _Analysis(
        arms=list(arms),
        reference=reference,
        margin=need(study, "equivalence_margin", "study.yaml"),
        planned=need(study, "confirm.replicates", "study.yaml"),
        finished=need(state, "phase", "state.json") == "finished",
        seed=need(study, "seed", "study.yaml"),
    )
    budget = int(need(state, "budget", "state.json"))
    confirmed = tables.convergence
    shared = confirmed[confirmed["phase"] == "shared"]
    own = confirmed[confirmed["phase"] == "own_best"]
    curves = tables.curves[tables.curves["phase"].isin(CONFIRMED)]
    areas = _loss_areas(curves, budget)
    arm_results = [
        analysis.result(rows, arm, phase, areas)
        for phase, table in (("shared", shared), ("own_best", own))
        for arm, rows in _by_arm(table, list(arms))
    ]
    comparisons, own_best = analysis.compare_all(shared), analysis.compare_all(own)
    null_loss, level = need(state, "criterion.null_loss", "state.json"), need(state, "criterion.level", "state.json")
    sustain = need(study, "criterion.sustain", "study.yaml")
    selection = state.get("selection")
    partial = Summary(
        name=need(study, "name", "study.yaml"),
        question=question(study),
        answer=("", ""),
        finished=analysis.finished,
        phase=state["phase"],
        task=need(study, "task", "study.yaml"),
        reference=reference,
        arms={name: describe_arm(arm or {}) for name, arm in arms.items()},
        margin=analysis.margin,
        confidence=analysis.confidence,
        pairs=analysis.planned,
        criterion={
            "level": level,
            "null_loss": null_loss,
            "fraction_of_null": need(study, "criterion.fraction_of_null", "study.yaml"),
            "sustain": sustain,
        },
        budget=budget,
        updates_per_epoch=int(need(state, "updates_per_epoch", "state.json")),
        shared_setting=selection["shared"]["setting"] if selection else None,
        shared_index=selection["shared"]["index"] if selection else None,
        results=arm_results,
        comparisons=comparisons,
        own_best=own_best,
        disagreements=disagreements(comparisons, own_best),
        levels=_other_levels(analysis, shared, curves[curves["phase"] == "shared"], level, null_loss, sustain, budget),
        search=[
            _search_result(name, tables.trials, need(study, "search.trials_per_arm", "study.yaml"), selection)
            for name in arms
        ],
        measures=_measures(tables.topologies, list(arms)),
        connectomes=need(state, "connectomes", "state.json"),
        limits=[],
        methods=methods(study, state),
        citations=citations(state),
        seconds={phase: float(spent) for phase, spent in need(state, "seconds", "state.json").items()},
        environment=environment,
        page=results.path / "report" / "index.html",
    )
    partial = dataclasses.replace(partial, limits=find_limits(partial, state, tables.trials))
    return dataclasses.replace(partial, answer=answer(partial))


@dataclass(frozen=True)
class _Analysis:
    """What every comparison of a study shares."""

    arms: list[str]
    reference: str
    margin: float
    planned: int
    finished: bool
    seed: int

    @property
    def confidence(self) -> float:
        """Of each interval. Over the study's arms, not only those that are done: a verdict must not tighten later."""
        return statistics.bonferroni(len(self.arms) - 1)

    def result(self, rows: pd.DataFrame, arm: str, phase: str, areas: pd.Series) -> ArmResult:
        """One arm's replicates in one phase."""
        keys = [key for key in rows.columns if key.startswith("tune.")]
        updates, converged = rows["updates"].to_numpy(), rows["converged"].to_numpy(dtype=bool)
        own_areas = [areas.get((phase, arm, replicate), math.nan) for replicate in rows["replicate"]]
        return ArmResult(
            arm=arm,
            phase=phase,
            setting={key.removeprefix("tune."): _scalar(rows[key].iloc[0]) for key in keys},
            planned=self.planned,
            replicates=len(rows),
            converged=self._share(rows),
            diverged=int(rows["diverged"].sum()),
            at_once=int(np.count_nonzero(updates < 1)),
            updates=float(np.exp(np.mean(np.log(np.maximum(updates, 1))))),
            median_updates=statistics.median_updates(updates, converged),
            final_loss=statistics.quartiles(rows["final_loss"]),
            test_loss=statistics.quartiles(rows["test_loss"]),
            loss_area=statistics.quartiles(own_areas)[1],
        )

    def compare_all(self, confirmed: pd.DataFrame) -> list[Comparison]:
        """Every arm but the reference against it; none before anything is confirmed."""
        if confirmed.empty:
            return []
        return [self.compare(confirmed, arm) for arm in self.arms if arm != self.reference]

    def compare(self, confirmed: pd.DataFrame, arm: str) -> Comparison:
        """One arm against the reference, over the replicates that both have."""
        mine = confirmed[confirmed["arm"] == arm].set_index("replicate")
        theirs = confirmed[confirmed["arm"] == self.reference].set_index("replicate")
        pairs = sorted(set(mine.index) & set(theirs.index))
        complete = len(pairs) >= self.planned
        shares = self._share(mine.reset_index()), self._share(theirs.reset_index())
        if not pairs:
            verdict = None
            if self.finished:
                verdict = Verdict("not comparable", f"no pair of its {self.planned} replicates was confirmed")
            return Comparison(arm, self.reference, None, verdict, None, True, None, None)
        differences = statistics.log_ratios(mine.loc[pairs, "updates"], theirs.loc[pairs, "updates"])
        ratio = statistics.geometric_ratio(differences, self.confidence)
        p, exact = statistics.sign_flip_p(differences, np.random.default_rng([self.seed, self.arms.index(arm)]))
        sensitivity = (ratio.spread, ratio.pairs, self.confidence, self.margin)
        return Comparison(
            arm=arm,
            reference=self.reference,
            ratio=ratio,
            verdict=statistics.verdict(ratio, self.margin, *shares) if complete or self.finished else None,
            p=p,
            p_exact=exact,
            detectable=statistics.detectable_ratio(*sensitivity) if ratio.pairs > 1 else None,
            equivalence_power=statistics.equivalence_power(*sensitivity) if ratio.pairs > 1 else None,
        )

    def _share(self, rows: pd.DataFrame) -> Share:
        converged = int(rows["converged"].sum())
        return statistics.share(converged, max(self.planned, len(rows)) if self.finished else max(len(rows), 1))


def _by_arm(table: pd.DataFrame, arms: list[str]) -> list[tuple[str, pd.DataFrame]]:
    return [(arm, table[table["arm"] == arm]) for arm in arms if (table["arm"] == arm).any()]


def _loss_areas(curves: pd.DataFrame, budget: int) -> pd.Series:
    """Index (phase, arm, replicate)."""
    if curves.empty:
        return pd.Series(dtype=np.float64)
    ordered = curves.sort_values("epoch")
    return pd.Series(
        {
            key: statistics.log_loss_area(rows["updates"].to_numpy(), rows["validation_loss"].to_numpy(), budget)
            for key, rows in ordered.groupby(["phase", "arm", "replicate"])
        }
    )


def _other_levels(
    analysis: _Analysis,
    shared: pd.DataFrame,
    curves: pd.DataFrame,
    level: float,
    null_loss: float,
    sustain: int,
    budget: int,
) -> list[Level]:
    """The comparisons at the other levels; a level that the null predictor itself meets is left out."""
    if shared.empty or len(analysis.arms) < 2:
        return []
    replicates = [
        (arm, replicate, rows["updates"].to_numpy(), rows["validation_loss"].to_numpy())
        for (arm, replicate), rows in curves.sort_values("epoch").groupby(["arm", "replicate"])
    ]
    found = []
    for other in [factor * level for factor in LEVEL_FACTORS if factor * level < null_loss]:
        rows = []
        for arm, replicate, updates, losses in replicates:
            reached, converged = updates_to_criterion(updates, losses, other, sustain, budget)
            rows.append({"arm": arm, "replicate": replicate, "updates": reached, "converged": converged})
        found.append(Level(other, other / null_loss, analysis.compare_all(pd.DataFrame(rows))))
    return found


def _search_result(arm: str, trials: pd.DataFrame, planned: int, selection: Mapping[str, Any] | None) -> SearchResult:
    """The best trial is the one that the study chose; before it has, the one of the least loss."""
    rows = trials[trials["arm"] == arm]
    chosen = (selection or {}).get("own_best", {}).get(arm, {}).get("trial")
    ranked = rows[rows["best_loss"].notna()].sort_values("best_loss")
    best = rows[rows["trial"] == chosen] if chosen else ranked.head(1)
    keys = [key for key in rows.columns if key.startswith("tune.")]
    return SearchResult(
        arm=arm,
        planned=planned,
        statuses={status: int((rows["status"] == status).sum()) for status in STATUSES},
        best_trial=None if best.empty else str(best["trial"].iloc[0]),
        best_loss=None if best.empty else float(best["best_loss"].iloc[0]),
        best_setting={} if best.empty else {key.removeprefix("tune."): _scalar(best[key].iloc[0]) for key in keys},
    )


def _measures(topologies: pd.DataFrame, arms: list[str]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """measure -> arm -> least, mean and greatest over its replicates."""
    names = [name for name in topologies.columns if name not in ("arm", "replicate", "left_empty")]
    return {
        name: {
            arm: (float(rows[name].min()), float(rows[name].mean()), float(rows[name].max()))
            for arm, rows in _by_arm(topologies, arms)
        }
        for name in (names if len(topologies) else [])
    }


def _scalar(value: Any) -> Any:
    """A cell of a table as a plain Python value."""
    return value.item() if isinstance(value, np.generic) else value
