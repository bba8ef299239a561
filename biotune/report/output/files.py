"""The report's files: the page, the figures, the tables as CSV, summary.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biotune.errors import StorageError, UserError
from biotune.io.files import remove_leftovers, replacing
from biotune.report.figures.drawing import Figure
from biotune.report.inputs import Tables
from biotune.report.results.arm_results import Association, Comparison, Contrast, Trend
from biotune.report.results.combined import is_tuned
from biotune.report.results.condition_results import GainPoint, Specification
from biotune.report.results.summary import SearchResult, Summary
from biotune.report.text.combined import CombinedReport
from biotune.report.text.report import Report
from biotune.results import Results
from biotune.statistics import Ratio


def write_report(report: Report, tables: Tables, figures: Sequence[Figure], page: str) -> None:
    """Writes all files of a study's report, and removes files of an earlier report that this one doesn't have.

    Raises:
        StorageError: they cannot be written.
    """
    _write(report.page, page, figures, _tables(report, tables))
    of_last = report.page.parent.name == "report"
    Results(report.page.parents[1] if of_last else report.page.parent).write_json("summary", report.to_json())


def write_combined(combined: CombinedReport, figures: Sequence[Figure], page: str) -> None:
    """Writes all files of a report of several studies, and removes files of an earlier one that this one doesn't have.

    Raises:
        UserError: the folder holds something else, or cannot be written to.
    """
    folder = combined.page.parent
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: is a file; name a folder")
    if (folder / "state.json").exists():
        raise UserError(f"--output {folder}: is a results directory; give the report of several a folder of its own")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "summary.json").is_file():
        raise UserError(f"--output {folder}: holds files that are no report; name an empty folder, or a new one")
    try:
        _write(combined.page, page, figures, _tables_of_combined(combined))
        Results(folder).write_json("summary", combined.to_json())
    except StorageError as error:
        raise UserError(f"--output {folder}: {error}, or name another folder") from None


def _write(page: Path, text: str, figures: Sequence[Figure], tables: Mapping[str, pd.DataFrame]) -> None:
    folder = page.parent
    content: dict[Path, bytes] = {page: text.encode()}
    for figure in figures:
        content[folder / "figures" / f"{figure.name}.svg"] = figure.svg.encode()
        content[folder / "figures" / f"{figure.name}.png"] = figure.png
    for name, table in tables.items():
        content[folder / "tables" / f"{name}.csv"] = table.map(_cell).to_csv(index=False).encode()
    remove_leftovers(*{file.parent for file in content})
    for file, data in content.items():
        with replacing(file) as temporary:
            temporary.write_bytes(data)
    for pattern in ("figures/*.svg", "figures/*.png", "tables/*.csv"):
        for stale in set(folder.glob(pattern)) - set(content):
            stale.unlink()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it, which makes it text there."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _tables_of_combined(combined: CombinedReport) -> dict[str, pd.DataFrame]:
    """The page's tables, without empty ones."""
    made = {
        "verdicts": [
            {"study": label, **_comparison(phase, summary.criterion["level"], c)}
            for label, summary in combined.studies.items()
            for phase, found in (("pair", summary.comparisons), ("own_best", summary.own_best))
            for c in found
        ],
        "gain": [
            {"way": way, "survives": found.survives, **_comparison("own_best" if is_tuned(way) else "pair", None, c)}
            for found in combined.gain
            for way, c in found.ways.items()
        ],
        "over_tasks": [
            {
                "arm": found.arm,
                "reference": found.reference,
                "studies": ", ".join(found.studies),
                **_ratio(found.ratio),
                "reason": found.reason,
            }
            for found in combined.over_tasks
        ],
    }
    return {name: pd.DataFrame(rows) for name, rows in made.items() if rows}


def _tables(summary: Summary, tables: Tables) -> dict[str, pd.DataFrame]:
    """The page's tables, and the rows that they are computed from, without empty ones."""
    comparisons = [("pair", None, c) for c in summary.comparisons]
    comparisons += [("own_best", None, c) for c in summary.own_best]
    comparisons += [("positive_control", None, summary.control.comparison)] if summary.control else []
    levels = [("pair", level.level, c) for level in summary.levels for c in level.comparisons]
    made = {
        "verdicts": pd.DataFrame([_comparison(phase, summary.criterion["level"], c) for phase, _, c in comparisons]),
        "claims": pd.DataFrame(
            [
                {"arm": arm, "claim": claim.name, "direction": claim.direction, "reason": claim.reason}
                for arm, claim in summary.claims.items()
                if claim
            ]
        ),
        "settings": pd.DataFrame(
            [
                {"arm": arm, "index": at.index, **{f"tune.{key}": value for key, value in at.setting.items()}}
                | {"mean_updates": at.updates, "converged": at.met[0], "diverged": at.diverged}
                for arm, common in summary.settings.items()
                for at in common
            ]
        ),
        "criterion_levels": pd.DataFrame([_comparison(phase, level, c) for phase, level, c in levels]),
        "conditions": pd.DataFrame(
            [_specification(spec, summary.reference) for spec in summary.conditions.specifications]
            if summary.conditions
            else []
        ),
        "gain": pd.DataFrame([_gain_point(point) for point in summary.conditions.gain] if summary.conditions else []),
        "contrasts": pd.DataFrame([_contrast(found) for found in summary.contrasts]),
        "arms": pd.DataFrame(
            [
                {
                    "phase": r.phase,
                    "arm": r.arm,
                    "against": r.against,
                    **{f"tune.{key}": value for key, value in r.setting.items()},
                    "replicates": r.replicates,
                    "converged": r.converged.count,
                    "converged_share": r.converged.value,
                    "converged_low": r.converged.low,
                    "converged_high": r.converged.high,
                    "diverged": r.diverged,
                    "updates_geometric_mean": r.updates,
                    "updates_median": r.median_updates,
                    **dict(zip(("final_loss_q1", "final_loss_median", "final_loss_q3"), r.final_loss, strict=True)),
                    **dict(zip(("test_loss_q1", "test_loss_median", "test_loss_q3"), r.test_loss, strict=True)),
                    "loss_area": r.loss_area,
                }
                for r in summary.results
            ]
        ),
        "trends": pd.DataFrame([_trend(trend) for trend in summary.trends]),
        "associations": pd.DataFrame([_association(found) for found in summary.associations]),
        "measures": pd.DataFrame(
            [
                {"measure": measure, "arm": arm, "least": least, "mean": mean, "greatest": greatest}
                for measure, by_arm in summary.measures.items()
                for arm, (least, mean, greatest) in by_arm.items()
            ]
        ),
        "search": pd.DataFrame([_search(found) for found in summary.search]),
        "expected_best": pd.DataFrame(
            [
                {"arm": found.arm, "trials": n, "expected_best_loss": best}
                for found in summary.search
                for n, best in enumerate(found.expected_best, start=1)
            ]
        ),
        "importances": pd.DataFrame(
            [
                {
                    "hyperparameter": key,
                    "r2_lost": lost,
                    "r2": summary.importances.explained,
                    "trials": summary.importances.trials,
                }
                for key, lost in summary.importances.lost.items()
            ]
            if summary.importances
            else []
        ),
        "replicates": tables.convergence,
        "trials": tables.trials,
        "topologies": tables.topologies,
    }
    return {name: table for name, table in made.items() if len(table)}


def _comparison(phase: str, level: float | None, c: Comparison) -> dict[str, Any]:
    return {
        "phase": phase,
        "criterion_level": level,
        "arm": c.arm,
        "reference": c.reference,
        "look": c.look,
        **_ratio(c.ratio),
        "verdict": c.verdict.name if c.verdict else None,
        "direction": c.verdict.direction if c.verdict else None,
        "bound": c.verdict.bound if c.verdict else None,
        "reason": c.verdict.reason if c.verdict else None,
        "p": c.p,
        "p_exact": c.p_exact,
        "bootstrap_low": c.bootstrap.low if c.bootstrap else None,
        "bootstrap_high": c.bootstrap.high if c.bootstrap else None,
        "bootstrap_verdict": c.bootstrap_verdict.name if c.bootstrap_verdict else None,
        "null_draws": c.rank.draws if c.rank else None,
        "percentile_among_draws": c.rank.percentile if c.rank else None,
        "p_among_draws": c.rank.p if c.rank else None,
        "detectable_ratio": c.detectable,
        "equivalence_power": c.equivalence_power,
    }


def _specification(spec: Specification, reference: str) -> dict[str, Any]:
    together, shift = spec.together, spec.to_primary
    return {
        "condition": spec.condition,
        "arm": spec.arm,
        "axis": spec.axis,
        "added": spec.added,
        "status": spec.status,
        **_verdict(spec.comparison),
        "together_low": together.low if together else None,
        "together_high": together.high if together else None,
        "to_primary": shift.estimate if shift else None,
        "to_primary_low": shift.low if shift else None,
        "to_primary_high": shift.high if shift else None,
        "met": spec.met[spec.arm][0],
        "reference_met": spec.met[reference][0],
    }


def _gain_point(point: GainPoint) -> dict[str, Any]:
    return {
        "arm": point.arm,
        "against": point.against,
        "scale": point.scale,
        "learning_rate": point.learning_rate,
        "updates_geometric_mean": point.updates,
        "met": point.met[0],
        "replicates": point.met[1],
        **_verdict(point.comparison),
    }


def _verdict(c: Comparison | None) -> dict[str, Any]:
    """The verdict of a comparison, and its ratio; empty where there is none."""
    return {"verdict": c.verdict.name if c and c.verdict else None, **_ratio(c.ratio if c else None)}


def _ratio(ratio: Ratio | None) -> dict[str, Any]:
    """A ratio with its interval; empty where there is none."""
    ends = dict.fromkeys(("low", "high", "confidence"))
    if ratio is None:
        return {"pairs": 0, "ratio": None, **ends}
    return {"pairs": ratio.pairs, "ratio": ratio.estimate, **{name: getattr(ratio, name) for name in ends}}


def _contrast(found: Contrast) -> dict[str, Any]:
    return {
        "arm": found.arm,
        "to": found.to,
        **_ratio(found.ratio),
        "comparable": found.comparable,
        "differs": found.differs,
    }


def _trend(trend: Trend) -> dict[str, Any]:
    slope = trend.slope
    return {
        "null": trend.null,
        "arms": ", ".join(trend.fractions),
        "fractions": ", ".join(f"{fraction:g}" for fraction in trend.fractions.values()),
        "entries_changed": ", ".join(f"{dose:.4g}" for dose in trend.doses.values()),
        "factor": slope.factor if slope else None,
        "low": slope.low if slope else None,
        "high": slope.high if slope else None,
        "confidence": slope.confidence if slope else None,
        "replicates": slope.replicates if slope else None,
        "reason": trend.reason,
    }


def _association(found: Association) -> dict[str, Any]:
    within = found.within
    return {
        "measure": found.measure,
        "networks": found.networks,
        "arms": found.arms,
        "rho_within": within.value if within else None,
        "rho_within_low": within.low if within else None,
        "rho_within_high": within.high if within else None,
        "rho_across": found.across,
    }


def _search(found: SearchResult) -> dict[str, Any]:
    return {
        "arm": found.arm,
        "planned": found.planned,
        **found.statuses,
        "best_trial": found.best_trial,
        "best_updates": found.best_updates,
        "best_loss": found.best_loss,
        **{f"tune.{key}": value for key, value in found.best_setting.items()},
    }
