"""Every arm compared with the reference: at the study's criterion and at others, from the confirmed replicates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from biotune import statistics
from biotune.criterion import updates_to_criterion
from biotune.report.results.arm_results import ArmResult, Comparison, Contrast, Level
from biotune.seeds import stream
from biotune.statistics import Share, Verdict

LEVEL_FACTORS = (3.0, 2.0, 1.5, 0.5, 0.25)
"""Further criterion levels at which verdicts are given, as multiples of the study's own level."""


@dataclass(frozen=True)
class Analysis:
    """What all comparisons of a study share.

    Attributes:
        pairs: arm -> number of pairs that it is to have; of the reference, the most that any arm has.
        looks: planned numbers of pairs.
        finished: whether a replicate that is missing is not to come any more.
    """

    arms: Mapping[str, Any]
    reference: str
    margin: float
    pairs: Mapping[str, int]
    looks: Sequence[int]
    finished: bool
    seed: int

    def confidence(self, arm: str) -> float:
        """Confidence of an arm's interval at the look that its pairs are of; arms still to come are counted too, so
        that it doesn't change later."""
        return statistics.look_confidence(self.looks, self.pairs[arm], len(self.arms) - 1)

    def on(self, pairs: int, **changes: Any) -> "Analysis":
        """The same, with as many pairs of every arm."""
        return replace(self, pairs=dict.fromkeys(self.pairs, pairs), **changes)

    def result(self, rows: pd.DataFrame, arm: str, phase: str, areas: pd.Series) -> ArmResult:
        """One arm's replicates in one phase; of the reference in a pair, those of one pair."""
        keys = [key for key in rows.columns if key.startswith("tune.")]
        against = str(rows["against"].iloc[0])
        rows = rows[rows["replicate"] < self.pairs[against or arm]]
        updates, converged = rows["updates"].to_numpy(), rows["converged"].to_numpy(dtype=bool)
        planned = self.pairs[against or arm]
        own_areas = [areas.get((phase, arm, against, replicate), math.nan) for replicate in rows["replicate"]]
        return ArmResult(
            arm=arm,
            phase=phase,
            against=against,
            setting={key.removeprefix("tune."): scalar(rows[key].iloc[0]) for key in keys},
            planned=planned,
            replicates=len(rows),
            converged=self._share(rows, planned),
            diverged=int(rows["diverged"].sum()),
            at_once=int(np.count_nonzero(updates < 1)),
            updates=float(np.exp(np.mean(np.log(np.maximum(updates, 1))))),
            median_updates=statistics.median_updates(updates, converged),
            final_loss=statistics.quartiles(rows["final_loss"]),
            test_loss=statistics.quartiles(rows["test_loss"]),
            loss_area=statistics.quartiles(own_areas)[1],
        )

    def compare_all(self, confirmed: pd.DataFrame, *, bootstrap: bool = True) -> list[Comparison]:
        """All arms compared with the reference; empty before anything is confirmed."""
        if confirmed.empty:
            return []
        return [self.compare(confirmed, arm, bootstrap=bootstrap) for arm in self.arms if arm != self.reference]

    def compare(self, confirmed: pd.DataFrame, arm: str, *, bootstrap: bool = True) -> Comparison:
        """One arm compared with the reference, over the replicates that both have; `confirmed`: of one phase."""
        planned, confidence = self.pairs[arm], self.confidence(arm)
        both = rows_of_pair(confirmed, arm, self.reference)
        both = both[both["replicate"] < planned]  # the reference may have gone on
        mine, theirs = (both[both["arm"] == one].set_index("replicate") for one in (arm, self.reference))
        pairs = sorted(set(mine.index) & set(theirs.index))
        complete = len(pairs) >= planned
        shares = self._share(mine.reset_index(), planned), self._share(theirs.reset_index(), planned)
        if not pairs:
            verdict = None
            if self.finished:
                verdict = Verdict("not comparable", f"no pair of its {planned} replicates was confirmed")
            return Comparison(arm, self.reference, planned, None, 0, verdict, None, True, None, None, None, None, None)
        differences = statistics.log_ratios(mine.loc[pairs, "updates"], theirs.loc[pairs, "updates"])
        ratio = statistics.geometric_ratio(differences, confidence)
        p, exact = statistics.sign_flip_p(differences, stream(self.seed, "sign_flips", arm))
        resampled = None
        if bootstrap:
            resampled = statistics.bootstrap_t(differences, confidence, stream(self.seed, "bootstrap", arm))
        decided = complete or self.finished
        sensitivity = (ratio.spread, ratio.pairs, confidence, self.margin)
        return Comparison(
            arm=arm,
            reference=self.reference,
            look=planned,
            ratio=ratio,
            missed_ahead=max(
                share.total - share.count
                for share, ahead in zip(shares, (ratio.estimate <= 1, ratio.estimate >= 1), strict=True)
                if ahead
            ),
            verdict=statistics.verdict(ratio, self.margin, *shares, differences) if decided else None,
            p=p,
            p_exact=exact,
            bootstrap=resampled,
            bootstrap_verdict=statistics.verdict(resampled, self.margin, *shares, differences)
            if resampled and decided
            else None,
            rank=statistics.null_rank(differences)
            if len(pairs) >= statistics.LEAST_DRAWS and is_null(self.arms[arm])
            else None,
            detectable=statistics.detectable_ratio(*sensitivity) if ratio.pairs > 1 else None,
            equivalence_power=statistics.equivalence_power(*sensitivity) if ratio.pairs > 1 else None,
        )

    def contrasts(self, confirmed: pd.DataFrame) -> list[Contrast]:
        """Every arm compared with every other, each at its own best; empty with fewer than three arms, since the
        verdict says it all."""
        if confirmed.empty or len(self.arms) < 3:
            return []
        updates = confirmed.pivot_table(index="arm", columns="replicate", values="updates").reindex(list(self.arms))
        short = {
            arm
            for arm in self.arms
            if self._share(confirmed[confirmed["arm"] == arm], self.pairs[arm]).value < statistics.LEAST_SHARE_CONVERGED
        }
        found = []
        for arm, row in zip(self.arms, statistics.ratio_matrix(updates, self.looks), strict=True):
            for to, ratio in zip(self.arms, row, strict=True):
                if arm != to:
                    decided = self.finished or (
                        ratio is not None and ratio.pairs >= min(self.pairs[arm], self.pairs[to])
                    )
                    comparable = not (decided and {arm, to} & short)
                    differs = ratio is not None and comparable and (ratio.high < 1 or ratio.low > 1)
                    found.append(Contrast(arm, to, ratio, comparable, differs))
        return found

    def _share(self, rows: pd.DataFrame, planned: int) -> Share:
        converged = int(rows["converged"].sum())
        return statistics.share(converged, max(planned, len(rows)) if self.finished else max(len(rows), 1))


def is_null(arm: Mapping[str, Any] | None) -> bool:
    """Whether an arm of study.yaml rewires its connectome."""
    return bool((arm or {}).get("null"))


def by_arm(table: pd.DataFrame, arms: Iterable[str]) -> list[tuple[str, pd.DataFrame]]:
    """Arm and rows of each arm that has any, in the study's order."""
    return [(arm, table[table["arm"] == arm]) for arm in arms if (table["arm"] == arm).any()]


def rows_of_pair(confirmed: pd.DataFrame, arm: str, reference: str) -> pd.DataFrame:
    """What an arm and the reference are compared by, of the rows of one phase: the arm's, and the reference's of this
    pair or, where each arm is at its own best, the reference's only ones."""
    mine = confirmed["arm"] == arm
    return confirmed[mine | ((confirmed["arm"] == reference) & confirmed["against"].isin(["", arm]))]


def log_ratios_of(convergence: pd.DataFrame, phase: str, arm: str, reference: str) -> pd.Series:
    """The log ratios of an arm to the reference in a confirm phase, indexed by the replicates that both have."""
    rows = rows_of_pair(convergence[convergence["phase"] == phase], arm, reference)
    mine, theirs = (rows[rows["arm"] == one].set_index("replicate")["updates"] for one in (arm, reference))
    pairs = sorted(set(mine.index) & set(theirs.index))
    return pd.Series(statistics.log_ratios(mine.loc[pairs], theirs.loc[pairs]), index=pairs)


def loss_areas(curves: pd.DataFrame, budget: int) -> pd.Series:
    """Each replicate's mean loss over training, see `log_loss_area`; index (phase, arm, against, replicate)."""
    if curves.empty:
        return pd.Series(dtype=np.float64)
    ordered = curves.sort_values("epoch")
    return pd.Series(
        {
            key: statistics.log_loss_area(rows["updates"].to_numpy(), rows["validation_loss"].to_numpy(), budget)
            for key, rows in ordered.groupby(["phase", "arm", "against", "replicate"], observed=True)
        }
    )


def other_levels(
    analysis: Analysis,
    pairs: pd.DataFrame,
    curves: pd.DataFrame,
    level: float,
    null_loss: float,
    sustain: int,
    budget: int,
) -> list[Level]:
    """The comparisons at the setting of each pair at the other levels, without those that the null predictor meets
    already."""
    if pairs.empty or len(analysis.arms) < 2:
        return []
    replicates = [
        (arm, against, replicate, rows["updates"].to_numpy(), rows["validation_loss"].to_numpy())
        for (arm, against, replicate), rows in curves.sort_values("epoch").groupby(
            ["arm", "against", "replicate"], observed=True
        )
    ]
    found = []
    for other in [factor * level for factor in LEVEL_FACTORS if factor * level < null_loss]:
        rows = []
        for arm, against, replicate, updates, losses in replicates:
            reached, converged = updates_to_criterion(updates, losses, other, sustain, budget)
            named = {"arm": arm, "against": against, "replicate": replicate}
            rows.append(named | {"updates": reached, "converged": converged})
        found.append(Level(other, other / null_loss, analysis.compare_all(pd.DataFrame(rows), bootstrap=False)))
    return found


def scalar(value: Any) -> Any:
    """A table's cell as a plain Python value."""
    return value.item() if isinstance(value, np.generic) else value
