"""The answer in the terminal: banners, two sentences, the verdicts as a table."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from biotune.report import formatting
from biotune.report.formatting import number, percent
from biotune.report.results.summary import Summary
from biotune.report.text.answer import interval, trend_sentence
from biotune.report.text.combined import CombinedReport
from biotune.report.text.report import Report

_STYLES = {
    "faster": "bold green",
    "faster, size open": "green",
    "slightly faster": "green",
    "slower": "bold red",
    "slower, size open": "red",
    "slightly slower": "red",
    "equivalent": "cyan",
    "undecided": "yellow",
    "not comparable": "magenta",
}


def print_report(report: Report, console: Console) -> None:
    """Prints the answer; it fits into 80 columns if the arms' names are short, and wraps otherwise."""
    console.print()
    for limit in report.limits:
        if limit.kind == "banner":
            console.print(Text(limit.text, style="bold yellow"), highlight=False)
    for sentence in [*map(trend_sentence, report.trends), *report.answer]:
        console.print(Text(sentence), highlight=False)
    if report.results:
        console.print()
        console.print(_verdicts(report))
    said = [report.control_sentence] if report.control and report.control.found is not False else []
    for sentence in [*report.conditions_sentences, *report.disagreements, *said]:
        console.print(Text(sentence), highlight=False)
    # in one line, so that it can be clicked on or copied
    console.print(Text(f"Report: {report.page}"), highlight=False, soft_wrap=True)


def print_combined(combined: CombinedReport, console: Console) -> None:
    """Prints the verdicts of several studies, one below the other."""
    console.print()
    for label, summary in combined.studies.items():
        for limit in summary.limits:
            if limit.kind == "banner":
                console.print(Text(f"{label}: {limit.text}", style="bold yellow"), highlight=False)
    for sentence in combined.answer:
        console.print(Text(sentence), highlight=False)
    for found in combined.over_tasks:
        if found.ratio:
            estimate, *ends = map(formatting.ratio, (found.ratio.estimate, found.ratio.low, found.ratio.high))
            text = f"Over the tasks, {found.arm} to {found.reference}: {estimate} [{', '.join(ends)}]."
            console.print(Text(text), highlight=False)
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("study", "arm", "verdict", "ratio"):
        table.add_column(column, overflow="fold", justify="right" if column == "ratio" else "left")
    for label, summary in combined.studies.items():
        for place, c in enumerate(summary.comparisons):
            verdict = Text(c.verdict.name, style=_STYLES[c.verdict.name]) if c.verdict else Text("to come", style="dim")
            table.add_row(Text("" if place else label), Text(c.arm), verdict, Text(interval(c)))
    console.print(table)
    console.print(Text(f"Report: {combined.page}"), highlight=False, soft_wrap=True)


def _verdicts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("arm", overflow="fold")
    table.add_column("verdict")
    table.add_column(f"ratio [{percent(summary.confidence, 1)}]", justify="right")
    table.add_column("updates", justify="right")
    table.add_column("converged", justify="right")
    table.add_column("p", justify="right")
    comparisons = {c.arm: c for c in summary.comparisons}
    for arm in summary.arms:
        result, comparison = summary.result(arm), comparisons.get(arm)
        if comparison is None:
            verdict = Text("reference" if arm == summary.reference else formatting.NOTHING, style="dim")
        elif comparison.verdict is None:
            verdict = Text("to come", style="dim")
        else:
            verdict = Text(comparison.verdict.name, style=_STYLES[comparison.verdict.name])
        table.add_row(
            Text(arm),
            verdict,
            Text(interval(comparison) if comparison else "1" if arm == summary.reference else formatting.NOTHING),
            number(result.updates) if result else formatting.NOTHING,
            f"{result.converged.count}/{result.converged.total}" if result else formatting.NOTHING,
            formatting.probability(comparison.p) if comparison and comparison.comparable else "",
        )
    return table
