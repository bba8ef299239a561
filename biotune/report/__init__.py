"""The report of a study: statistics, figures, one page, and the verdicts in the terminal.

It reads only the results' contract (`biotune.results`), so a report can be made again anywhere, and of an unfinished
study too.
"""

from pathlib import Path

from biotune.report.analysis import Tables, summarise
from biotune.report.figures import draw_figures
from biotune.report.files import write_report
from biotune.report.page import render_page
from biotune.report.summary import Summary
from biotune.report.terminal import print_summary
from biotune.results import Results

__all__ = ["Summary", "make_report", "print_summary"]


def make_report(directory: Path | str) -> Summary:
    """Writes summary.json and report/ (index.html, figures/, tables/) into a results directory, finished or not.

    Returns:
        Every number of the report.

    Raises:
        UserError: not a results directory, damaged, or written by another version.
    """
    results = Results.open(directory)
    tables = Tables.read(results)
    summary = summarise(results, tables)
    figures = draw_figures(summary, tables)
    page = render_page(summary, figures, (results.path / "study.yaml").read_text())
    write_report(results, summary, tables, figures.all, page)
    return summary
