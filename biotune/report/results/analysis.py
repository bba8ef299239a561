"""From the content of a results directory to all numbers of the report: no words, no figures, no files."""

from biotune.report.inputs import Inputs
from biotune.report.results.comparisons import Analysis, by_arm, loss_areas, other_levels
from biotune.report.results.conditions import find_conditions
from biotune.report.results.control import find_control
from biotune.report.results.search import find_importances, search_result
from biotune.report.results.summary import Summary
from biotune.report.results.wiring import find_associations, find_trends, measure_ranges
from biotune.results import LABELS


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
    shared = confirmed[confirmed["phase"] == "shared"]
    own = confirmed[confirmed["phase"] == "own_best"]
    curves = tables.curves[tables.curves["phase"].isin(LABELS)]
    areas = loss_areas(curves, budget)
    null_loss, level = state.criterion.null_loss, state.criterion.level
    sustain = study["criterion"]["sustain"]
    selection = state.selection
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
        shared_setting=selection.shared.setting if selection else None,
        shared_index=selection.shared.index if selection else None,
        results=[
            analysis.result(rows, arm, phase, areas)
            for phase, table in (("shared", shared), ("own_best", own))
            for arm, rows in by_arm(table, arms)
        ],
        comparisons=analysis.compare_all(shared),
        own_best=analysis.compare_all(own),
        conditions=find_conditions(study, state, analysis, inputs.every.convergence),
        levels=other_levels(analysis, shared, curves[curves["phase"] == "shared"], level, null_loss, sustain, budget),
        contrasts=analysis.contrasts(shared),
        control=find_control(study, analysis, shared, areas),
        trends=find_trends(analysis, shared, tables.topologies),
        associations=find_associations(arms, shared, tables.topologies),
        search=[search_result(name, tables.trials, study["search"], selection, null_loss) for name in arms],
        importances=find_importances(tables.trials[tables.trials["arm"].isin(arms)], analysis.seed),
        measures=measure_ranges(tables.topologies, arms),
        connectomes={arm: used.model_dump() for arm, used in state.connectomes.items()},
        seconds=state.seconds,
        environment=inputs.environment.model_dump(),
        page=inputs.path / "report" / "index.html",
    )
