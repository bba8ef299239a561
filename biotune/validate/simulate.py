"""Simulates studies whose true ratio is known, and counts how often the report's intervals and verdicts are right.

    biotune validate simulate
    biotune validate simulate --space search_spaces/nback_mem.yaml --spread 0.35 --ratios 1,1.5 --studies 2000

A simulated study has the tables of a results directory and goes through the report's own analysis: crossings
interpolated in log loss, censoring at the budget, pairs, interval, verdict. The study's YAML gives the number of pairs,
budget, criterion and margin. The reference and one other arm are compared, so the interval is one of 95 %.

In replicate r an arm of true ratio ρ (1 for the reference) needs

    T = typical · ρ · exp(c_r + e),    c_r ~ N(0, between²) shared by the pair,    e ~ N(0, spread² / 2) of each
    network,

updates, so that the log ratio of a pair has the standard deviation `spread`; its loss after u updates is

    null loss · fraction^((u / T)^1.5) · exp(ε),    ε ~ N(0, noise²) at each evaluation.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biotune.criterion import updates_to_criterion
from biotune.digests import study_digest
from biotune.errors import UserError
from biotune.report.inputs import Inputs
from biotune.report.results.analysis import summarise
from biotune.report.results.summary import Comparison
from biotune.results import SCHEMA, TABLES, Results
from biotune.results.documents import CommonSetting, Selection, State, Streams, UsedConnectome
from biotune.results.journal import Head
from biotune.seeds import stream, streams_digest
from biotune.study import Study, load_study
from biotune.study.directory.environment import environment
from biotune.study.opening import used_conditions

RATIOS = (1.0, 1.05, 1.2, 2.0)

BENDING = 1.5
"""Exponent of the loss curve; above 1, log loss falls slowly at first."""


@dataclass(frozen=True)
class Model:
    """The parameters of simulated studies.

    Attributes:
        typical: updates to criterion of the reference, as a share of the budget.
        between, spread, noise: standard deviations: of log updates between replicates, shared by the arms; of a pair's
            log ratio; of the log loss of one evaluation.
    """

    typical: float = 0.25
    between: float = 0.3
    spread: float = 0.25
    noise: float = 0.05


@dataclass(frozen=True)
class Found:
    """What the report says about simulated studies with one true ratio.

    Attributes:
        covered: share of the studies whose interval contains the true ratio; error: its Monte Carlo standard error.
        covered_bootstrap: share whose bootstrap-t interval contains it.
        verdicts: verdict -> share of the studies. false: of these, the verdicts that are wrong for the true ratio.
        censored: share of the replicates that didn't meet the criterion within the budget.
    """

    ratio: float
    studies: int
    pairs: int
    confidence: float
    covered: float
    error: float
    covered_bootstrap: float
    verdicts: dict[str, float]
    false: dict[str, float]
    censored: float


class Simulator:
    """Simulates studies of one design.

    Args:
        study: with two arms, the reference and one other.
        directory: an empty one, for the files that a report reads.
    """

    def __init__(self, study: Study, directory: Path) -> None:
        config = study.config
        self.reference = config.reference_arm
        [self.arm] = [name for name in config.arms if name != self.reference]
        self.pairs, self.margin = config.confirm.replicates, config.equivalence_margin
        self.primary, self.sustain = study.primary, config.criterion.sustain
        self.null_loss, self.level = study.task.null_loss, study.level(study.primary)
        per_epoch = study.updates_per_epoch(study.primary)
        self.budget = per_epoch * config.confirm.max_epochs
        self.updates = per_epoch * np.arange(config.confirm.max_epochs + self.sustain)
        self.results = Results(directory)
        self.results.write_study(study.resolved())
        self.results.write_state(self._state(study))
        self.results.write_environment(environment({}, nodes=[], kernels=[], left_out=[]))
        self.inputs = Inputs.read(self.results)

    def compare(self, ratio: float, model: Model, random: np.random.Generator) -> tuple[Comparison, int]:
        """The report's comparison for one simulated study, and the number of its networks that were censored."""
        shared = random.normal(0, model.between, self.pairs)
        rows: list[dict[str, Any]] = []
        curves: list[pd.DataFrame] = []
        for arm, true in ((self.reference, 1.0), (self.arm, ratio)):
            own = random.normal(0, model.spread / math.sqrt(2), self.pairs)
            for replicate, needed in enumerate(model.typical * self.budget * true * np.exp(shared + own)):
                fallen = (self.level / self.null_loss) ** ((self.updates / needed) ** BENDING)
                losses = self.null_loss * fallen * np.exp(random.normal(0, model.noise, len(fallen)))
                reached, converged = updates_to_criterion(self.updates, losses, self.level, self.sustain, self.budget)
                of: dict[str, Any] = {
                    "phase": "pair",
                    "condition": self.primary,
                    "arm": arm,
                    "against": "" if arm == self.arm else self.arm,
                    "trial": f"{arm}-pair",
                    "replicate": replicate,
                }
                last = float(losses[-self.sustain])
                rows.append(
                    dict.fromkeys(TABLES["convergence"].names)
                    | of
                    | {"converged": converged, "diverged": False, "updates": reached, "budget": self.budget}
                    | {"best_loss": float(losses.min()), "final_loss": last, "test_loss": last}
                    | {"left_empty": ""}
                )
                evaluations = {
                    "epoch": np.arange(len(losses)),
                    "updates": self.updates,
                    "training_loss": losses,
                    "validation_loss": losses,
                }
                curves.append(pd.DataFrame(dict.fromkeys(TABLES["curves"].names, np.nan) | of | evaluations))
        tables = replace(
            self.inputs.tables, convergence=pd.DataFrame(rows), curves=pd.concat(curves, ignore_index=True)
        )
        [comparison] = summarise(replace(self.inputs, tables=tables)).comparisons
        return comparison, sum(not row["converged"] for row in rows)

    def simulate(self, ratio: float, model: Model, studies: int, seed: int) -> Found:
        """Simulates many studies of one true ratio, each with its own draw."""
        random = stream(seed, "simulation", round(1e6 * ratio))
        verdicts: Counter[str] = Counter()
        covered = covered_bootstrap = censored = 0
        confidence = math.nan
        for _ in range(studies):
            comparison, missed = self.compare(ratio, model, random)
            assert comparison.ratio is not None
            assert comparison.bootstrap is not None
            assert comparison.verdict is not None
            confidence = comparison.ratio.confidence
            covered += comparison.ratio.low <= ratio <= comparison.ratio.high
            covered_bootstrap += comparison.bootstrap.low <= ratio <= comparison.bootstrap.high
            verdicts[comparison.verdict.name] += 1
            censored += missed
        shares = {name: count / studies for name, count in verdicts.most_common()}
        wrong = wrong_verdicts(ratio, self.margin)
        return Found(
            ratio=ratio,
            studies=studies,
            pairs=self.pairs,
            confidence=confidence,
            covered=covered / studies,
            error=math.sqrt(confidence * (1 - confidence) / studies),
            covered_bootstrap=covered_bootstrap / studies,
            verdicts=shares,
            false={name: share for name, share in shares.items() if name in wrong},
            censored=censored / (2 * self.pairs * studies),
        )

    def _state(self, study: Study) -> State:
        """The state of a finished study; only the confirmation at the setting of the pair is simulated."""
        arms = (self.reference, self.arm)
        connectomes = {
            arm: UsedConnectome(
                name=study.arms[arm].connectome.name,
                asked=study.arms[arm].connectome.name,
                substituted=False,
                reason=None,
                citation="",
                kind="simulated",
                sha256=None,
                species="",
                digest="",
                notes=[],
            )
            for arm in arms
        }
        first = CommonSetting(index=0, setting=dict(study.first_setting), regrets=dict.fromkeys(arms, 0.0))
        return State(
            schema_version=SCHEMA,
            study=study.config.name,
            phase="finished",
            started="",
            finished=None,
            seconds={},
            backend={},
            device="none",
            matmul_precision="none",
            concurrency=1,
            connectomes=connectomes,
            conditions=used_conditions(study, {condition: [] for condition in study.conditions}),
            study_sha256=study_digest(study.resolved()),
            task_sha256=None,
            topologies={},
            streams=Streams(sha256=streams_digest(), numpy=np.__version__),
            selection=Selection(pair={self.arm: first}, own_best=dict.fromkeys(arms, first), cells=[]),
            set_aside={},
            journal=Head(),
            storage=None,
        )


def wrong_verdicts(ratio: float, margin: float) -> set[str]:
    """The verdicts that are wrong for this true ratio; at the edge of the margin all three are."""
    verdicts = {"faster", "slower", "equivalent"}
    edge, beyond = math.log1p(margin), math.log(ratio)
    if math.isclose(abs(beyond), edge, abs_tol=1e-9):
        return verdicts
    return verdicts - {"equivalent" if abs(beyond) < edge else "slower" if beyond > 0 else "faster"}


def simulate(
    space: Path,
    *,
    ratios: Sequence[float] = RATIOS,
    studies: int = 500,
    model: Model | None = None,
    seed: int = 1,
    overrides: Sequence[str] = (),
) -> Iterator[Found]:
    """Simulates studies with the design of a YAML file, at each true ratio.

    Raises:
        UserError: the file is not a study, or has one arm only.
    """
    study = load_study(space, overrides=overrides)
    others = [name for name in study.config.arms if name != study.config.reference_arm]
    if not others:
        raise UserError(f"{space}: has one arm, so there is no ratio to simulate; name a study with two or more")
    study = load_study(space, overrides=overrides, arms=others[:1])
    with tempfile.TemporaryDirectory() as directory:
        simulator = Simulator(study, Path(directory))
        for ratio in ratios:
            yield simulator.simulate(ratio, model or Model(), studies, seed)
