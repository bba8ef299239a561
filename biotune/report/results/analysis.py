"""From the content of a results directory to all numbers of the report: no words, no figures, no files."""

from biotune.report.inputs import Inputs
from biotune.report.results.comparisons import Analysis, by_arm, loss_areas, other_levels
from biotune.report.results.conditions import find_conditions
from biotune.report.results.control import find_control
from biotune.report.results.search import at_common_settings, find_importances, search_result
from biotune.report.results.summary import Comparison, Summary
from biotune.report.results.wiring import find_associations, find_trends, measure_ranges
from biotune.results import LABELS
from biotune.statistics import Verdict, claim


def summarise(inputs: Inputs) -> Summary:
    """Computes all numbers of the report."""
    study, state, tables = inputs.study, inputs.state, inputs.tables
    arms = {name: dict(arm or {}) for name, arm in study["arms"].items()}
    analysis = Analysis(
        arms=arms,
        reference=study["reference_arm"],
        margin=study["equivalence_margin"],
        planned=study["confirm"]["replicates"],
        finished=state.phase == "finished",
        seed=study["seed"],
    )
    budget = state.budget
    confirmed = tables.convergence
    pairs = confirmed[confirmed["phase"] == "pair"]
    own = confirmed[confirmed["phase"] == "own_best"]
    curves = tables.curves[tables.curves["phase"].isin(LABELS)]
    areas = loss_areas(curves, budget)
    null_loss, level = state.criterion.null_loss, state.criterion.level
    sustain = study["criterion"]["sustain"]
    selection = state.selection
    comparisons, own_best = analysis.compare_all(pairs), analysis.compare_all(own)
    return Summary(
        name=study["name"],
        finished=analysis.finished,
        phase=state.phase,
        quick=study["quick"],
        task=study["task"],
        reference=analysis.reference,
        arms=arms,
        margin=analysis.margin,
        confidence=analysis.confidence,
        pairs=analysis.planned,
        criterion={
            "level": level,
            "null_loss": null_loss,
            "fraction_of_null": study["criterion"]["fraction_of_null"],
            "sustain": sustain,
        },
        budget=budget,
        updates_per_epoch=state.updates_per_epoch,
        results=[
            analysis.result(rows, arm, phase, areas)
            for phase, table in (("pair", pairs), ("own_best", own))
            for arm, both in by_arm(table[table["against"].isin(["", *arms])], arms)
            for _, rows in both.groupby("against", sort=False, observed=True)
        ],
        comparisons=comparisons,
        own_best=own_best,
        claims=_claims(comparisons, own_best),
        settings={arm: at_common_settings(arm, tables.trials) for arm in arms},
        conditions=find_conditions(study, state, analysis, inputs.every.convergence),
        levels=other_levels(analysis, pairs, curves[curves["phase"] == "pair"], level, null_loss, sustain, budget),
        contrasts=analysis.contrasts(own),
        control=find_control(study, analysis, pairs, areas),
        trends=find_trends(analysis, own, tables.topologies),
        associations=find_associations(arms, own, tables.topologies),
        search=[search_result(name, tables.trials, study["search"], selection, null_loss) for name in arms],
        importances=find_importances(tables.trials[tables.trials["arm"].isin(arms)], analysis.seed),
        measures=measure_ranges(tables.topologies, arms),
        connectomes={arm: used.model_dump() for arm, used in state.connectomes.items()},
        seconds=state.seconds,
        environment=inputs.environment.model_dump(),
        page=inputs.path / "report" / "index.html",
    )


def _claims(pairs: list[Comparison], own_best: list[Comparison]) -> dict[str, Verdict | None]:
    """arm -> what both comparisons say; None until both have a verdict."""
    own = {c.arm: c.verdict for c in own_best}
    return {c.arm: claim(c.verdict, verdict) if c.verdict and (verdict := own.get(c.arm)) else None for c in pairs}
