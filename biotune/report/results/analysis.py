"""From the content of a results directory to all numbers of the report: no words, no figures, no files."""

from biotune.report.inputs import Inputs
from biotune.report.results.comparisons import Analysis, by_arm, loss_areas, other_levels
from biotune.report.results.conditions import find_conditions
from biotune.report.results.control import find_control
from biotune.report.results.looks import claims_of, find_looks, find_replications, pairs_at, planned_looks, shown_look
from biotune.report.results.search import at_common_settings, find_importances, search_result
from biotune.report.results.summary import Summary
from biotune.report.results.wiring import find_associations, find_trends, measure_ranges
from biotune.results import LABELS


def summarise(inputs: Inputs) -> Summary:
    """Computes all numbers of the report."""
    study, state = inputs.study, inputs.state
    arms = {name: dict(arm or {}) for name, arm in study["arms"].items()}
    reference, planned, shown = study["reference_arm"], planned_looks(study), shown_look(study, state, inputs.look)
    tables = inputs.tables.at(shown)
    analysis = Analysis(
        arms=arms,
        reference=reference,
        margin=study["equivalence_margin"],
        pairs=pairs_at(arms, reference, planned, state.looks, shown),
        looks=planned,
        finished=state.phase == "finished" or bool(state.looks),
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
    every = inputs.every
    return Summary(
        name=study["name"],
        finished=state.phase == "finished" or inputs.look is not None,
        phase=state.phase,
        quick=study["quick"],
        task=study["task"],
        reference=analysis.reference,
        arms=arms,
        margin=analysis.margin,
        confidence=analysis.confidence(reference),
        pairs=shown,
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
        claims=claims_of(comparisons, own_best),
        looks=find_looks(study, state, analysis, comparisons, own_best, every.curves),
        replications=list(find_replications(state, analysis, inputs.tables.convergence)),
        settings={arm: at_common_settings(arm, tables.trials) for arm in arms},
        conditions=find_conditions(study, state, analysis, every.at(shown).convergence),
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
        page=inputs.report / "index.html",
    )
