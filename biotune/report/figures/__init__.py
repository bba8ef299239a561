"""The figures of a report: one file per section of the page, and which figures the results allow."""

from dataclasses import dataclass

from biotune.report.figures.conditions import draw_gain, draw_specifications
from biotune.report.figures.confirm import draw_final_loss, draw_kaplan_meier, draw_learning, draw_ratios, draw_updates
from biotune.report.figures.drawing import Figure, style
from biotune.report.figures.search import draw_best_so_far, draw_search
from biotune.report.figures.settings import draw_settings
from biotune.report.figures.wiring import (
    draw_associations,
    draw_dose,
    draw_matrices,
    draw_measures,
    draw_regions,
    named_regions,
)
from biotune.report.inputs import Tables
from biotune.report.results.summary import Summary


@dataclass(frozen=True)
class Figures:
    """The figures of a page by section, in the order in which they are shown."""

    comparison: list[Figure]
    wiring: list[Figure]
    search: list[Figure]

    @property
    def all(self) -> list[Figure]:
        """All figures, in the order in which they are numbered."""
        return [*self.comparison, *self.wiring, *self.search]


def draw_figures(summary: Summary, tables: Tables) -> Figures:
    """All figures that the study's results allow so far."""
    curves, trials, matrices, confirmed = (  # without the positive control
        table[table["arm"].isin(summary.arms)]
        for table in (tables.curves, tables.trials, tables.matrices, tables.convergence)
    )
    own = confirmed[confirmed["phase"] == "own_best"]
    figures = Figures([], [], [])
    with style():
        if summary.conditions:
            figures.comparison.append(draw_specifications(summary, summary.conditions))
        if any(c.ratio for c in summary.comparisons):
            figures.comparison.append(draw_ratios(summary, confirmed))
            figures.comparison.append(draw_settings(summary))
        if len(own):
            figures.comparison.append(draw_learning(summary, curves[curves["phase"] == "own_best"]))
            figures.comparison.append(draw_updates(summary, own))
            figures.comparison.append(draw_kaplan_meier(summary, own))
            figures.comparison.append(draw_final_loss(summary, own))
        if summary.conditions and summary.conditions.gain:
            figures.comparison.append(draw_gain(summary, summary.conditions))
        for number, trend in enumerate(summary.trends, start=1):
            if trend.slope:
                name = "dose" if len(summary.trends) == 1 else f"dose_{number}"
                figures.wiring.append(draw_dose(summary, trend, own, name))
        if len(matrices):
            figures.wiring.append(draw_matrices(summary, matrices))
        if named := named_regions(summary, matrices):
            figures.wiring.append(draw_regions(summary, matrices, named))
        if summary.associations:
            figures.wiring.append(draw_associations(summary))
        if any(found.within for found in summary.associations):
            figures.wiring.append(draw_measures(summary, own, tables.topologies))
        searched = curves[curves["phase"] == "search"]
        if len(searched):
            figures.search.append(draw_search(summary, searched, trials))
        if trials["best_loss"].notna().any():
            figures.search.append(draw_best_so_far(summary, trials))
    return figures
