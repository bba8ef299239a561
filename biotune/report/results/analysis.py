"""From the tables of a results directory to every number of the report. Nothing here draws or writes."""

import dataclasses
from typing import Any

from biotune.report.inputs import CONFIRMED, Tables
from biotune.report.results.comparisons import Analysis, by_arm, loss_areas, other_levels
from biotune.report.results.control import find_control
from biotune.report.results.search import find_importances, search_result
from biotune.report.results.summary import Summary
from biotune.report.results.wiring import find_associations, find_trends, measure_ranges
from biotune.report.text.answer import answer, disagreements, question, ranks_note
from biotune.report.text.limits import find_limits
from biotune.report.text.methods import citations, describe_arm, methods
from biotune.results import Results
from biotune.results.documents import EnvironmentFile, StateFile, StudyFile, require


def summarise(results: Results, tables: Tables) -> Summary:
    """Computes every number of the report.

    Raises:
        UserError: study.yaml or state.json lacks a key, or holds what this version doesn't write.
    """
    study, state, environment = results.read_study(), results.read_json("state"), results.read_json("environment")
    require(study, StudyFile, "study.yaml")
    require(state, StateFile, "state.json")
    require(environment, EnvironmentFile, "environment.json")
    arms: dict[str, Any] = study["arms"]
    reference: str = study["reference_arm"]
    analysis = Analysis(
        arms=arms,
        reference=reference,
        margin=study["equivalence_margin"],
        planned=study["confirm"]["replicates"],
        finished=state["phase"] == "finished",
        seed=study["seed"],
    )
    budget = int(state["budget"])
    confirmed = tables.convergence
    shared = confirmed[confirmed["phase"] == "shared"]
    own = confirmed[confirmed["phase"] == "own_best"]
    curves = tables.curves[tables.curves["phase"].isin(CONFIRMED)]
    areas = loss_areas(curves, budget)
    arm_results = [
        analysis.result(rows, arm, phase, areas)
        for phase, table in (("shared", shared), ("own_best", own))
        for arm, rows in by_arm(table, arms)
    ]
    comparisons, own_best = analysis.compare_all(shared), analysis.compare_all(own)
    null_loss, level = state["criterion"]["null_loss"], state["criterion"]["level"]
    sustain = study["criterion"]["sustain"]
    selection = state.get("selection")
    trends = find_trends(analysis, shared)
    associations = find_associations(arms, shared, tables.topologies)
    partial = Summary(
        name=study["name"],
        question=question(study),
        answer=("", ""),
        finished=analysis.finished,
        phase=state["phase"],
        task=study["task"],
        reference=reference,
        arms={name: describe_arm(arm or {}) for name, arm in arms.items()},
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
        updates_per_epoch=int(state["updates_per_epoch"]),
        shared_setting=selection["shared"]["setting"] if selection else None,
        shared_index=selection["shared"]["index"] if selection else None,
        results=arm_results,
        comparisons=comparisons,
        own_best=own_best,
        disagreements=disagreements(comparisons, own_best),
        levels=other_levels(analysis, shared, curves[curves["phase"] == "shared"], level, null_loss, sustain, budget),
        control=find_control(study, analysis, shared, areas),
        ranks_note=ranks_note(arms, comparisons),
        trends=trends,
        associations=associations,
        search=[search_result(name, tables.trials, study["search"], selection, null_loss) for name in arms],
        importances=find_importances(tables.trials[tables.trials["arm"].isin(arms)], analysis.seed),
        measures=measure_ranges(tables.topologies, arms),
        connectomes=state["connectomes"],
        limits=[],
        methods=methods(study, state, dosed=any(t.slope for t in trends), measured=bool(associations)),
        citations=citations(state),
        seconds={phase: float(spent) for phase, spent in state["seconds"].items()},
        environment=environment,
        page=results.path / "report" / "index.html",
    )
    partial = dataclasses.replace(partial, limits=find_limits(partial, state, tables.trials))
    return dataclasses.replace(partial, answer=answer(partial))
