"""The answer in the terminal: banners, two sentences, the verdicts as a table."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from biotune.report import formatting
from biotune.report.formatting import number
from biotune.report.results.summary import Summary
from biotune.report.text.answer import DEPENDS, claim_name, interval, trend_sentence
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
    DEPENDS: "yellow",
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
    for sentence in [*report.looks_sentences, *report.replication_sentences]:
        console.print(Text(sentence), highlight=False, soft_wrap="`" in sentence)  # a command is copied in one piece
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
    for column in ("study", "arm", "claim", "in its pair", "each at its best"):
        table.add_column(column, overflow="fold", justify="left" if column in ("study", "arm", "claim") else "right")
    for label, summary in combined.studies.items():
        for place, c in enumerate(summary.comparisons):
            name, best = claim_name(summary, c.arm), combined.at_own_best(label, c.arm)
            said = Text(name, style=_STYLES.get(name, "dim"))
            own = Text(interval(best) if best else formatting.NOTHING)
            table.add_row(Text("" if place else label), Text(c.arm), said, Text(interval(c)), own)
    console.print(table)
    console.print(Text(f"Report: {combined.page}"), highlight=False, soft_wrap=True)


def _verdicts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("arm", overflow="fold")
    table.add_column("claim")
    for column in ("in its pair", "each at its best"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("updates", justify="right")
    table.add_column("converged", justify="right")
    pairs, best = ({c.arm: c for c in found} for found in (summary.comparisons, summary.own_best))
    for arm in summary.arms:
        result = summary.result(arm)
        reference = arm == summary.reference
        if arm in pairs:
            name = claim_name(summary, arm)
            said = Text(name, style=_STYLES.get(name, "dim"))
        else:
            said = Text("reference" if reference else formatting.NOTHING, style="dim")
        table.add_row(
            Text(arm),
            said,
            *(Text(interval(c[arm]) if arm in c else "1" if reference else formatting.NOTHING) for c in (pairs, best)),
            number(result.updates) if result else formatting.NOTHING,
            f"{result.converged.count}/{result.converged.total}" if result else formatting.NOTHING,
        )
    return table
